//! One read of the log, from who asks to what is recorded of it. Nothing is answered that is not recorded: what was
//! returned, what was opened, and why a read was refused or failed.

use std::sync::Arc;
use std::time::Duration;

use indelible_core::limits::PURPOSE_BYTES_MAX;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::open::{Opened, open, record, record_apart};
use super::polls::Mark;
use super::scan::{Deadline, Found, Scan, ScanError};
use super::{Opening, ReadError};
use crate::access::{Caller, Owner, Scope};
use crate::append::{DecryptMembers, EngineEvent, ReadMembers, ResourceMembers};
use crate::index::{Direction, IndexError, Postings, View};
use crate::ledger::Ledger;
use crate::resource::Project;
use crate::store::sql::{Connection, OptionalExtension, SqlResult};
use indelible_core::filter::Filter;

/// How long a read waits for the index to reach the ledger's head.
const INDEX_WAIT_MAX: Duration = Duration::from_secs(5);
/// Rows that are looked at one by one rather than waited for: about what waiting for a small transaction of the index would cost,
/// which a reader who asks again and again would otherwise pay for its own records.
const TAIL_ROWS_MAX: i64 = 256;
/// How long a read may take, the wait for a free lane included.
const QUERY_TIME_MAX: Duration = Duration::from_secs(10);

/// Who reads what, and why.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    pub(crate) caller: Caller,
    pub(crate) project: Arc<Project>,
    /// `audit.read`, or the action that says more exactly what this read is.
    pub(crate) action: &'static str,
    /// `resource.type` and `resource.id` of the record.
    pub(crate) kind: &'static str,
    pub(crate) id: String,
    pub(crate) filter: Option<String>,
    pub(crate) opening: Opening,
    /// Whether it shows no more than what candidates become (`Lane::scan`), so that a plain member may ask it.
    pub(crate) by_candidates: bool,
}

/// What is recorded of a read that was answered.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Events returned.
    pub(crate) returned: u64,
    /// Each record whose content was asked for and there: its id, and why it did not open.
    pub(crate) opened: Vec<(Uuid, Option<&'static str>)>,
    /// Said beside.
    pub(crate) remark: Option<String>,
    /// Not recorded by itself (polls of the feed).
    pub(crate) coalesced: bool,
    /// A poll of the feed whose record opens a minute.
    pub(crate) poll: Option<Mark>,
}

impl Account {
    /// Takes note of a content that was opened, or would not.
    pub(crate) fn note(&mut self, found: &Found, opened: &Opened) {
        match opened {
            Opened::None => {}
            Opened::Content(_) => self.opened.push((found.id(), None)),
            Opened::Failed(reason) => self.opened.push((found.id(), Some(reason))),
        }
    }
}

impl Reading {
    /// A read by `caller`; of the project as a whole where `id` is empty.
    pub(crate) fn new(caller: &Caller, project: &Project, kind: &'static str, id: impl Into<String>, opening: &Opening) -> Self {
        let project = Arc::new(project.clone());
        let mut id = id.into();
        if id.is_empty() {
            id = project.id.hyphenated().to_string();
        }
        Self {
            caller: caller.clone(),
            project,
            action: "audit.read",
            kind,
            id,
            filter: None,
            opening: opening.clone(),
            by_candidates: false,
        }
    }

    /// The same as one that shows nothing but what comes out of [`Lane::scan`].
    pub(crate) fn by_candidates(self) -> Self {
        Self { by_candidates: true, ..self }
    }

    /// Whether the caller may.
    pub(crate) fn authorise(&self, ledger: &Ledger) -> Result<(), ReadError> {
        if !ledger.inner.registry.is_within(Owner::Project(self.project.id), self.caller.owner()) {
            return Err(ReadError::NotFound("project"));
        }
        let needs = |scope: Scope| if self.caller.has(scope) { Ok(()) } else { Err(ReadError::Forbidden(scope.as_str().to_owned())) };
        if !(self.by_candidates && Ledger::sees_apart(&self.caller)) {
            needs(Scope::AuditRead)?;
        }
        let purpose = self.opening.purpose.as_deref().map_or("", str::trim);
        if purpose.len() > PURPOSE_BYTES_MAX {
            return Err(ReadError::Purpose(format!("a purpose has at most {PURPOSE_BYTES_MAX} bytes")));
        }
        if self.opening.content {
            needs(Scope::ContentDecrypt)?;
            if purpose.is_empty() {
                return Err(ReadError::Purpose("opening content needs a purpose".to_owned()));
            }
        }
        Ok(())
    }

