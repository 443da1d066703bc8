//! Where a tile or an entry bundle is found (c2sp.org/tlog-tiles): `/tile/<L>/<N>[.p/<W>]`, `/tile/entries/<N>[.p/<W>]`.
//!
//! Refused: any spelling but the one that is printed (leading zeros, a missing or needless group of digits, widths
//! outside 1 to 255), levels above 63, and places beyond the largest tree.

use std::fmt::{self, Display, Formatter};

use super::TILE_HEIGHT;
use crate::limits::{TILE_HASHES, TREE_SIZE_MAX};
use crate::lines::decimal;

/// The highest level that tlog-tiles knows.
const LEVEL_MAX: u8 = 63;

/// What lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Hashes of this level: 0 for leaf hashes, each level above stands for 256 of the one below.
    Hashes(u8),
    /// The entries under one tile of level 0.
    Entries,
}

/// One tile or entry bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TilePath {
    kind: TileKind,
    index: u64,
    /// 1 to 255 for a partial tile; 256 for a full one.
    width: u16,
}

impl TilePath {
    /// `width` hashes or entries, 1 to 256 (a full one); `None` where the numbers are out of range.
    pub fn new(kind: TileKind, index: u64, width: u16) -> Option<Self> {
        let level_fits = !matches!(kind, TileKind::Hashes(level) if level > LEVEL_MAX);
        let fits = level_fits && index <= TREE_SIZE_MAX / TILE_HASHES as u64 && (1..=TILE_HASHES).contains(&usize::from(width));
        fits.then_some(Self { kind, index, width })
    }

    /// The tile at `index` of a tree of `size` leaves, as wide as it is there; `None` where it is empty.
    pub fn in_tree(kind: TileKind, index: u64, size: u64) -> Option<Self> {
        let height = match kind {
            TileKind::Hashes(level) => u32::from(level) * TILE_HEIGHT,
            TileKind::Entries => 0,
        };
        let first = index.checked_mul(TILE_HASHES as u64)?;
        let width = size.checked_shr(height).unwrap_or(0).checked_sub(first)?.min(TILE_HASHES as u64);
        Self::new(kind, index, width as u16)
    }

    /// Hashes or entries.
    pub const fn kind(&self) -> TileKind {
        self.kind
    }

    /// Position among those of its kind, from 0.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Hashes or entries in it, 1 to 256.
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Whether it is a partial one.
    pub const fn is_partial(&self) -> bool {
        (self.width as usize) < TILE_HASHES
    }

    /// Reads a path that begins with `/tile/`.
    pub fn parse(path: &str) -> Option<Self> {
        let (kind, rest) = path.strip_prefix("/tile/")?.split_once('/')?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes(u8::try_from(decimal(level)?).ok()?),
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, decimal(width).filter(|width| *width < TILE_HASHES as u64)?),
            None => (rest, TILE_HASHES as u64),
        };
        let tile = Self::new(kind, parse_index(index)?, width as u16)?;
        // A needless group of zeros reads as the same number; it is another spelling.
        (tile.to_string() == path).then_some(tile)
    }
}

/// `x001/x234/067` is 1,234,067.
fn parse_index(text: &str) -> Option<u64> {
    let mut groups = text.split('/').peekable();
    let mut index: u64 = 0;
    while let Some(group) = groups.next() {
        let digits = if groups.peek().is_some() { group.strip_prefix('x')? } else { group };
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        index = index.checked_mul(1_000)?.checked_add(digits.parse().ok()?)?;
    }
    Some(index)
}

