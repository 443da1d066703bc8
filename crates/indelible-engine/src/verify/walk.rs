//! One pass over a ledger: a thread reads, several hash ([`lanes`]), one takes the rows in stored order and compares them with each other
//! and with what was signed, one compares with the index. A single read transaction, so a server may go on writing; memory stays
//! flat, whatever the number of rows. [`slices`] does the same on one thread, with rests.

mod causes;
mod ending;
mod going_on;
mod lanes;
pub(crate) mod slices;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::ScopedJoinHandle;

use indelible_core::chain::Hash;
use indelible_core::entry::Outline;
use indelible_core::key::ProjectKeys;
use indelible_core::policy::Policy;
use indelible_core::tree::Tile;
use indelible_core::verify::{Finding, Report, Retry, Row, Verdict, Verifier};
use uuid::Uuid;

use super::batch::{self, Batch, Lent, Span, StoredRow};
use super::cosigned::{self, Cosigned};
use super::examine::{Examiner, Wanted};
use super::gaps::Gaps;
use super::heads::{self, Stored};
use super::index::{Claim, Misplaced, Terms, claim};
use super::instance::{self, Bounds, InstanceFinding, InstanceTree};
use super::repeats::Repeats;
use super::resources::Resources;
use super::signed::{Signed, anchor_from};
use super::since::{Base, Plan, Settled, Since};
use super::told::Told;
use super::wrap::DataKey;
use super::{Progress, VerifyError};
use crate::anchor::CheckpointStore;
use crate::store::sql::{Connection, OptionalExtension, SqlError, params};

pub(crate) use lanes::workers;

/// Batches under way to the index.
const BATCHES_AHEAD: usize = 3;
/// Whatever their numbers.
pub(super) const EVERY_ROW: Span = Span { first: i64::MIN, last: i64::MAX };

/// Where keys are found.
pub(crate) trait Keys: Send + Sync {
    /// The keys of a project under a ring id.
    fn project_keys(&self, project_id: Uuid, ring_id: u64) -> Option<ProjectKeys>;
    /// A data key and the organization it belongs to.
    fn data_key(&self, id: i64) -> Option<DataKey>;
    /// Whether a stored data key opens under the key of its organization; `None` where that is not there.
    fn opens_data_key(&self, organization_id: Uuid, wrapped: &[u8]) -> Option<bool>;
    /// Data keys that are known to have been stored before the snapshot that is walked, and whose they are; none but by a server.
    fn stored_data_keys(&self) -> &[(i64, Uuid)] {
        &[]
    }
    /// Why keys are not there that should be, a sentence each.
    fn unusable(&self) -> &[String] {
        &[]
    }
    /// Public halves of the signing keys that the key store has, by id.
    fn signing_keys(&self) -> Vec<(u64, [u8; 32])>;
    /// The MAC of the note of a complete verification under a ring id, or the newest, and that id.
    fn verified_mac(&self, ring_id: Option<u64>, text: &str) -> Option<(u64, Hash)>;
}

/// Finds keys over a connection, or says why it cannot.
type FindKeys<'a> = dyn Fn(&Connection) -> Result<Arc<dyn Keys>, String> + 'a;

/// Connections and names that a walk needs.
pub(crate) struct Ground<'a> {
    /// The data folder.
    pub(crate) data: &'a Path,
    /// The checkpoint store; it need not be there.
    pub(crate) checkpoints: &'a CheckpointStore,
    /// Opens a reading connection to `ledger.db`.
    pub(crate) open: &'a (dyn Fn() -> Result<Connection, String> + Sync),
    /// Finds the keys, given the connection whose read transaction is walked: keys that were read before it began might
    /// not open what it sees.
    pub(crate) keys: &'a FindKeys<'a>,
    /// Only this project is reported, and only its rows are hashed.
    pub(crate) only: Option<Uuid>,
    /// What was verified before, and is not read again.
    pub(crate) since: Option<&'a Since>,
    /// Whose cosignatures on the instance tree are enough.
    pub(crate) policy: Option<&'a Policy>,
    /// Threads that hash; see [`workers`].
    pub(crate) workers: usize,
    /// Set by whoever no longer wants the result: the walk then ends soon, with [`VerifyError::Stopped`].
    pub(crate) stop: &'a AtomicBool,
}