    pub(crate) fn event(&self, outcome: &'static str, returned: u64, reason: Option<String>) -> EngineEvent {
        let mut event = EngineEvent::new(&self.caller, &self.project, self.action, outcome);
        event.reason = reason;
        event.resource = Some(ResourceMembers { kind: self.kind, id: self.id.clone(), parent: None });
        event.read = Some(ReadMembers { filter: self.filter.clone(), purpose: self.opening.purpose.clone(), returned });
        event
    }

    pub(crate) fn decrypt(&self, id: Uuid, failed: Option<&'static str>) -> EngineEvent {
        let outcome = if failed.is_some() { "error" } else { "allow" };
        let mut event = EngineEvent::new(&self.caller, &self.project, "content.decrypt", outcome);
        event.reason = failed.map(str::to_owned);
        let user = self.caller.actor.get("id").and_then(|id| id.as_str()).unwrap_or_default().to_owned();
        event.decrypt = Some(DecryptMembers {
            purpose: self.opening.purpose.clone().unwrap_or_default(),
            record_type: "event",
            record_id: id.hyphenated().to_string(),
            user_id: user,
        });
        event
    }

    /// What a read that was not answered leaves. The reason is one of ours and repeats nothing of the request.
    pub(crate) fn refusal(&self, error: &ReadError) -> EngineEvent {
        let (outcome, reason) = match error {
            ReadError::Forbidden(scope) => ("deny", format!("the key lacks {scope}")),
            ReadError::NotFound(what) => ("error", format!("there is no such {what}")),
            ReadError::Filter(_) => ("error", "the filter is not valid".to_owned()),
            ReadError::Cursor => ("error", "the cursor does not belong to this query".to_owned()),
            ReadError::Purpose(reason) | ReadError::Options(reason) | ReadError::Unavailable(reason) => ("error", reason.clone()),
            ReadError::NotAnchored { .. } => ("error", "nothing that was signed covers it yet".to_owned()),
            ReadError::Deleted | ReadError::Unprovable(_) => ("error", error.to_string()),
            ReadError::Append(_) => ("error", "the read could not be recorded".to_owned()),
        };
        self.event(outcome, 0, Some(reason))
    }
}

/// What a read works with on its thread.
pub(crate) struct Lane<'a> {
    pub(crate) ledger: &'a Ledger,
    pub(crate) reading: &'a Arc<Reading>,
    /// `ledgers.project`
    pub(crate) number: i64,
    pub(crate) deadline: Deadline,
}

/// The head of a project as it was when a read came.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HeadMark {
    /// Rows of the project.
    pub(crate) size: u64,
    /// The ledger's number of the last.
    pub(crate) last_row: i64,
}

impl HeadMark {
    /// That of a project as it is now.
    pub(crate) fn read(ledger: &Connection, project: i64) -> SqlResult<Self> {
        let mut statement = ledger.prepare("SELECT size, last_row FROM heads WHERE project = ?1")?;
        let found = statement.query_row([project], |row| Ok(Self { size: row.get::<_, i64>(0)?.unsigned_abs(), last_row: row.get(1)? }));
        Ok(found.optional()?.unwrap_or_default())
    }
}

