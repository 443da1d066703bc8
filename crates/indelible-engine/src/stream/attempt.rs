//! Sending one delivery once, and what is recorded of it.

use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::gather::Parcel;
use super::judge::{self, Verdict, judge};
use super::row::{Cursor, Delivery, DeliveryState};
use super::shared::Shared;
use super::target::Target;
use super::transport::{Request, Response, SendError};
use crate::access::Caller;
use crate::append::{AppendError, DecryptMembers, EngineEvent, ResourceMembers};

/// Of an answer, bytes that are kept.
const ANSWER_KEPT_BYTES: usize = 1_024;

impl Shared {
    /// Sends a parcel; what came of it, and the delivery as it is to be stored if it is not tried again. `before` is what is known of earlier
    /// attempts.
    pub(super) async fn attempt(&self, target: &Target, cursor: &Cursor, parcel: Parcel, before: Option<&Delivery>) -> (Verdict, Delivery) {
        let clock = &self.ledger.inner.clock;
        let (now, began) = (clock.now(), clock.monotonic());
        let headers = target.headers(&parcel.message_id, parcel.content_type, now, &parcel.body);
        let request = Request { stream_id: target.id, version: target.version, route: target.route.clone(), headers, body: parcel.body };
        let answer = self.transport.send(request).await;
        let latency = clock.monotonic().saturating_sub(began);
        let verdict = judge(target.destination, &answer);
        // An answer may repeat what was sent: contents are shown to those who may open them, and to nobody by this way.
        let is_opened = !parcel.opened.is_empty();
        let error = match &verdict {
            Verdict::Taken => None,
            _ if is_opened && answer.is_ok() && verdict != Verdict::Gone => Some(judge::in_short(&verdict, &answer)),
            Verdict::Refused(why) | Verdict::Partly(why) | Verdict::Failed(why, _) => Some(self.harmless(target, why)),
            Verdict::Gone => Some("the receiver answered 410: it wants no more deliveries".to_owned()),
        };
        let status = answer.as_ref().ok().and_then(|response| response.status);
        let delivery = Delivery {
            id: before.map_or_else(|| self.new_id(), |before| before.id),
            stream_id: target.id,
            replay_id: cursor.is_replay().then_some(cursor.lane),
            project: cursor.project,
            message_id: parcel.message_id,
            first_sequence: parcel.first,
            last_sequence: parcel.last,
            events: parcel.events,
            state: if verdict == Verdict::Taken { DeliveryState::Delivered } else { DeliveryState::Pending },
            attempts: before.map_or(0, |before| before.attempts).saturating_add(1),
            created_at: before.map_or(now, |before| before.created_at),
            attempted_at: now,
            due_at: None,
            status,
            latency_micros: u64::try_from(latency.as_micros()).unwrap_or(u64::MAX),
            error,
            answer: if is_opened { None } else { self.kept_of(target, &answer) },
        };
        (verdict, delivery)
    }

    /// Records that contents are opened for a delivery, before they leave: an event a record.
    pub(super) async fn record_opened(&self, target: &Target, project_id: Uuid, parcel: &Parcel) -> Result<(), AppendError> {
        let Some(purpose) = target.purpose.as_ref().filter(|_| !parcel.opened.is_empty()) else { return Ok(()) };
        let gone = || AppendError::Unavailable { reason: "there is no such project".to_owned(), outcome_unknown: false };
        let project = self.ledger.inner.registry.project(project_id).ok_or_else(gone)?;
        let events = parcel.opened.iter().map(|(id, failed)| {
            let mut event =
                EngineEvent::new(&Caller::engine(), &project, "content.decrypt", if failed.is_some() { "error" } else { "allow" });
            event.reason = failed.map(str::to_owned);
            event.resource = Some(ResourceMembers { kind: "audit_stream", id: target.id.to_string(), parent: None });
            event.decrypt = Some(DecryptMembers {
                purpose: purpose.clone(),
                record_type: "event",
                record_id: id.hyphenated().to_string(),
                user_id: format!("audit_stream:{}", target.id),
            });
            event
        });
        self.ledger.record(events.collect()).await
    }

    fn kept_of(&self, target: &Target, answer: &Result<Response, SendError>) -> Option<String> {
        let body = &answer.as_ref().ok()?.body;
        // Cut last: of a secret that lies across the cut nothing is left either.
        let mut text = self.harmless(target, &String::from_utf8_lossy(body));
        text.truncate(text.floor_char_boundary(ANSWER_KEPT_BYTES));
        (!text.is_empty()).then_some(text)
    }

    /// A text of a receiver as it may be kept: without what it was sent in confidence, and redacted like everything else.
    fn harmless(&self, target: &Target, text: &str) -> String {
        let text = target.without_secrets(text).replace(|c: char| c.is_control() && c != '\n' && c != '\t', " ");
        let inner = &self.ledger.inner;
        match inner.keystore.project_keys(target.home.id, inner.keystore.newest_ring_id()) {
            Some(keys) => inner.desk.rules.for_question(&target.home).line(&text, &keys),
            None => String::new(),
        }
    }

    /// Now.
    pub(super) fn now(&self) -> Timestamp {
        self.ledger.inner.clock.now()
    }
}