impl Ground<'_> {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// What a walk over everything came to.
pub(crate) struct Walked {
    /// One report a project; those of projects that are not there last.
    pub(crate) reports: Vec<Report>,
    /// Findings that the ledger itself tells of.
    pub(crate) told: Told,
    /// Rows read.
    pub(crate) rows: u64,
    /// What a note may be left of, where everything was read and nothing is wrong.
    pub(crate) settled: Option<Settled>,
    /// Leaves of the instance tree, or rows of the project, that were verified before.
    pub(crate) since: Option<u64>,
    /// What witnesses said of the instance tree.
    pub(crate) cosigned: Cosigned,
}

pub(super) fn unreadable(error: &SqlError) -> VerifyError {
    VerifyError::Unreadable(format!("the ledger cannot be read: {error}"))
}

/// What is known before the rows are walked.
pub(super) struct Scene {
    stored: BTreeMap<i64, Stored>,
    resources: Resources,
    keys: Arc<dyn Keys>,
    signed: Signed,
    pub(super) instance: Option<InstanceTree>,
    /// What was verified before.
    base: Option<Base>,
    plan: Plan,
    /// Leaves of the newest signed checkpoint of the instance tree.
    instance_size: Option<i64>,
    pub(super) faults: Vec<InstanceFinding>,
    /// What is wrong with the store itself, told before all that follows from it.
    causes: Vec<Finding>,
    /// Projects that were signed and are not there.
    pub(super) removed: Vec<(Uuid, Finding)>,
    /// The last row.
    pub(super) rows_total: u64,
}

/// Begins the read transaction that is walked, and reads all that is not a row.
pub(super) fn scene(ground: &Ground<'_>, reading: &Connection, aside: &Connection) -> Result<Scene, VerifyError> {
    let failed = |error: SqlError| unreadable(&error);
    // Before the snapshot: what the store holds is then in the ledger already.
    let mut signed = Signed::before(aside, ground.checkpoints).map_err(failed)?;
    reading.begin_reading().map_err(failed)?;
    let stored = heads::load(reading).map_err(failed)?;
    let resources = Resources::load(reading).map_err(failed)?;
    let keys = (ground.keys)(reading).map_err(VerifyError::Unreadable)?;
    let causes = causes::causes(ground, reading, &stored, keys.as_ref()).map_err(failed)?;
    let mut faults = signed.load_keys(reading, &keys.signing_keys()).map_err(failed)?;
    let instance_size: Option<i64> =
        reading.query_row("SELECT max(size) FROM instance_checkpoints", [], |row| row.get(0)).map_err(failed)?;
    let instance_signed = instance_size.is_some();
    let of_anchors = stored.values().filter(|stored| stored.anchors.is_some()).map(|stored| stored.project_id);
    signed.look_again(ground.checkpoints, of_anchors.chain(instance_signed.then_some(None)));
    let known: BTreeSet<Uuid> = stored.values().filter_map(|stored| stored.project_id).collect();
    let asked = |id: Uuid| ground.only.is_none_or(|only| only == id);
    let removed: Vec<_> = signed.removed(&known).into_iter().filter(|(id, _)| asked(*id)).collect();
    if let Some(only) = ground.only.filter(|only| !known.contains(only) && removed.is_empty()) {
        return Err(VerifyError::NoProject(only));
    }
    let instance = signed.log(None).map(|log| {
        let last = signed.last(&log, instance_signed).unwrap_or_else(|finding| {
            faults.push(finding);
            None
        });
        Ok(InstanceTree { log, last, verified: None, bounds: Bounds::load(reading)? })
    });
    let instance = instance.transpose().map_err(failed)?;
    let base = ground.since.map(|since| since.base(&signed, keys.as_ref(), ground.checkpoints)).transpose()?;
    let rows_total: Option<i64> = reading.query_row("SELECT max(row) FROM events", [], |row| row.get(0)).map_err(failed)?;
    let faults = faults.into_iter().map(|finding| (None, finding)).collect();
    let rows_total = rows_total.unwrap_or(0).unsigned_abs();
    let plan = Plan::default();
    Ok(Scene { stored, resources, keys, signed, instance, base, plan, instance_size, faults, causes, removed, rows_total })
}

