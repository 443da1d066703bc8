//! The walk along one chain, in constant memory: each row is put in its place, and whatever does not fit is named.
//!
//! A row whose HMAC holds stands where its entry says, whatever its column says; a row whose HMAC does not hold is
//! believed in nothing, so it can neither open a gap nor break the link of the next.

use uuid::Uuid;

use super::doubt::Doubt;
use super::row::{Hashed, Keys, Standing, UNTRIED, absent_key, content_fault, examine, retry_fault};
use super::signed::Signed;
use super::{Finding, Findings, Head, Place, Report, Row, Verdict, Wrap};
use crate::chain::{GENESIS, Hash};
use crate::entry::Outline;
use crate::key::ProjectKeys;
use crate::tree::{Edge, TILE_HEIGHT, Tile};

/// Gaps, strays, shifted columns and absent keys that are remembered in case a later row explains them.
const REMEMBERED_MAX: usize = 1_024;
/// Entries that are remembered whole, in case two of them were swapped.
const DISPLACED_MAX: usize = 32;
/// A longer gap is not filled with stand-ins: from there on the tree is not compared.
const GAP_FILLED_MAX: u64 = 1 << 20;

pub(super) type Lookup = Box<dyn Fn(u64) -> Option<ProjectKeys> + Send>;

/// Walks one chain, row after row, in constant memory (tiles that fill are compared as they do).
pub struct Verifier {
    pub(super) project_id: Uuid,
    pub(super) keys: Keys<Lookup>,
    pub(super) events: u64,
    /// Rows before the first that is read.
    pub(super) not_read: u64,
    /// The sequence that the next row should have.
    pub(super) next: u64,
    /// The sequence after that of the last row which nothing is known against.
    pub(super) credible_end: u64,
    pub(super) last: Last,
    pub(super) ring_id_max: u64,
    pub(super) edge: Edge,
    /// The leaves are no longer all there, not even as stand-ins.
    pub(super) tree_lost: bool,
    pub(super) doubt: Doubt,
    pub(super) findings: Findings,
    pub(super) signed: Signed,
    /// Sequences passed over, first and last; a row that comes late takes its own out.
    gaps: Vec<(u64, u64)>,
    /// Columns of faulty rows that stood out of line: named already, so not missing as well.
    strays: Vec<u64>,
    /// Column less sequence of the row before: a shift is named where it begins, not for each row after.
    shift: i128,
    shifted: Vec<(u64, u64, Place)>,
    displaced: Vec<Displaced>,
    /// Ring id, first sequence, rows.
    pub(super) unverifiable: Vec<(u64, u64, u64)>,
    /// Wraps that nobody can try: the first sequence, and how many.
    untried: Option<(u64, u64)>,
}

/// The row in whose place the next one is linked.
#[derive(Clone, Copy)]
pub(super) struct Last {
    /// Its stored row hash; `None` after a gap.
    pub(super) row_hash: Option<Hash>,
    /// Its HMAC holds.
    pub(super) authentic: bool,
    /// Nothing is known against it.
    pub(super) sound: bool,
}

/// A faulty row whose entry names another place.
struct Displaced {
    place: u64,
    own: u64,
    ring_id: u64,
    entry: Vec<u8>,
    prev_hash: Hash,
    row_hash: Hash,
    finding: Place,
}

impl Verifier {
    /// A verifier that looks for keys by ring id.
    pub fn new(project_id: Uuid, keys: Box<dyn Fn(u64) -> Option<ProjectKeys> + Send>) -> Self {
        Self {
            project_id,
            keys: Keys::new(keys),
            events: 0,
            not_read: 0,
            next: 0,
            credible_end: 0,
            last: Last { row_hash: Some(GENESIS), authentic: true, sound: true },
            ring_id_max: 0,
            edge: Edge::new(),
            tree_lost: false,
            doubt: Doubt::default(),
            findings: Findings::default(),
            signed: Signed::default(),
            gaps: Vec::new(),
            strays: Vec::new(),
            shift: 0,
            shifted: Vec::new(),
            displaced: Vec::new(),
            unverifiable: Vec::new(),
            untried: None,
        }
    }

