//! "Has this been seen?", in memory: never a false no, seldom a false yes. Spares new events the look into the index.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{PoisonError, RwLock};

use super::token::Token;

/// Bits an item in a full segment. With six probes inside one cache line, about one in two hundred is a false yes.
const BITS_AN_ITEM: usize = 12;
/// Probes an item.
const PROBES: u32 = 6;
/// Words in a block: 512 bits, one cache line.
const BLOCK_WORDS: usize = 8;
/// Items of the first segment; each further one takes four times as many, so that few are asked.
const FIRST_ITEMS: usize = 1 << 20;
/// Items that are believed to be coming, whatever a file says: 200 MiB. More of them make it grow.
const EXPECTED_MAX: usize = 1 << 27;

/// A Bloom filter that grows.
#[derive(Debug)]
pub(crate) struct Bloom {
    segments: RwLock<Vec<Segment>>,
}

#[derive(Debug)]
struct Segment {
    words: Box<[AtomicU64]>,
    items: AtomicUsize,
    items_max: usize,
}

impl Segment {
    fn new(items_max: usize) -> Self {
        let blocks = (items_max * BITS_AN_ITEM).div_ceil(BLOCK_WORDS * 64);
        Self { words: (0..blocks * BLOCK_WORDS).map(|_| AtomicU64::new(0)).collect(), items: AtomicUsize::new(0), items_max }
    }

    /// Where the block of an item begins.
    fn place(&self, hash: u64) -> usize {
        let blocks = self.words.len() / BLOCK_WORDS;
        ((u128::from(hash) * blocks as u128) >> 64) as usize * BLOCK_WORDS
    }

    fn block(&self, hash: u64) -> &[AtomicU64] {
        let at = self.place(hash);
        &self.words[at..at + BLOCK_WORDS]
    }

    fn add(&self, hash: u64) {
        let block = self.block(hash);
        for bit in bits(hash) {
            block[bit / 64].fetch_or(1 << (bit % 64), Relaxed);
        }
        self.items.fetch_add(1, Relaxed);
    }

    fn add_alone(&mut self, hash: u64) {
        let at = self.place(hash);
        for bit in bits(hash) {
            *self.words[at + bit / 64].get_mut() |= 1 << (bit % 64);
        }
        *self.items.get_mut() += 1;
    }

    fn may_hold(&self, hash: u64) -> bool {
        let block = self.block(hash);
        bits(hash).all(|bit| block[bit / 64].load(Relaxed) & 1 << (bit % 64) != 0)
    }
}

/// The bits of an item within its block, nine bits of the hash each; the block is chosen by the highest bits.
fn bits(hash: u64) -> impl Iterator<Item = usize> {
    (0..PROBES).map(move |probe| (hash >> (9 * probe)) as usize & 511)
}

/// A token has 50 bits; they are spread over all 64 (Stafford's variant 13 of the murmur finaliser).
fn spread(token: Token) -> u64 {
    let mut x = token.0;
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

impl Bloom {
    /// One that expects so many items, and takes more.
    pub(crate) fn with_room_for(items: usize) -> Self {
        Self { segments: RwLock::new(vec![Segment::new(items.clamp(FIRST_ITEMS, EXPECTED_MAX))]) }
    }

    /// Adds an item.
    pub(crate) fn add(&self, token: Token) {
        let hash = spread(token);
        {
            let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(last) = segments.last().filter(|last| last.items.load(Relaxed) < last.items_max) {
                last.add(hash);
                return;
            }
        }
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        let items_max = segments.last().map_or(FIRST_ITEMS, |last| last.items_max * 4);
        let segment = Segment::new(items_max);
        segment.add(hash);
        segments.push(segment);
    }

    /// [`Self::may_hold`], then [`Self::add`] where it does not: by whoever has the filter alone, at a fraction of the cost.
    pub(crate) fn first_seen(&mut self, token: Token) -> bool {
        let hash = spread(token);
        let segments = self.segments.get_mut().unwrap_or_else(PoisonError::into_inner);
        if segments.iter().any(|segment| segment.may_hold(hash)) {
            return false;
        }
        if let Some(last) = segments.last_mut()
            && *last.items.get_mut() < last.items_max
        {
            last.add_alone(hash);
        } else {
            self.add(token);
        }
        true
    }

    /// Whether it may have been added.
    pub(crate) fn may_hold(&self, token: Token) -> bool {
        let hash = spread(token);
        self.segments.read().unwrap_or_else(PoisonError::into_inner).iter().any(|segment| segment.may_hold(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::super::token::TokenKey;
    use super::*;

    #[test]
    fn never_a_false_no_and_few_a_false_yes_also_after_growing() {
        let key = TokenKey::new([9; 16]);
        let bloom = Bloom::with_room_for(0);
        let items = FIRST_ITEMS + 200_000;
        let token = |n: usize| key.token(1, "id", &n.to_string());
        for n in 0..items {
            bloom.add(token(n));
        }
        assert!((0..items).all(|n| bloom.may_hold(token(n))));
        let mut alone = Bloom::with_room_for(0);
        let first = (0..items).filter(|n| alone.first_seen(token(*n))).count();
        assert!(first > items - items / 100, "{first} of {items}");
        assert!((0..items).all(|n| !alone.first_seen(token(n))));
        let wrong = (items..items + 100_000).filter(|n| bloom.may_hold(token(*n))).count();
        assert!(wrong < 2_000, "{wrong} of 100,000");
    }
}