/// Verifies everything that one read transaction sees.
pub(crate) fn walk(ground: &Ground<'_>, progress: &mut dyn FnMut(Progress)) -> Result<Walked, VerifyError> {
    let open = || (ground.open)().map_err(VerifyError::Unreadable);
    let claim = claim(ground.data);
    let (reading, aside) = (open()?, open()?);
    let mut scene = scene(ground, &reading, &aside)?;
    if ground.since.is_some() {
        scene.go_on(ground, &reading)?;
    }
    let span = Span { first: scene.plan.first_row, ..EVERY_ROW };
    let (policy, instance_size) = (ground.policy, scene.instance_size);
    let (instance, rows_total, mut of_instance) = (scene.instance.take(), scene.rows_total, std::mem::take(&mut scene.faults));
    let removed = std::mem::take(&mut scene.removed);
    // Whether it hides a row is a question to all rows.
    let claim = claim.filter(|claim| ground.since.is_none() && claim.fits(&reading));
    let mut chains = Chains::new(ground, &aside, scene).map_err(|error| unreadable(&error))?;
    let wanted = Arc::new(chains.wanted());
    let all = (0..ground.workers.max(1)).map(|_| chains.examiner(&wanted, claim.as_ref().map(Claim::terms))).collect();
    let beside_index = open()?;
    let (read, worked, compared, taken) = std::thread::scope(|scope| {
        let (mut to_index, mut comparing) = (None, None);
        if let Some(claim) = claim {
            let (to, index) = sync_channel(BATCHES_AHEAD);
            to_index = Some(to);
            comparing = Some(scope.spawn(move || claim.check(&index, &beside_index)));
        }
        let (mut lanes, examined, workers) = lanes::open(scope, all);
        let stop = ground.stop;
        // The instance tree belongs to the same snapshot; while it is read, the last rows are hashed.
        let reader = scope.spawn(move || {
            let going = || !stop.load(Ordering::Relaxed);
            batch::read(&reading, span, &mut |batch| if going() { lanes.on(batch) } else { None })?;
            drop(lanes);
            let found = instance.map_or_else(|| Ok(Vec::new()), |tree| instance::check(&reading, tree, &going))?;
            Ok((found, cosigned::check(&reading, policy, instance_size, &going)?))
        });
        let taken = chains.take(examined, to_index.as_ref(), rows_total, progress);
        drop(to_index);
        let workers: Result<Vec<()>, _> = workers.into_iter().map(ScopedJoinHandle::join).collect();
        (reader.join(), workers, comparing.map(ScopedJoinHandle::join), taken)
    });
    let died = |_| VerifyError::Unreadable("a thread of the verification died".to_owned());
    let (found, (of_witnesses, cosigned)) = read.map_err(died)?.map_err(|error: SqlError| unreadable(&error))?;
    of_instance.extend(found.into_iter().chain(of_witnesses));
    worked.map_err(died)?;
    taken.map_err(|error| unreadable(&error))?;
    let misplaced = compared.transpose().map_err(died)?.map_or_else(Vec::new, misplaced);
    chains.end((of_instance, cosigned), misplaced, removed, &mut || !ground.is_stopped())
}