impl Lane<'_> {
    /// The head as it is now.
    pub(crate) fn head(&self) -> Result<HeadMark, ReadError> {
        HeadMark::read(&*self.reader()?, self.number).map_err(|error| unreadable(&ScanError::from(error)))
    }

    /// A connection to the ledger.
    pub(crate) fn reader(&self) -> Result<crate::store::Reader, ReadError> {
        self.ledger.inner.readers.get().map_err(|error| {
            tracing::error!(%error, "a reading connection could not be opened");
            ReadError::Unavailable("the store cannot be read now".to_owned())
        })
    }

    /// Waits until the index has come to `row`.
    fn wait_for_index(&self, row: i64) -> Result<Arc<View>, ReadError> {
        let index = &self.ledger.inner.index;
        let wait = Deadline::after(INDEX_WAIT_MAX);
        index
            .view_at(row, &|| !wait.is_over())
            .ok_or_else(|| ReadError::Unavailable("the index has not caught up with the ledger; try again shortly".to_owned()))
    }

    /// Runs `with` on a scan of the project up to `head`. The index has to have come near it, no more.
    pub(crate) fn scan<T>(
        &self,
        head: HeadMark,
        filter: Option<&Filter>,
        with: impl FnOnce(&Scan<'_>) -> Result<T, ScanError>,
    ) -> Result<T, ReadError> {
        let view = self.wait_for_index(head.last_row.saturating_sub(TAIL_ROWS_MAX).max(0))?;
        let index = view.reader().map_err(|error| self.failed(ScanError::Index(error)))?;
        let ledger = self.reader()?;
        let names = (self.number, self.reading.project.id);
        let seen = self.ledger.sight(&self.reading.caller, &self.reading.project);
        let both = seen.map(|seen| Filter::all_of(filter.cloned().into_iter().chain([seen])));
        let filter = both.as_ref().or(filter);
        let scan = Scan::new(&view, (&index, &ledger), names, head.last_row, filter, self.deadline);
        with(&scan).map_err(|error| self.failed(error))
    }

    /// The row before this one in the project.
    pub(crate) fn row_before(&self, row: i64) -> Result<Option<i64>, ReadError> {
        let view = self.wait_for_index(row - 1)?;
        let read = || -> Result<Option<i64>, ScanError> {
            let (index, mut before) = (view.reader()?, None);
            let every = Postings::token(view.key().every_row(self.number));
            every.read(&index, (1, row - 1), Direction::Descending, |found| {
                before = Some(found);
                Ok::<_, ScanError>(false)
            })?;
            Ok(before)
        };
        read().map_err(|error| self.failed(error))
    }

    /// A row as this reader gets it.
    pub(crate) fn record(&self, found: &Found, opened: &Opened) -> Vec<u8> {
        if Ledger::sees_apart(&self.reading.caller) { record_apart(found) } else { record(found, opened) }
    }

    /// Opens contents where they are asked for, and takes note of it.
    pub(crate) fn open(&self, found: &Found, account: &mut Account) -> Result<Opened, ReadError> {
        let opened = self.open_unnoted(found)?;
        account.note(found, &opened);
        Ok(opened)
    }

    /// [`Self::open`] for who does not know yet whether it will be shown; then [`Account::note`] is due.
    pub(crate) fn open_unnoted(&self, found: &Found) -> Result<Opened, ReadError> {
        if !self.reading.opening.content {
            return Ok(Opened::None);
        }
        let reader = self.reader()?;
        open(&reader, &self.ledger.inner.desk.data_keys, found).map_err(|error| self.failed(error))
    }

    /// What a failed scan is to the one who asked; an index that cannot be read is built anew.
    pub(crate) fn failed(&self, error: ScanError) -> ReadError {
        match error {
            ScanError::Index(error) => ReadError::Unavailable(self.ledger.inner.index.distrust(error).to_string()),
            error => unreadable(&error),
        }
    }
}

fn unreadable(error: &ScanError) -> ReadError {
    ReadError::Unavailable(match error {
        ScanError::TooLong => {
            "the query took longer than 10 s; narrow it with an equality (such as actor.id or action) or with bounds on occurred_at"
                .to_owned()
        }
        error => {
            tracing::error!(%error, "a read failed");
            "the store cannot be read now".to_owned()
        }
    })
}

