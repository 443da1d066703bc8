//! Whether an id stands twice in a project, in memory that grows by 44 bits a row, by 12 after 32 million rows.
//!
//! A Bloom filter tells which ids may have been seen before. Where the few that it names may stand is told by 32 bits of
//! each row's id, as long as those are kept; after that, by a second pass over the ids alone.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use crate::index::{Bloom, Token, TokenKey, open_reader, path};
use crate::store::sql::{Connection, SqlError};

/// Suspects kept; a ledger in which more ids repeat is in a state that a thousand findings describe as well.
const SUSPECTS_MAX: usize = 1_000_000;

/// Rows of which 32 bits are kept: 128 MiB.
const PRINTS_MAX: usize = 1 << 25;

/// What is kept of the hash of an id.
const fn print(token: Token) -> u32 {
    token.0 as u32
}
/// Rows that the second pass looks at in one statement.
const PAGE_ROWS: i64 = 16_384;

/// Ids so far.
pub(super) struct Repeats {
    seen: Bloom,
    /// Known to nobody, so that who chooses ids cannot choose many of one hash.
    key: TokenKey,
    /// Of each row from 1 on; `None` where rows are not asked for or not there, or are too many.
    prints: Option<Vec<u32>>,
    suspects: HashMap<(i64, [u8; 16]), Vec<i64>>,
    rows: i64,
}

impl Repeats {
    pub(super) fn new() -> Self {
        let random = RandomState::new();
        let key = u128::from(random.hash_one(0)) << 64 | u128::from(random.hash_one(1));
        let key = TokenKey::new(key.to_le_bytes());
        Self { seen: Bloom::with_room_for(0), key, prints: Some(Vec::new()), suspects: HashMap::new(), rows: 0 }
    }

    /// Takes note of a row.
    pub(super) fn add(&mut self, project: i64, id: &[u8], row: i64) {
        let Ok(id) = <[u8; 16]>::try_from(id) else { return };
        self.rows = self.rows.max(row);
        let token = self.key.id_hash(project, id);
        self.prints = self.prints.take().filter(|prints| prints.len() < PRINTS_MAX && row == prints.len() as i64 + 1);
        if let Some(prints) = &mut self.prints {
            prints.push(print(token));
        }
        if !self.seen.first_seen(token) && self.suspects.len() < SUSPECTS_MAX {
            self.suspects.entry((project, id)).or_default();
        }
    }

    /// The repetitions: project number, sequence of the second, one sentence. `rest` is called now and then, with no transaction open,
    /// and says whether to go on; where it does not, what is returned means nothing.
    pub(super) fn find(
        mut self,
        ledger: &Connection,
        data: &Path,
        rest: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<(i64, u64, String)>, SqlError> {
        if self.suspects.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(prints) = self.prints.take() {
            self.match_prints(&prints);
            return self.look(ledger);
        }
        // The index holds the same columns in a tenth of the space, where it covers all; what it names is read from the ledger.
        let covered = open_reader(&path(data)).ok().map(Connection::from).filter(|index| {
            let through = index.query_row("SELECT through FROM state", [], |row| row.get::<_, i64>(0));
            through.is_ok_and(|through| through >= self.rows)
        });
        match covered.as_ref().map(|index| self.collect(index, "rows", rest)) {
            Some(Ok(())) => {}
            _ => self.collect(ledger, "events", rest)?,
        }
        self.look(ledger)
    }

    /// Looks at each row where a suspect may stand.
    fn look(&self, ledger: &Connection) -> Result<Vec<(i64, u64, String)>, SqlError> {
        let mut found = Vec::new();
        let mut statement = ledger.prepare("SELECT sequence FROM events WHERE row = ?1 AND project = ?2 AND id = ?3")?;
        // Most suspects are false yeses of the filter and stand once: looking each of them up would cost more than the walk.
        for ((project, id), rows) in self.suspects.iter().filter(|(_, rows)| rows.len() > 1) {
            let mut sequences = Vec::new();
            for row in rows {
                let mut at = statement.query((row, project, id))?;
                while let Some(row) = at.next()? {
                    sequences.push(row.get::<_, i64>(0)? as u64);
                }
            }
            if let Some((first, others)) = sequences.split_first() {
                found.extend(others.iter().map(|other| (*project, *other, format!("the event of sequence {first} has the same id"))));
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Notes where the suspects may stand, by what was kept of each row.
    fn match_prints(&mut self, prints: &[u32]) {
        let mut of_print: HashMap<u32, Vec<(i64, [u8; 16])>> = HashMap::new();
        for (project, id) in self.suspects.keys() {
            of_print.entry(print(self.key.id_hash(*project, *id))).or_default().push((*project, *id));
        }
        for (at, print) in prints.iter().enumerate() {
            for suspect in of_print.get(print).into_iter().flatten() {
                self.suspects.entry(*suspect).or_default().push(at as i64 + 1);
            }
        }
    }

    fn collect(&mut self, connection: &Connection, table: &str, rest: &mut dyn FnMut() -> bool) -> Result<(), SqlError> {
        self.suspects.values_mut().for_each(Vec::clear);
        let mut statement =
            connection.prepare(&format!("SELECT project, id, row FROM {table} WHERE row BETWEEN ?1 AND ?2 ORDER BY row"))?;
        let (mut first, mut last) = (i64::MIN, PAGE_ROWS);
        while first <= self.rows {
            let mut rows = statement.query([first, last.min(self.rows)])?;
            while let Some(row) = rows.next()? {
                let Some(id) = row.get_ref(1)?.as_bytes().and_then(|id| id.try_into().ok()) else { continue };
                if let Some(suspect) = self.suspects.get_mut(&(row.get(0)?, id)) {
                    suspect.push(row.get(2)?);
                }
            }
            drop(rows);
            (first, last) = (last.saturating_add(1), last.saturating_add(PAGE_ROWS));
            if !rest() {
                break;
            }
        }
        Ok(())
    }
}
