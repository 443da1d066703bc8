//! The record of one export: its intent before anything is read, each content before it leaves, and how it ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use indelible_core::bundle::Manifest;
use indelible_core::extract::Head;
use indelible_core::hex;
use uuid::Uuid;

use super::write::{ExportError, Sent};
use crate::append::{AppendError, EngineEvent, OwnId};
use crate::ledger::Ledger;
use crate::query::ReadError;
use crate::query::reading::Reading;
use crate::write::{Privilege, Work};

/// What is recorded of one export. Dropped before its end it records that it was broken off, and what had been sent.
pub(super) struct Journal {
    pub(super) ledger: Ledger,
    pub(super) reading: Arc<Reading>,
    /// `operation_id`
    operation: Uuid,
    /// The id of its outcome. Nobody else knows it before that is on record, or he could put something else in its place.
    outcome: Uuid,
    /// Whether an outcome may be on record though nobody said so: a COMMIT that failed may have persisted.
    tried: bool,
    form: &'static str,
    details: Vec<(&'static str, String)>,
    /// Handed on so far.
    pub(super) sent: Sent,
    ended: bool,
    /// Whether its end is known to be on record.
    told: Arc<AtomicBool>,
}

impl Journal {
    /// Records what is asked; durable when it returns.
    pub(super) async fn begin(
        ledger: &Ledger,
        reading: Arc<Reading>,
        form: &'static str,
        mut asked: Vec<(&'static str, String)>,
    ) -> Result<Self, AppendError> {
        asked.push(("form", form.to_owned()));
        let operation = ledger.new_id();
        let mut event = reading.event("", 0, None);
        event.operation = Some((operation, "intent"));
        event.context.clone_from(&asked);
        ledger.record(vec![event]).await?;
        Ok(Self {
            ledger: ledger.clone(),
            reading,
            operation,
            outcome: ledger.new_id(),
            tried: false,
            form,
            details: asked,
            sent: Sent::default(),
            ended: false,
            told: Arc::default(),
        })
    }

    /// What intent and outcome have in common.
    pub(super) const fn operation(&self) -> Uuid {
        self.operation
    }

    /// The id of its outcome.
    pub(super) const fn outcome_id(&self) -> Uuid {
        self.outcome
    }

    /// Whether its end is known to be on record, once it is dropped.
    pub(super) fn told(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.told)
    }

    /// What is made, for the outcome.
    pub(super) fn describe(&mut self, manifest: &Manifest, bytes: &[u8]) {
        self.details = vec![
            ("form", self.form.to_owned()),
            ("manifest_sha256", hex::encode(digest(&SHA256, bytes).as_ref())),
            ("kind", manifest.kind.as_str().to_owned()),
            ("first_sequence", manifest.first_sequence.to_string()),
            ("last_sequence", manifest.last_sequence.to_string()),
            ("tree_size", manifest.tree_size.to_string()),
            ("entries", manifest.entries_included.to_string()),
            ("content", manifest.content_included.to_string()),
        ];
    }

    /// The same of an extract.
    pub(super) fn describe_extract(&mut self, head: &Head) {
        self.details = vec![
            ("form", self.form.to_owned()),
            ("first_sequence", head.first_sequence.to_string()),
            ("last_sequence", head.last_sequence.to_string()),
            ("tree_size", head.tree_size.to_string()),
            ("content", head.content_included.to_string()),
        ];
    }

    /// Something more for the outcome.
    pub(super) fn add(&mut self, details: Vec<(&'static str, String)>) {
        self.details.extend(details);
    }

    fn outcome(&self, outcome: &'static str, reason: Option<String>) -> EngineEvent {
        let mut event = self.reading.event(outcome, self.sent.entries, reason);
        event.id = if self.tried { OwnId::Again(self.outcome) } else { OwnId::Drawn(self.outcome) };
        event.operation = Some((self.operation, "outcome"));
        event.context.clone_from(&self.details);
        event.context.push(("bytes_sent", self.sent.bytes.to_string()));
        event.context.push(("content_keys_sent", self.sent.content_keys.to_string()));
        event
    }

    /// Appends events; durable when it returns.
    pub(super) fn record(&self, events: Vec<EngineEvent>) -> Result<(), AppendError> {
        let batch = self.ledger.prepare_all(events)?;
        self.ledger.inner.writer.submit_blocking(Work::new(batch, Privilege::Engine)).map(|_| ())
    }

    /// Records that everything was sent.
    pub(super) fn succeed(&mut self) -> Result<(), AppendError> {
        self.record_end("allow", None)?;
        self.ended = true;
        Ok(())
    }

    /// Records that everything is where it stays. Where that fails it is as it is, and whoever keeps it sees that it is told.
    pub(super) fn conclude(&mut self) {
        self.ended = true;
        if let Err(error) = self.record_end("allow", None) {
            self.untold(&error);
        }
    }

    fn record_end(&mut self, outcome: &'static str, reason: Option<String>) -> Result<(), AppendError> {
        match self.record(vec![self.outcome(outcome, reason)]) {
            // What was thought to have failed was recorded after all.
            Ok(()) | Err(AppendError::Conflict { .. }) => {
                self.told.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                self.tried |= matches!(error, AppendError::Unavailable { outcome_unknown: true, .. });
                Err(error)
            }
        }
    }

    /// Records that it was not, and why.
    pub(super) fn fail(&mut self, error: &ReadError) {
        let reason = match error {
            // What was asked is in the intent, and may hold what a reason must not.
            ReadError::Filter(_) => "the filter is not valid".to_owned(),
            error => error.to_string(),
        };
        self.break_off(reason);
    }

    /// Records how it ended, unless that is on record. `unread` is why, where it was not taken any more; nothing, where nobody was to take it.
    pub(super) fn end(&mut self, written: &Result<(), ExportError>, unread: Option<&str>) {
        match written {
            Ok(()) => {}
            Err(ExportError::Sink(error)) => self.break_off(unread.map_or_else(|| error.to_string(), str::to_owned)),
            Err(ExportError::Read(error)) => self.fail(error),
        }
    }

    /// Records that it was broken off.
    pub(super) fn break_off(&mut self, reason: String) {
        if self.ended {
            return;
        }
        self.ended = true;
        if let Err(error) = self.record_end(self.word(), Some(reason)) {
            self.untold(&error);
        }
    }

    const fn word(&self) -> &'static str {
        if self.sent.bytes > 0 { "partial" } else { "error" }
    }
}

impl Journal {
    /// Records that it was broken off, and does not wait until that is durable: for who must not block.
    pub(super) fn left(&mut self, reason: &str) {
        if self.ended {
            return;
        }
        self.ended = true;
        let event = self.outcome(self.word(), Some(reason.to_owned()));
        self.tried = true;
        let recorded = self.ledger.prepare_all(vec![event]).and_then(|batch| {
            let work = Work::new(batch, Privilege::Engine);
            self.ledger.inner.writer.submit_unanswered(work)
        });
        if let Err(error) = recorded {
            self.untold(&error);
        }
    }

    fn untold(&self, error: &AppendError) {
        tracing::error!(%error, operation_id = %self.operation, "the end of an export could not be recorded");
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.left("whoever asked went away");
    }
}
