//! What is stored of streams: how far each has come, and what was sent.

use indelible_core::time::Timestamp;
use uuid::Uuid;

/// How far a stream has come in one project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The stream.
    pub(crate) stream: Uuid,
    /// The stream's own id; or that of a replay: the delivery that is sent again, or an id of its own where it is a range.
    pub(crate) lane: Uuid,
    /// `ledgers.project`
    pub(crate) project: i64,
    /// What lies before it was delivered, is a dead letter, or was none of the stream's events.
    pub(crate) next: u64,
    /// Where a replay ends.
    pub(crate) last: Option<u64>,
    /// The last event of the delivery under way, so that a retry sends the same events under the same id, after a restart too.
    pub(crate) pending: Option<u64>,
}

impl Cursor {
    /// Whether it is one of a replay.
    pub(crate) fn is_replay(&self) -> bool {
        self.lane != self.stream
    }

    /// Whether it is past its end.
    pub(crate) fn is_over(&self) -> bool {
        self.last.is_some_and(|last| self.next > last)
    }

    /// Whether it is this one, however far it has come.
    pub(crate) fn is(&self, other: &Self) -> bool {
        (self.stream, self.lane, self.project) == (other.stream, other.lane, other.project)
    }
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is tried again.
    Pending,
    /// It was taken.
    Delivered,
    /// It was refused so often that the stream went on without it. It stays until it is sent again.
    Dead,
    /// It was refused, and its events went on in smaller deliveries, to find those that are refused.
    Split,
    /// It was a dead letter, and was sent again since: see the deliveries of that.
    Replayed,
}

impl DeliveryState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Delivered, Self::Dead, Self::Split, Self::Replayed];

    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Split => "split",
            Self::Replayed => "replayed",
        }
    }

    /// The state that this word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// One delivery: an event, or several that were sent together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Of the delivery, by which it is sent again. Ascends with time.
    pub id: Uuid,
    /// The stream.
    pub stream_id: Uuid,
    /// The replay that it belongs to: the delivery that was sent again, or the id that the replay was given.
    pub replay_id: Option<Uuid>,
    /// `ledgers.project`
    pub(crate) project: i64,
    /// What the receiver knows it by: the same in every attempt.
    pub message_id: String,
    /// The first of its events.
    pub first_sequence: u64,
    /// The last of them.
    pub last_sequence: u64,
    /// How many of the events between them it holds.
    pub events: u32,
    /// What became of it.
    pub state: DeliveryState,
    /// How often it was sent.
    pub attempts: u32,
    /// When it was first sent.
    pub created_at: Timestamp,
    /// When it was last sent.
    pub attempted_at: Timestamp,
    /// When it is sent again.
    pub due_at: Option<Timestamp>,
    /// The status of the last answer.
    pub status: Option<u16>,
    /// How long the last attempt took, microseconds.
    pub latency_micros: u64,
    /// Why it was not taken.
    pub error: Option<String>,
    /// The first KiB of the last answer, redacted.
    pub answer: Option<String>,
}

/// What the writer does to these rows.
#[derive(Debug, Clone)]
pub(crate) enum StreamChange {
    /// A cursor, in the place of the one that was there.
    Cursor(Cursor),
    /// A cursor that is not there yet; one that is stays.
    First(Cursor),
    /// A replay is over.
    End(Cursor),
    /// A delivery, as it is now.
    Delivery(Box<Delivery>),
    /// All dead letters of a stream are sent again, each as a replay of its own.
    Revive {
        /// The stream.
        stream: Uuid,
    },
    /// Of the deliveries of a stream that are over, those before the newest so many go.
    Prune {
        /// The stream.
        stream: Uuid,
        /// How many stay.
        keep: u32,
    },
    /// Everything of a stream that is no more.
    Forget {
        /// The stream.
        stream: Uuid,
    },
}

impl StreamChange {
    /// The stream whose replay is begun by it.
    pub(crate) fn stream(&self) -> Option<Uuid> {
        match self {
            Self::First(cursor) => Some(cursor.stream),
            Self::Revive { stream } => Some(*stream),
            _ => None,
        }
    }

    /// What is told of such a replay: its id, and the range that it goes over.
    pub(crate) fn replayed(&self) -> Vec<(&'static str, String)> {
        let Self::First(Cursor { lane, next, last: Some(last), .. }) = self else { return Vec::new() };
        vec![("replay_id", lane.to_string()), ("from_sequence", next.to_string()), ("to_sequence", last.to_string())]
    }
}
