//! A row of `audit.inbox`: read, opened, and made ready as an event of the chain, or found to be one that cannot be.
//!
//! Invariant: what may pass by itself (a key that is not there yet, a project that this server has not heard of, rules that just changed)
//! never makes a row one that cannot be chained.

use std::borrow::Cow;

use indelible_core::event::{Source, Submission};
use indelible_core::fault::Fault;
use indelible_core::json;
use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::keys::{Held, Keys};
use crate::access::Owner;
use crate::append::{Desk, Prepared, Recorder, reason};
use crate::resource::Project;
use crate::store::StoreError;
use crate::store::postgres::Session;
use crate::store::sql::{Param, Row as Stored, SqlResult};

/// `recorder.path` of what an application appended in its transaction.
pub(super) const TRANSACTION: &str = "transaction";
/// `recorder.path` of what a trigger captured.
pub(super) const ROW_CAPTURE: &str = "row_capture";
/// The noun of what the capture itself tells, which only the engine may write.
const CAPTURE_NOUN: &str = "row_capture.";

/// Rows that are taken at once.
const ROWS_MAX: i64 = 500;
/// Bytes of their events; one is always taken.
const BYTES_MAX: i64 = 8 * 1024 * 1024;

/// Rows that one thread opens alone.
const ALONE: usize = 8;

/// Visible rows in the order of their numbers. Numbers are drawn before transactions commit, so who asks begins at 0 again each time.
const READ: &str = "
    SELECT n, id, project_id, organization_id, role::text, source, event, sealed, floor(extract(epoch FROM received_at) * 1000000)::bigint
    FROM (SELECT *, sum(octet_length(event)) OVER (ORDER BY n) AS bytes
          FROM (SELECT * FROM inbox WHERE n > ?1 AND organization_id <> ALL (string_to_array(?2, ',')::uuid[]) ORDER BY n LIMIT ?3) AS first) AS summed
    WHERE bytes - octet_length(event) < ?4 ORDER BY n";

/// A row.
pub(super) struct Row {
    pub(super) n: i64,
    pub(super) id: Uuid,
    pub(super) project_id: Uuid,
    pub(super) organization_id: Uuid,
    /// Who logged in.
    pub(super) role: String,
    /// `append` or `watch`.
    pub(super) source: String,
    pub(super) event: Vec<u8>,
    pub(super) sealed: bool,
    pub(super) received_at: Timestamp,
}

/// Why a row does not become its event.
pub(super) enum Unchained {
    /// It may yet; why not now.
    Later(&'static str),
    /// It never will.
    Rejected(Cow<'static, str>),
}

/// The JSON of an event, or why there is none.
pub(super) type Opened<'r> = Result<Cow<'r, [u8]>, Unchained>;

impl Unchained {
    pub(super) const fn because(reason: &'static str) -> Self {
        Self::Rejected(Cow::Borrowed(reason))
    }
}

impl From<Fault> for Unchained {
    fn from(fault: Fault) -> Self {
        Self::Rejected(Cow::Owned(reason(&fault)))
    }
}

impl Row {
    /// The next rows after a number, but those of these organizations.
    pub(super) fn read(session: &Session, after: i64, without: &[Uuid]) -> Result<Vec<Self>, StoreError> {
        let without: Vec<String> = without.iter().map(Uuid::to_string).collect();
        let params = [Param::Integer(after), Param::Text(&without.join(",")), Param::Integer(ROWS_MAX), Param::Integer(BYTES_MAX)];
        let rows = session.query(&session.prepare(READ)?, &params)?;
        rows.iter().map(|row| Self::of(&Stored::Postgres(row)).map_err(StoreError::from)).collect()
    }

    fn of(row: &Stored<'_>) -> SqlResult<Self> {
        let uuid = |at: usize| row.get(at).map(Uuid::from_bytes);
        Ok(Self {
            n: row.get(0)?,
            id: uuid(1)?,
            project_id: uuid(2)?,
            organization_id: uuid(3)?,
            role: row.get(4)?,
            source: row.get(5)?,
            event: row.get(6)?,
            sealed: row.get::<_, i64>(7)? != 0,
            received_at: Timestamp::from_micros(row.get(8)?).unwrap_or(Timestamp::MIN),
        })
    }

    /// `recorder.path`
    pub(super) fn path(&self) -> &'static str {
        if self.source == "watch" { ROW_CAPTURE } else { TRANSACTION }
    }

    /// The JSON of its event.
    pub(super) fn open(&self, desk: &Desk, keys: &Keys) -> Opened<'_> {
        if !self.sealed {
            return Ok(Cow::Borrowed(&self.event));
        }
        let is_deleted = desk.registry.is_deleted(Owner::Organization(self.organization_id));
        match keys.of(self.organization_id) {
            Held::Ready(key) => key.open(&self.event).map(Cow::Owned).map_err(|_| Unchained::because("the event does not open")),
            // It may have been encrypted to the other one, whose private half may yet be put back.
            Held::Differs(key) => {
                key.open(&self.event).map(Cow::Owned).map_err(|_| Unchained::Later("it was encrypted to another key than is here"))
            }
            Held::Away if is_deleted => Err(Unchained::because("the key of the organization is gone")),
            Held::Away => Err(Unchained::Later("the key of the inbox is not here")),
        }
    }

