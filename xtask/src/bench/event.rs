//! The event of the bench: an entry of about 1 KiB and a content of 1 KiB, made from its number, so that every
//! baseline stores the same thing and no time goes into drawing it.

use std::fmt::Write;

use uuid::Uuid;

/// Actors among which the events are spread.
pub(crate) const ACTORS: u64 = 1_000;
/// Principals.
pub(crate) const PRINCIPALS: u64 = 20_000;
/// Events of one run.
pub(crate) const RUN_EVENTS: u64 = 40;
/// First instant: 2026-01-01T00:00:00Z, microseconds.
const EPOCH_MICROS: i64 = 1_767_225_600_000_000;
/// Between two events, microseconds.
const STEP_MICROS: i64 = 2_000;

const ACTIONS: &[&str] =
    &["tool.call", "tool.result", "model.invoke", "http.request", "policy.decision", "credential.access", "approval.request"];
const OUTCOMES: &[&str] = &["allow", "allow", "allow", "allow", "allow", "allow", "deny", "error"];
const TOOLS: &[&str] = &["search_flights", "get_user_details", "book_reservation", "send_email", "run_query", "read_file"];

/// In which order the caller's clock runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// As recorded.
    Recorded,
    /// Shuffled within an hour.
    Shuffled,
    /// Years late: every tenth event is of five years before.
    Late,
}

/// How the client makes ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    /// Random.
    V4,
    /// Ordered by time.
    V7,
}

/// A mixing function (SplitMix64): same number, same value, everywhere.
pub(crate) fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Event number `n` of the bench.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) n: u64,
    pub(crate) ids: Ids,
    pub(crate) order: Order,
}

impl Event {
    pub(crate) fn id(self) -> Uuid {
        let (a, b) = (mix(self.n * 2), mix(self.n * 2 + 1));
        match self.ids {
            Ids::V4 => uuid::Builder::from_random_bytes((u128::from(a) << 64 | u128::from(b)).to_be_bytes()).into_uuid(),
            Ids::V7 => {
                let mut random = [0; 10];
                random[..8].copy_from_slice(&a.to_be_bytes());
                uuid::Builder::from_unix_timestamp_millis((EPOCH_MICROS / 1_000) as u64 + self.n * 2, &random).into_uuid()
            }
        }
    }

    pub(crate) fn occurred_at_micros(self) -> i64 {
        let in_order = EPOCH_MICROS + self.n as i64 * STEP_MICROS;
        match self.order {
            Order::Shuffled => in_order - (mix(self.n ^ 0x5151) % 3_600_000_000) as i64,
            Order::Late if self.n.is_multiple_of(10) => in_order - 5 * 365 * 86_400_000_000,
            Order::Recorded | Order::Late => in_order,
        }
    }

    pub(crate) fn actor(self) -> u64 {
        mix(self.n ^ 0xac70) % ACTORS
    }

    pub(crate) fn principal(self) -> u64 {
        mix(self.n ^ 0x9127) % PRINCIPALS
    }

    pub(crate) fn run(self) -> u64 {
        self.n / RUN_EVENTS
    }