/// What was found of the index, or that it cannot be read.
pub(super) fn misplaced(found: Result<Vec<Misplaced>, SqlError>) -> Vec<Misplaced> {
    found.unwrap_or_else(|error| vec![Misplaced { project: 0, sequence: None, detail: format!("the index cannot be read: {error}") }])
}

/// The chains of all projects, each with its verifier.
pub(super) struct Chains<'a> {
    ground: &'a Ground<'a>,
    keys: Arc<dyn Keys>,
    ledger: &'a Connection,
    plan: Plan,
    base: Option<Base>,
    /// Leaves of the newest signed checkpoint of the instance tree.
    instance_size: Option<i64>,
    stored: BTreeMap<i64, Stored>,
    signed: Signed,
    verifiers: HashMap<i64, (Uuid, Verifier)>,
    /// What there is no project to say of: of the one that is asked for, or of the nil one.
    of_none: Option<Verifier>,
    /// By project number: size and row of the next anchor.
    anchor_ends: HashMap<i64, (u64, i64)>,
    repeats: Repeats,
    gaps: Gaps,
    resources: Resources,
    told: Told,
    rows: u64,
    /// Not told yet.
    causes: Vec<Finding>,
    /// By project number: whether any of its entries is of the organization that the ledger names.
    organizations: HashMap<i64, bool>,
    /// Rows by project number, of all projects.
    counts: HashMap<i64, u64>,
    /// By project number: time and row number of the row that its head counts as the last.
    ends: HashMap<i64, (i64, i64)>,
    /// The project of the last row so far.
    last: Option<i64>,
}

impl<'a> Chains<'a> {
    pub(super) fn new(ground: &'a Ground<'a>, ledger: &'a Connection, scene: Scene) -> Result<Self, SqlError> {
        let mut chains = Self {
            ground,
            keys: scene.keys,
            ledger,
            gaps: Gaps::from(scene.plan.first_row.max(1)),
            base: scene.base,
            instance_size: scene.instance_size,
            plan: scene.plan,
            stored: scene.stored,
            signed: scene.signed,
            verifiers: HashMap::new(),
            of_none: None,
            anchor_ends: HashMap::new(),
            repeats: Repeats::new(),
            resources: scene.resources,
            told: Told::default(),
            rows: 0,
            causes: scene.causes,
            organizations: HashMap::new(),
            counts: HashMap::new(),
            ends: HashMap::new(),
            last: None,
        };
        let known: Vec<(i64, Uuid)> = chains.stored.iter().filter_map(|(number, stored)| Some((*number, stored.project_id?))).collect();
        for (number, project_id) in known {
            chains.begin(number, project_id)?;
        }
        if !chains.verifiers.is_empty() {
            chains.tell_causes();
        }
        Ok(chains)
    }

    fn begin(&mut self, number: i64, project_id: Uuid) -> Result<(), SqlError> {
        let keys = Arc::clone(&self.keys);
        let mut verifier = Verifier::new(project_id, Box::new(move |ring_id| keys.project_keys(project_id, ring_id)));
        if let Some(log) = self.signed.log(Some(project_id)) {
            let has_anchors = self.stored.get(&number).is_some_and(|stored| stored.anchors.is_some());
            let last = self.signed.last(&log, has_anchors).unwrap_or_else(|finding| {
                verifier.finding(finding);
                None
            });
            self.resume(number, &mut verifier, last.as_ref())?;
            if let Some(last) = last {
                verifier.last_checkpoint(last);
            }
            verifier.signed_by(log);
        }
        self.verifiers.insert(number, (project_id, verifier));
        if self.is_asked(number) { self.feed(number) } else { Ok(()) }
    }