    /// Reads its event. What the capture tells of itself is the engine's own, and nothing else is.
    pub(super) fn submission<'e>(&self, event: json::Value<'e>) -> Result<Submission<'e>, Fault> {
        let action = event.get("action").and_then(json::Value::as_str).unwrap_or_default();
        let own = self.source == "watch" && action.starts_with(CAPTURE_NOUN);
        Submission::read(event, if own { Source::Engine } else { Source::Caller }, self.id)
    }

    /// [`Self::open`] of many, on as many threads as there are processors: it is one operation with a private key each, and takes longer than all
    /// that follows.
    pub(super) fn open_all<'r>(rows: &'r [Self], desk: &Desk, keys: &Keys) -> Vec<Opened<'r>> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = rows.len().div_ceil(threads).max(ALONE);
        let open = |rows: &'r [Self]| rows.iter().map(|row| row.open(desk, keys)).collect::<Vec<_>>();
        if rows.len() <= share {
            return open(rows);
        }
        std::thread::scope(|scope| {
            let shares: Vec<_> = rows.chunks(share).map(|rows| scope.spawn(move || open(rows))).collect();
            shares.into_iter().flat_map(|share| share.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        })
    }

    /// Makes its event ready. `stored` says whether the store has a project that is not known here.
    pub(super) fn prepare(
        &self,
        desk: &Desk,
        opened: Opened<'_>,
        stored: impl FnOnce() -> Result<bool, StoreError>,
    ) -> Result<Result<Prepared, Unchained>, StoreError> {
        let Some(project) = desk.registry.project(self.project_id) else {
            let later = Unchained::Later("its project is not known here yet");
            return Ok(Err(if stored()? { later } else { Unchained::because("there is no such project") }));
        };
        Ok(self.prepare_for(desk, opened, &project))
    }

    fn prepare_for(&self, desk: &Desk, opened: Opened<'_>, project: &Project) -> Result<Prepared, Unchained> {
        if project.organization_id != self.organization_id {
            return Err(Unchained::because("the project is another organization's"));
        }
        if project.system {
            return Err(Unchained::because("a system project takes the engine's own events alone"));
        }
        if desk.registry.is_deleted(Owner::Project(project.id)) {
            return Err(Unchained::because("project_deleted"));
        }
        let event = opened?;
        let submission = self.submission(json::parse(&event)?)?;
        if submission.id() != self.id {
            return Err(Unchained::because("the event has another id than its row"));
        }
        if !desk.keystore.has_organization_key(project.organization_id) {
            return Err(Unchained::Later("the key of the organization is not here"));
        }
        let Some(number) = desk.registry.number_of(project.id) else { return Err(Unchained::Later("its project is not known here yet")) };
        let recorder = Recorder { assurance: "transactional", api_key_id: None, path: self.path() };
        Ok(desk.prepare(project, number, recorder, submission.received_at(self.received_at), false)?)
    }
}