    pub(crate) fn outcome(self) -> &'static str {
        OUTCOMES[(mix(self.n ^ 0x0c) % OUTCOMES.len() as u64) as usize]
    }

    fn action(self) -> &'static str {
        ACTIONS[(mix(self.n ^ 0xa1) % ACTIONS.len() as u64) as usize]
    }

    fn tool(self) -> &'static str {
        TOOLS[(mix(self.n ^ 0x70) % TOOLS.len() as u64) as usize]
    }

    /// The attributes that the index of Indelible answers for this event, with their values. The columns of the
    /// databases it is compared with.
    pub(crate) fn attributes(self) -> Vec<(&'static str, String)> {
        vec![
            ("action", self.action().to_owned()),
            ("action_category", self.action().split('.').next().unwrap_or_default().to_owned()),
            ("actor_id", format!("agent-{:04}", self.actor())),
            ("actor_type", "agent".to_owned()),
            ("on_behalf_of", format!("user-{:06}", self.principal())),
            ("outcome", self.outcome().to_owned()),
            ("principal_id", format!("user-{:06}", self.principal())),
            ("principal_type", "user".to_owned()),
            ("resource_id", format!("reservation-{:08}", mix(self.n ^ 0x4e5) % 1_000_000)),
            ("resource_type", "reservation".to_owned()),
            ("run_id", format!("run-{:010}", self.run())),
            ("thread_id", format!("thread-{:09}", self.run() / 4)),
            ("tool", self.tool().to_owned()),
            ("tool_call_id", format!("call-{:016x}", mix(self.n ^ 0xca11))),
        ]
    }

    /// Appends the submission as JSON.
    pub(crate) fn write_submission(self, out: &mut String) {
        let at = indelible_core::time::Timestamp::from_micros(self.occurred_at_micros()).unwrap_or(indelible_core::time::Timestamp::MIN);
        let (actor, principal, outcome) = (self.actor(), self.principal(), self.outcome());
        let _ = write!(
            out,
            r#"{{"id":"{}","occurred_at":"{at}","action":"{}","actor":{{"type":"agent","id":"agent-{actor:04}","display":"Reservations agent {actor:04}","on_behalf_of":"user-{principal:06}"}},"outcome":"{outcome}","principal":{{"type":"user","id":"user-{principal:06}"}},"resource":{{"type":"reservation","id":"reservation-{:08}"}},"run":{{"id":"run-{:010}","thread_id":"thread-{:09}","step":{}}},"context":{{"tool":"{}","tool_call_id":"call-{:016x}"}},"duration_ms":{},"reason":"The traveller asked for a change of the outbound flight","content":"#,
            self.id(),
            self.action(),
            mix(self.n ^ 0x4e5) % 1_000_000,
            self.run(),
            self.run() / 4,
            self.n % RUN_EVENTS,
            self.tool(),
            mix(self.n ^ 0xca11),
            mix(self.n ^ 0xd0) % 4_000,
        );
        self.write_content(out);
        out.push('}');
    }

    /// A content of 1 KiB: arguments and a result as a reservation system gives them.
    pub(crate) fn write_content(self, out: &mut String) {
        let start = out.len();
        let _ = write!(
            out,
            r#"{{"arguments":{{"user_id":"user-{:06}","origin":"JFK","destination":"SEA","flight_type":"one_way","cabin":"economy","date":"2026-05-{:02}"}},"result":[{{"flight_number":"HAT{:03}","origin":"JFK","destination":"SEA","status":"available","scheduled_departure_time_est":"{:02}:00:00","available_seats":{{"basic_economy":{},"economy":{},"business":{}}},"prices":{{"basic_economy":{},"economy":{},"business":{}}}}}"#,
            self.principal(),
            self.n % 28 + 1,
            mix(self.n) % 999,
            self.n % 24,
            mix(self.n ^ 1) % 20,
            mix(self.n ^ 2) % 20,
            mix(self.n ^ 3) % 20,
            mix(self.n ^ 4) % 200,
            mix(self.n ^ 5) % 300,
            mix(self.n ^ 6) % 900,
        );
        let mut k = 0;
        while out.len() - start < 1_024 - 66 {
            let _ = write!(out, r#",{{"booking_reference":"{:016x}","seat":"{}C","note":"window"}}"#, mix(self.n ^ (0xb00 + k)), k + 1);
            k += 1;
        }
        out.push_str("]}");
    }

    /// Text of 1 KiB that stands for the entry in the other databases.
    pub(crate) fn write_entry(self, out: &mut String) {
        let start = out.len();
        self.write_submission(out);
        out.truncate(start + 1_024);
    }

    /// As many bytes as the sealed content takes, as little compressible.
    pub(crate) fn sealed(self) -> Vec<u8> {
        (0..80).flat_map(|k| mix(self.n ^ (0x5ea1_0000 + k)).to_be_bytes()).collect()
    }
}