    /// The next row in stored order. Tiles that it completes are appended to `full`, for the caller to compare with
    /// the stored ones by [`Verifier::tile`].
    pub fn row(&mut self, row: &Row<'_>, full: &mut Vec<Tile>) {
        let (project_id, keys) = (self.project_id, &mut self.keys);
        let hashed = Hashed::of(row, |of, ring_id| if of == project_id { keys.get(ring_id) } else { None });
        self.hashed_row(row, &hashed, full);
    }

    /// [`Verifier::row`] where the row was hashed before, by whoever it was: with the keys of the project that its entry names.
    pub fn hashed_row(&mut self, row: &Row<'_>, hashed: &Hashed, full: &mut Vec<Tile>) {
        self.events += 1;
        if let Some(outline) = row.outline.filter(|outline| hashed.has_key() && outline.project_id == self.project_id) {
            self.keys.meet(outline.hmac_key_id);
        }
        match examine(self.project_id, row, hashed) {
            Standing::Authentic(outline) => self.credible(row, hashed, (outline, true), full),
            Standing::Unverifiable(outline) => {
                self.count_unverifiable(outline);
                self.credible(row, hashed, (outline, false), full);
            }
            Standing::Faulty(why, outline) => self.faulty(row, hashed, (why, outline), full),
        }
    }

    /// Compares a computed tile with the stored one.
    pub fn tile(&mut self, computed: &Tile, stored: Option<&[u8]>) {
        let first = computed.first_leaf();
        let name = || format!("tile {}/{}", computed.level, computed.index);
        match stored {
            None => {
                self.findings.add(Verdict::Altered, Some(first), format!("{} is gone", name()));
            }
            Some(stored) if stored.len() != computed.hashes.len() => {
                self.findings.add(Verdict::Altered, Some(first), format!("{} does not have 256 hashes", name()));
            }
            Some(stored) if stored == computed.hashes => {}
            Some(stored) => {
                let pairs = stored.chunks(32).zip(computed.hashes.chunks(32));
                if let Some(leaf) = self.first_difference(first, u32::from(computed.level) * TILE_HEIGHT, pairs) {
                    let detail = format!("{} differs from the rows from sequence {leaf} on", name());
                    self.findings.add(Verdict::Altered, Some(first), detail);
                }
            }
        }
    }

    /// Adds a finding that the store itself made (an orphaned content, an index that hides a row).
    pub fn finding(&mut self, finding: Finding) {
        self.findings.add(finding.kind, finding.sequence, finding.detail);
    }

    /// Compares the end of the chain with the stored head, and with what was signed.
    pub fn finish(mut self, head: Option<&Head>) -> Report {
        for (first, last) in std::mem::take(&mut self.gaps) {
            self.report_gap(first, last);
        }
        for (ring_id, first, rows) in std::mem::take(&mut self.unverifiable) {
            self.findings.add(Verdict::Unverifiable, Some(first), format!("{} ({rows} rows)", absent_key(ring_id)));
        }
        if let Some((first, rows)) = self.untried.take() {
            self.findings.add(Verdict::Unverifiable, Some(first), format!("{UNTRIED} ({rows} rows)"));
        }
        let head_holds = self.compare_head(head);
        self.compare_signed_end(head_holds);
        let unanchored = self.unanchored();
        self.findings.report(self.project_id, (self.events, self.not_read), unanchored)
    }