    /// Hands the verifier of a project the anchors that it wants.
    fn feed(&mut self, number: i64) -> Result<(), SqlError> {
        let last = self.stored.get(&number).and_then(|stored| stored.anchors).map_or(-1, |(_, last)| last);
        let Some((_, verifier)) = self.verifiers.get_mut(&number) else { return Ok(()) };
        while let Some(wanted) = verifier.wants_anchor() {
            let found = anchor_from(self.ledger, number, wanted, last)?;
            verifier.anchor(found.as_ref().map(|(anchor, _)| anchor));
            if let Some((anchor, row)) = found {
                self.anchor_ends.insert(number, (anchor.tree_size, row));
            }
        }
        Ok(())
    }

    /// The verifier of a project number. One without a name gets the name that its own rows give it.
    fn verifier(&mut self, number: i64, outline: Option<&Outline>) -> Result<&mut Verifier, SqlError> {
        if !self.verifiers.contains_key(&number) {
            let project_id = outline.map(|outline| outline.project_id).unwrap_or_default();
            self.begin(number, project_id)?;
            self.find(number, Verdict::Altered, None, format!("the ledger does not know the project number {number} of these rows"));
        }
        Ok(&mut self.verifiers.get_mut(&number).expect("the verifier was made above").1)
    }

    fn find(&mut self, number: i64, kind: Verdict, sequence: Option<u64>, detail: String) {
        // What belongs to no project is said of the one that is asked for, or of the first.
        let asked = |number: &&i64| self.is_asked(**number);
        let number = if self.verifiers.contains_key(&number) { Some(number) } else { self.verifiers.keys().filter(asked).min().copied() };
        let of_none = || Verifier::new(self.ground.only.unwrap_or_default(), Box::new(|_| None));
        let verifier = match number.and_then(|number| self.verifiers.get_mut(&number)) {
            Some((_, verifier)) => verifier,
            None => self.of_none.get_or_insert_with(of_none),
        };
        verifier.finding(Finding { kind, sequence, detail });
    }

    fn is_asked(&self, number: i64) -> bool {
        self.ground.only.is_none_or(|only| self.verifiers.get(&number).is_none_or(|(project_id, _)| *project_id == only))
    }

    /// Which rows are to be hashed: no fewer than those that are asked for.
    pub(super) fn wanted(&self) -> Wanted {
        let others = self.verifiers.keys().copied().filter(|number| !self.is_asked(*number)).collect();
        Wanted { others, after: self.plan.starts.iter().map(|(number, started)| (*number, started.last_row)).collect() }
    }

    /// Who hashes them.
    pub(super) fn examiner(&self, wanted: &Arc<Wanted>, terms: Option<Terms>) -> Examiner {
        Examiner::new(Arc::clone(&self.keys), Arc::clone(wanted), terms)
    }

    /// Takes all batches in stored order, and hands each on to the index.
    fn take(
        &mut self,
        mut examined: lanes::Examined,
        to_index: Option<&SyncSender<Arc<Batch>>>,
        rows_total: u64,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), SqlError> {
        let mut lent = Lent::default();
        while let Some(batch) = examined.next() {
            let batch = Arc::new(batch);
            if let Some(to_index) = to_index {
                // Why it takes no more is told where it is joined.
                drop(to_index.send(Arc::clone(&batch)));
            }
            self.batch(&batch)?;
            lent.lend(batch);
            while let Some(batch) = lent.returned() {
                examined.give_back(batch);
            }
            progress(Progress { rows: self.rows, rows_total: rows_total.max(self.rows) });
        }
        Ok(())
    }

    /// The next rows, which were examined.
    pub(super) fn batch(&mut self, batch: &Batch) -> Result<(), SqlError> {
        for row in &batch.rows {
            if self.plan.starts.get(&row.project).is_some_and(|started| row.row <= started.last_row) {
                self.gaps.row(row.row);
                continue;
            }
            self.count(row);
            self.hash_row(batch, row)?;
            if let Some(column) = row.otherwise {
                let detail = format!("the column {column} is not what the entry says: who asks in SQL is told otherwise");
                self.find(row.project, Verdict::Altered, Some(row.sequence as u64), detail);
            }
        }
        for (table, row) in &batch.orphans {
            let beside = batch.rows.iter().rfind(|found| found.row <= *row).map(|found| found.project).or(self.last);
            let detail = format!("{table}: row {row} lies beside no event");
            self.find(beside.unwrap_or_default(), Verdict::Altered, None, detail);
        }
        self.last = batch.rows.last().map(|row| row.project).or(self.last);
        self.rows += batch.rows.len() as u64;
        Ok(())
    }