impl From<IndexError> for ReadError {
    fn from(error: IndexError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl Ledger {
    /// Does one read: authorises, runs `work` on a thread of its own, records, and only then answers.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        reading: Reading,
        work: impl FnOnce(&Lane<'_>, &mut Account) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let lanes = Arc::clone(&self.inner.index.lanes);
        let lane = async {
            let busy = || ReadError::Unavailable("too many reads are running; try again shortly".to_owned());
            tokio::time::timeout(QUERY_TIME_MAX, lanes.acquire_owned()).await.map_err(|_| busy())?.map_err(|_| busy())
        };
        self.read_on(lane, QUERY_TIME_MAX, reading, work).await
    }

    /// [`Self::read`] of a whole project, with a time of its own: one at a time, and beside the others' lanes.
    pub(crate) async fn read_for<T: Send + 'static>(
        &self,
        time_max: Duration,
        reading: Reading,
        work: impl FnOnce(&Lane<'_>, &mut Account) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let permits = Arc::clone(&self.inner.index.verifications);
        let lane = async {
            permits.try_acquire_owned().map_err(|_| ReadError::Unavailable("a verification is under way; try again later".to_owned()))
        };
        self.read_on(lane, time_max, reading, work).await
    }

    async fn read_on<T: Send + 'static>(
        &self,
        lane: impl Future<Output = Result<OwnedSemaphorePermit, ReadError>>,
        time_max: Duration,
        reading: Reading,
        work: impl FnOnce(&Lane<'_>, &mut Account) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let reading = Arc::new(reading);
        let result = match reading.authorise(self) {
            Ok(()) => self.on_a_lane(lane, time_max, Arc::clone(&reading), work).await,
            Err(error) => Err(error),
        };
        match result {
            Ok((answer, account)) => {
                let mut events = Vec::with_capacity(account.opened.len() + 1);
                if !account.coalesced {
                    events.push(reading.event("allow", account.returned, account.remark));
                }
                events.extend(account.opened.iter().map(|(id, failed)| reading.decrypt(*id, *failed)));
                events.extend(account.poll.iter().flat_map(Mark::beside));
                if !events.is_empty() {
                    self.record(events).await?;
                }
                if let Some(poll) = account.poll {
                    self.inner.index.polls.recorded(poll);
                }
                Ok(answer)
            }
            Err(error) => {
                // A project that is not the caller's learns nothing of the caller either: the record stays at home.
                if error != ReadError::NotFound("project") {
                    self.record(vec![reading.refusal(&error)]).await?;
                }
                Err(error)
            }
        }
    }

    async fn on_a_lane<T: Send + 'static>(
        &self,
        lane: impl Future<Output = Result<OwnedSemaphorePermit, ReadError>>,
        time_max: Duration,
        reading: Arc<Reading>,
        work: impl FnOnce(&Lane<'_>, &mut Account) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<(T, Account), ReadError> {
        let deadline = Deadline::after(time_max);
        let number = self.inner.registry.number_of(reading.project.id).ok_or(ReadError::NotFound("project"))?;
        let lane = lane.await?;
        let ledger = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let mut account = Account::default();
            let answer = work(&Lane { ledger: &ledger, reading: &reading, number, deadline }, &mut account);
            drop(lane);
            answer.map(|answer| (answer, account))
        });
        task.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a read panicked");
            Err(ReadError::Unavailable("the read failed".to_owned()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Envelope;
    use crate::ledger::Options;
    use crate::query::Search;

    #[test]
    fn one_verification_at_a_time_and_reads_go_on_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut options = Options::new(folder.path().join("data"));
        options.disk_reserve_bytes = 0;
        let opened = Ledger::open(options).expect("it opens");
        let (ledger, first) = (opened.ledger, opened.first_start.expect("a first start"));
        let secret = std::fs::read_to_string(first.admin_key_file).expect("a key");
        let caller = ledger.authenticate(Some(secret.trim()), Envelope::default()).expect("recognised");
        let project = ledger.project_of(&caller, None).expect("a project");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let lanes = ledger.inner.index.lanes.available_permits();
            let other = Arc::clone(&ledger.inner.index.verifications).try_acquire_owned().expect("none is under way");
            let refused = ledger.verify_project(&caller, &project).await.expect_err("one is under way");
            assert_eq!(refused, ReadError::Unavailable("a verification is under way; try again later".to_owned()));
            ledger.search(&caller, &project, Search::default()).await.expect("a page");
            drop(other);
            let all = Arc::clone(&ledger.inner.index.lanes).acquire_many_owned(lanes as u32).await.expect("every lane");
            ledger.verify_project(&caller, &project).await.expect("needs no lane");
            drop(all);
        });
    }
}