    /// The first leaf under the first of `pairs` that differ and are not in doubt; each covers `2^height` leaves.
    pub(super) fn first_difference<'h>(&self, first: u64, height: u32, pairs: impl Iterator<Item = (&'h [u8], &'h [u8])>) -> Option<u64> {
        (first..)
            .step_by(1 << height)
            .zip(pairs)
            .find(|(leaf, (stored, computed))| stored != computed && !self.doubt.touches(*leaf, leaf + (1 << height) - 1))
            .map(|(leaf, _)| leaf)
    }

    /// A row that nothing is known against: it stands where its entry says.
    fn credible(&mut self, row: &Row<'_>, hashed: &Hashed, (outline, authentic): (&Outline, bool), full: &mut Vec<Tile>) {
        let place = outline.sequence;
        let mut named = true;
        if place >= self.next {
            named = self.compare_column(row.sequence, place);
            if place == self.next {
                named |= self.compare_link(row, place, authentic);
            } else {
                self.open_gap(place, full);
            }
            self.append(hashed, place, full);
            self.credible_end = self.next;
            self.last = Last { row_hash: row.row_hash.try_into().ok(), authentic, sound: true };
            self.compare_signed(place, row.row_hash);
        } else if self.close_gap(place) {
            if !self.compare_column(row.sequence, place) {
                self.findings.add(Verdict::Reordered, Some(place), "the row stands after later ones");
            }
        } else {
            self.second(row, place, authentic);
        }
        if !named && outline.hmac_key_id < self.ring_id_max {
            self.findings.add(Verdict::Altered, Some(place), "its key is older than that of the row before");
            named = true;
        }
        if authentic {
            self.ring_id_max = self.ring_id_max.max(outline.hmac_key_id);
        }
        let content = content_fault(outline, row, hashed).filter(|_| !named);
        if content.is_none() && row.wrap == Wrap::Untried {
            self.untried.get_or_insert((place, 0)).1 += 1;
        }
        for fault in content.into_iter().chain(retry_fault(hashed).filter(|_| !named)) {
            self.findings.found(Verdict::Altered, Some(place), fault);
        }
    }

    /// Two columns that were exchanged are a reordering, a single one is an alteration. Whether it named this row.
    fn compare_column(&mut self, column: u64, place: u64) -> bool {
        const DETAIL: &str = "two rows stand in each other's place";
        let shift = i128::from(column) - i128::from(place);
        if std::mem::replace(&mut self.shift, shift) == shift || shift == 0 {
            return false;
        }
        if let Some(at) = self.shifted.iter().position(|(own, other, _)| (*own, *other) == (column, place)) {
            let (_, _, finding) = self.shifted.swap_remove(at);
            self.findings.promote(finding, Verdict::Reordered, DETAIL);
            self.findings.add(Verdict::Reordered, Some(place), DETAIL);
        } else {
            let finding = self.findings.add(Verdict::Altered, Some(place), format!("its sequence column says {column}"));
            if self.shifted.len() < REMEMBERED_MAX {
                self.shifted.push((place, column, finding));
            }
        }
        true
    }

    /// Whether a place that was passed over is that of a row which comes late; it is not missing then.
    fn close_gap(&mut self, place: u64) -> bool {
        let Some(at) = self.gaps.iter().position(|(first, last)| (*first..=*last).contains(&place)) else { return false };
        let (first, last) = self.gaps.swap_remove(at);
        if first < place {
            self.gaps.push((first, place - 1));
        }
        if place < last {
            self.gaps.push((place + 1, last));
        }
        true
    }

    /// A row in whose place another one has been already.
    fn second(&mut self, row: &Row<'_>, place: u64, authentic: bool) {
        self.shift = i128::from(row.sequence) - i128::from(place);
        let newest = place + 1 == self.next;
        if newest && authentic && self.last.authentic && self.last.row_hash.is_some_and(|last| last != row.row_hash) {
            self.findings.add(Verdict::Forked, Some(place), "two rows that were both written by the ledger have this sequence");
            return;
        }
        self.findings.add(Verdict::Altered, Some(place), "there is a second row with this sequence");
        if newest && !self.last.sound {
            // The other one was put in its place: the next row follows this one.
            self.credible_end = self.next;
            self.last = Last { row_hash: row.row_hash.try_into().ok(), authentic, sound: true };
        }
    }

    /// Notes that rows from `next` up to `place` are not there, and gives the tree stand-ins for them.
    fn open_gap(&mut self, place: u64, full: &mut Vec<Tile>) {
        let mut first = self.next;
        self.strays.sort_unstable();
        self.strays.dedup();
        for stray in std::mem::take(&mut self.strays) {
            if stray >= place {
                self.strays.push(stray);
            } else if stray >= first {
                self.note_gap(first, stray);
                first = stray + 1;
            }
        }
        self.note_gap(first, place);
        self.doubt.add(self.next, place - 1);
        self.tree_lost |= place - self.next > GAP_FILLED_MAX;
        while !self.tree_lost && self.edge.size() < place {
            self.edge.append(GENESIS, full);
        }
        self.next = place;
    }

    /// Remembers `[first, end)` as passed over.
    fn note_gap(&mut self, first: u64, end: u64) {
        if first >= end {
            return;
        }
        if self.gaps.len() >= REMEMBERED_MAX {
            let (first, last) = self.gaps.remove(0);
            self.report_gap(first, last);
        }
        self.gaps.push((first, end - 1));
    }

    fn report_gap(&mut self, first: u64, last: u64) {
        let detail = if first == last { "the row is gone".to_owned() } else { format!("the rows up to sequence {last} are gone") };
        self.findings.add(Verdict::Missing, Some(first), detail);
    }

    /// Whether prev_hash is that of the row before, where that row is to be trusted.
    fn compare_link(&mut self, row: &Row<'_>, place: u64, authentic: bool) -> bool {
        if !self.last.sound || self.last.row_hash.is_none_or(|hash| hash == row.prev_hash) {
            return false;
        }
        if authentic && self.last.authentic && place > 0 {
            self.findings.add(Verdict::Forked, Some(place), "it was written after another row than the one before it");
        } else {
            self.findings.add(Verdict::Altered, Some(place), "prev_hash is not the row_hash of the row before");
        }
        true
    }

    /// A row that was changed. It keeps its place if it stands in line, and is otherwise only named.
    fn faulty(&mut self, row: &Row<'_>, hashed: &Hashed, (why, outline): (&str, Option<&Outline>), full: &mut Vec<Tile>) {
        if row.sequence != self.next {
            self.findings.add(Verdict::Altered, Some(row.sequence), format!("{why}; it stands out of line"));
            if row.sequence > self.next && self.strays.len() < REMEMBERED_MAX {
                self.strays.push(row.sequence);
            }
            return;
        }
        if !self.swapped(row, outline) {
            let finding = self.findings.add(Verdict::Altered, Some(row.sequence), why);
            self.remember_displaced(row, outline, finding);
        }
        self.doubt.add(row.sequence, row.sequence);
        self.append(hashed, row.sequence, full);
        self.last = Last { row_hash: row.row_hash.try_into().ok(), authentic: false, sound: false };
        self.compare_signed(row.sequence, row.row_hash);
    }

    /// Whether this entry and an earlier faulty one belong in each other's places. Their HMACs say so.
    fn swapped(&mut self, row: &Row<'_>, outline: Option<&Outline>) -> bool {
        const DETAIL: &str = "two entries stand in each other's place";
        let Some(outline) = outline else { return false };
        let place = |other: &Displaced| (other.place, other.own) == (outline.sequence, row.sequence);
        let Some(at) = self.displaced.iter().position(place) else { return false };
        let Ok(prev_hash) = <&Hash>::try_from(row.prev_hash) else { return false };
        let other = &self.displaced[at];
        let mut belongs = |ring_id, entry: &[u8], prev_hash: &Hash| {
            let expected = self.keys.get(ring_id).map(|keys| keys.row_hash(entry, prev_hash));
            expected.is_some_and(|hash| hash == other.row_hash || hash == row.row_hash)
        };
        if !belongs(outline.hmac_key_id, row.entry, &other.prev_hash) || !belongs(other.ring_id, &other.entry, prev_hash) {
            return false;
        }
        let finding = other.finding;
        self.displaced.swap_remove(at);
        self.findings.promote(finding, Verdict::Reordered, DETAIL);
        self.findings.add(Verdict::Reordered, Some(row.sequence), DETAIL);
        true
    }

    fn remember_displaced(&mut self, row: &Row<'_>, outline: Option<&Outline>, finding: Place) {
        let Some(outline) = outline.filter(|outline| outline.sequence != row.sequence && outline.project_id == self.project_id) else {
            return;
        };
        let (Ok(prev_hash), Ok(row_hash)) = (row.prev_hash.try_into(), row.row_hash.try_into()) else { return };
        if self.displaced.len() < DISPLACED_MAX {
            let (place, own, ring_id) = (row.sequence, outline.sequence, outline.hmac_key_id);
            self.displaced.push(Displaced { place, own, ring_id, entry: row.entry.to_vec(), prev_hash, row_hash, finding });
        }
    }

    fn append(&mut self, hashed: &Hashed, place: u64, full: &mut Vec<Tile>) {
        if !self.tree_lost {
            self.edge.append(hashed.leaf(), full);
        }
        self.next = place.saturating_add(1);
    }

    /// One finding for each key that is not there, with the number of its rows.
    fn count_unverifiable(&mut self, outline: &Outline) {
        let full = self.unverifiable.len() >= REMEMBERED_MAX;
        match self.unverifiable.iter_mut().find(|(ring_id, ..)| full || *ring_id == outline.hmac_key_id) {
            Some((_, _, rows)) => *rows += 1,
            None => self.unverifiable.push((outline.hmac_key_id, outline.sequence, 1)),
        }
    }
}