    /// Rows so far.
    pub(super) const fn rows(&self) -> u64 {
        self.rows
    }

    /// What is noted of the rows of every project, asked for or not.
    fn count(&mut self, stored: &StoredRow) {
        self.gaps.row(stored.row);
        *self.counts.entry(stored.project).or_default() += 1;
        let head = self.stored.get(&stored.project).and_then(|known| known.head.as_ref());
        if head.is_some_and(|head| head.size.checked_sub(1) == Some(stored.sequence as u64))
            && let Some(outline) = &stored.outline
        {
            self.ends.entry(stored.project).or_insert((outline.recorded_at.as_micros(), stored.row));
        }
    }

    fn hash_row(&mut self, batch: &Batch, stored: &StoredRow) -> Result<(), SqlError> {
        // One that is asked for was hashed; were it not, it would be missing here.
        let Some((hashed, wrap)) = stored.examined.as_ref().filter(|_| self.is_asked(stored.project)) else { return Ok(()) };
        let entry = batch.bytes(&stored.entry);
        let id = batch.bytes(&stored.id);
        let content = stored.content.as_ref().map(|content| batch.bytes(content));
        let outline = stored.outline.as_ref();
        self.repeats.add(stored.project, id, stored.row);
        let row = Row {
            sequence: stored.sequence as u64,
            entry,
            outline,
            prev_hash: batch.bytes(&stored.prev_hash),
            row_hash: batch.bytes(&stored.row_hash),
            retry: Retry {
                submission_key_id: stored.submission_key_id as u64,
                submission_mac: batch.bytes(&stored.submission_mac),
                retry_mac: batch.bytes(&stored.retry_mac),
            },
            content,
            wrap: *wrap,
        };
        let mut full: Vec<Tile> = Vec::new();
        let verifier = self.verifier(stored.project, outline)?;
        verifier.hashed_row(&row, hashed, &mut full);
        let hungry = verifier.wants_anchor().is_some();
        if let Some((_, end)) = self.anchor_ends.get(&stored.project).filter(|(size, _)| *size == row.sequence + 1)
            && *end != stored.row
        {
            let detail = "the anchor that ends here: its last_row is not this row".to_owned();
            self.find(stored.project, Verdict::Altered, Some(row.sequence), detail);
        }
        if hungry {
            self.feed(stored.project)?;
        }
        if let Some((project_id, _)) = self.verifiers.get(&stored.project) {
            self.resources.entry(*project_id, stored.sequence as u64, entry);
            self.told.entry(*project_id, entry);
        }
        if outline.is_some_and(|outline| outline.id.as_bytes() != id) {
            let detail = "the id column is not the id of the entry".to_owned();
            self.find(stored.project, Verdict::Altered, Some(stored.sequence as u64), detail);
        }
        let known = self.stored.get(&stored.project).filter(|known| known.project_id.is_some());
        if let Some((known, outline)) = known.zip(outline) {
            *self.organizations.entry(stored.project).or_default() |= known.organization_id == Some(outline.organization_id);
        }
        for tile in full {
            let held: Option<Vec<u8>> = self
                .ledger
                .prepare("SELECT hashes FROM tiles WHERE project = ?1 AND level = ?2 AND position = ?3")?
                .query_row(params![stored.project, tile.level, tile.index as i64], |row| row.get(0))
                .optional()?;
            self.verifier(stored.project, outline)?.tile(&tile, held.as_deref());
        }
        Ok(())
    }
}