impl Display for TilePath {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "/tile/{level}/")?,
            TileKind::Entries => f.write_str("/tile/entries/")?,
        }
        let groups = self.index.checked_ilog(1_000).unwrap_or(0);
        for group in (1..=groups).rev() {
            write!(f, "x{:03}/", self.index / 1_000_u64.pow(group) % 1_000)?;
        }
        write!(f, "{:03}", self.index % 1_000)?;
        if self.is_partial() { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_have_one_spelling() {
        use TileKind::{Entries, Hashes};
        for (path, kind, index, width) in [
            ("/tile/0/000", Hashes(0), 0, 256),
            ("/tile/0/x001/x234/067", Hashes(0), 1_234_067, 256),
            ("/tile/63/999.p/1", Hashes(63), 999, 1),
            ("/tile/1/x001/000.p/255", Hashes(1), 1_000, 255),
            ("/tile/entries/x012/345.p/67", Entries, 12_345, 67),
            ("/tile/0/x036/x028/x797/x018/963/967", Hashes(0), 0, 0),
            ("/tile/0/x036/x028/x797/x018/x963/967", Hashes(0), TREE_SIZE_MAX / 256, 256),
        ] {
            let expected = TilePath::new(kind, index, width);
            assert_eq!(TilePath::parse(path), expected, "{path}");
            assert!(expected.is_none_or(|tile| tile.to_string() == path), "{path}");
        }
        for path in [
            "",
            "/tile",
            "/tile/",
            "/tile/0",
            "/tile/0/",
            "tile/0/000",
            "/tile/00/000",
            "/tile/64/000",
            "/tile/256/000",
            "/tile/-1/000",
            "/tile/0/0",
            "/tile/0/00",
            "/tile/0/0000",
            "/tile/0/1000",
            "/tile/0/x000/001",
            "/tile/0/x001",
            "/tile/0/001/002",
            "/tile/0/x001/x002",
            "/tile/0/x1/002",
            "/tile/0/001/",
            "/tile/0//001",
            "/tile/0/+01",
            "/tile/0/001.p",
            "/tile/0/001.p/",
            "/tile/0/001.p/0",
            "/tile/0/001.p/256",
            "/tile/0/001.p/01",
            "/tile/0/001.p/1/",
            "/tile/0/001.p/1.p/1",
            "/tile/entry/001",
            "/tile/Entries/001",
            "/tile/0/x036/x028/x797/x018/x963/968",
            "/tile/0/x999/x999/x999/x999/x999/x999/999",
            "/tile/0/٣٣٣",
        ] {
            assert_eq!(TilePath::parse(path), None, "{path}");
        }
    }

    /// The example of c2sp.org/tlog-tiles: a tree of 70,000 leaves.
    #[test]
    fn a_tree_has_the_tiles_that_the_document_counts() {
        let widths =
            |kind, size: u64| -> Vec<u16> { (0..300).map_while(|n| TilePath::in_tree(kind, n, size)).map(|tile| tile.width()).collect() };
        let leaves = widths(TileKind::Hashes(0), 70_000);
        assert_eq!((leaves.len(), leaves[272], leaves[273]), (274, 256, 112));
        assert_eq!(leaves, widths(TileKind::Entries, 70_000));
        assert_eq!(widths(TileKind::Hashes(1), 70_000), [256, 17]);
        assert_eq!(widths(TileKind::Hashes(2), 70_000), [1]);
        assert!(widths(TileKind::Hashes(3), 70_000).is_empty());
        assert_eq!((widths(TileKind::Hashes(0), 256), widths(TileKind::Hashes(1), 256)), (vec![256], vec![1]));
        assert!(widths(TileKind::Hashes(63), u64::MAX).is_empty());
        assert_eq!(TilePath::in_tree(TileKind::Hashes(0), u64::MAX, 5), None);
        assert!(widths(TileKind::Entries, 0).is_empty());
        let partial = TilePath::in_tree(TileKind::Entries, 273, 70_000).expect("a tile");
        assert_eq!((partial.index(), partial.kind(), partial.is_partial()), (273, TileKind::Entries, true));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(level in 0_u8..=64, index in any::<u64>(), shift in 0_u32..64, width in 1_u16..=256) {
            let kind = if level == 64 { TileKind::Entries } else { TileKind::Hashes(level) };
            let tile = TilePath::new(kind, index >> shift, width);
            prop_assert_eq!(tile.is_some(), index >> shift <= TREE_SIZE_MAX / 256);
            if let Some(tile) = tile {
                prop_assert_eq!(TilePath::parse(&tile.to_string()), Some(tile));
            }
        }

        #[test]
        fn what_is_read_is_printed_alike(path in "/tile/(entries|[0-9]{1,2})(/x?[0-9]{2,4}){1,3}(\\.p/[0-9]{1,3})?") {
            if let Some(tile) = TilePath::parse(&path) {
                prop_assert_eq!(tile.to_string(), path);
            }
        }
    }
}
