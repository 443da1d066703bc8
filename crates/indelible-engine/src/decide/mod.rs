//! Decisions: whether a subject may do an action on a resource, and the record of it, which is durable before the answer is given.
//!
//! In this order, the first that says anything decides: halts, then budgets, then policies (a forbid overrides every permit), then
//! the project's default. A policy that fails while it is evaluated denies. Nothing is decided that is not recorded.

mod asked;
mod book;
mod change;
pub(crate) mod language;
mod parts;
mod policies;
mod properties;
mod question;
mod record;
mod weigh;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use indelible_core::fault::Fault;
use indelible_core::time::Timestamp;
use uuid::Uuid;

use crate::access::{Caller, Owner, Scope};
use crate::apart::apart;
use crate::append::{AppendError, EngineEvent, Prepared};
use crate::ledger::Ledger;
use crate::resource::Project;
use crate::resource::kinds::budgets::Budget;
use crate::resource::kinds::project_settings::Enforcement;
use crate::spending::Spent;
use crate::write::{Privilege, Work};
use asked::Asked;
pub(crate) use book::Books;
use book::{Book, Ruling};
pub use change::Change;
pub use policies::Rule;
pub use question::{QUESTIONS_MAX, Question, Questions, Semantic};
use weigh::Weighed;

/// `action` of the record.
pub const ACTION: &str = "policy.decision";
/// From so many questions on, deciding is work that must not hold up the other tasks of a thread.
const INLINE_MAX: usize = 16;
/// And from so many bytes of them on.
const INLINE_BYTES_MAX: usize = 32 * 1024;

/// A decision, as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The event that records it.
    pub id: Uuid,
    /// The answer.
    pub decision: bool,
    /// What it would be if decisions counted; the answer, unless the project only looks on.
    pub would_be: bool,
    /// Whether the project only looks on (`enforcement` is `shadow`).
    pub shadow: bool,
    /// `allow`, `deny` or `error`.
    pub outcome: &'static str,
    /// What decided: `halt`, `budget`, `cedar`, `default`; `question` where it was none.
    pub engine: &'static str,
    /// The rules that determined it.
    pub rules: Vec<Rule>,
    /// Why, for those who operate.
    pub reason: String,
    /// Why, for those who asked.
    pub reason_user: &'static str,
    /// What else they should know.
    pub warnings: Vec<String>,
    /// What would have to be changed for it to be the other way round, all of it.
    pub changes: Vec<Change>,
    /// What was wrong with the question.
    pub fault: Option<Fault>,
}

/// Why nothing was decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecideError {
    /// The key does not allow it (403). It was recorded.
    #[error("{0}")]
    Forbidden(&'static str),
    /// What was spent cannot be told yet (503). It was recorded.
    #[error("{0}")]
    Unavailable(String),
    /// The decisions could not be recorded, so none is given.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl Ledger {
    /// Decides questions about a project, all by the same rules, and records every answer before it returns, all of them in one batch.
    ///
    /// Needs `events:append`: whoever may record what was done may ask what may be.
    pub async fn decide(&self, caller: &Caller, project: &Arc<Project>, questions: &Questions) -> Result<Vec<Decision>, DecideError> {
        self.inner.sharing.look().await?;
        self.check_asker(caller, project).await?;
        let book = self.book_of_now(caller, project).await?;
        let long = questions.asked.len() >= INLINE_MAX || questions.bytes > INLINE_BYTES_MAX;
        let (decisions, events) = apart(long, || self.decide_by(&book, caller, project, questions))?;
        // What forbade it may have ended with the project meanwhile.
        self.check_asker(caller, project).await?;
        // The space that is kept free is for reads.
        self.inner.writer.submit(Work::new(events, Privilege::Caller)).await?;
        Ok(decisions)
    }

    /// What decides in a project, once what was spent is known as far as it is asked for.
    async fn book_of_now(&self, caller: &Caller, project: &Arc<Project>) -> Result<Arc<Book>, DecideError> {
        let book = || self.inner.books.of(&self.inner.registry, project);
        let before = book();
        if before.budgets.is_empty() {
            return Ok(before);
        }
        if let Err(error) = self.spending_is_current().await {
            let reason = error.to_string();
            self.record(vec![EngineEvent::new(caller, project, ACTION, "error").because(reason.clone())]).await?;
            return Err(DecideError::Unavailable(reason));
        }
        // It may have taken long: what was acknowledged meanwhile counts.
        Ok(book())
    }

    async fn check_asker(&self, caller: &Caller, project: &Arc<Project>) -> Result<(), DecideError> {
        let refused = if !caller.has(Scope::EventsAppend) {
            "the key lacks events:append"
        } else if !self.sees(caller, project) {
            "the key does not belong to this project"
        } else if project.system {
            "a system project decides nothing"
        } else if self.inner.registry.is_deleted(Owner::Project(project.id)) {
            "the project was deleted and decides nothing more"
        } else {
            return Ok(());
        };
        let home = if self.sees(caller, project) { Arc::clone(project) } else { self.home_of(caller.owner)? };
        self.record(vec![EngineEvent::new(caller, &home, ACTION, "deny").because(refused)]).await?;
        Err(DecideError::Forbidden(refused))
    }

    fn decide_by(
        &self,
        book: &Book,
        caller: &Caller,
        project: &Arc<Project>,
        questions: &Questions,
    ) -> Result<(Vec<Decision>, Vec<Prepared>), AppendError> {
        let now = self.inner.clock.now();
        let number = self.inner.registry.number_of(project.id).unwrap_or_default();
        // Once for all questions: they are decided by the same sums.
        let known: RefCell<HashMap<Uuid, Spent>> = RefCell::default();
        let spent = |budget: &Ruling<Budget>| {
            let of = || self.inner.spending.spent(number, &budget.document, &book.prices, now);
            known.borrow_mut().entry(budget.id).or_insert_with(of).clone()
        };
        let (mut decisions, mut events) = (Vec::new(), Vec::new());
        for question in &questions.asked {
            let weighed = match question {
                Ok(question) => self.weigh(book, question, now, &spent),
                Err(fault) => Err(fault.clone()),
            };
            let weighed = weighed.unwrap_or_else(Weighed::faulty);
            let shadow = book.settings.enforcement == Enforcement::Shadow && weighed.fault.is_none();
            let decision = weighed.into_decision(shadow);
            let event = record::event(caller, project, question.as_ref().ok(), &decision);
            let prepared = self.inner.desk.prepare_own(event).map_err(|fault| AppendError::Fault { index: events.len(), fault })?;
            let decision = Decision { id: prepared.id(), ..decision };
            let last = questions.semantic.ends_at(decision.decision);
            decisions.push(decision);
            events.push(prepared);
            if last {
                break;
            }
        }
        Ok((decisions, events))
    }

    fn weigh(&self, book: &Book, question: &Question, now: Timestamp, spent: &dyn Fn(&Ruling<Budget>) -> Spent) -> Result<Weighed, Fault> {
        let asked = Asked::of(question, now)?;
        Ok(weigh::weigh(book, &self.inner.books.authorizer, question, &asked, spent))
    }
}
