//! A receiver as a script says: it keeps what it took, and answers as it is told.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use indelible_engine::stream::{Request, Response, SendError, Sending, Transport};
use serde_json::Value;
use uuid::Uuid;

/// What a receiver says to a request.
#[derive(Debug, Clone)]
pub(crate) enum Say {
    Status(u16),
    /// Repeats what it was sent.
    Repeat(u16),
    /// With `Retry-After`.
    Later(u16, Duration),
    /// Takes it, and the connection breaks before the answer.
    TakeAndBreak,
    /// Never answers.
    Hang,
}

/// What came.
#[derive(Debug, Clone)]
pub(crate) struct Came {
    pub(crate) stream: Uuid,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// Whether it was taken.
    pub(crate) taken: bool,
}

impl Came {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} among {:?}", self.headers))
    }

    /// The events of a delivery, whether it is of one or of several.
    pub(crate) fn events(&self) -> Vec<Value> {
        match serde_json::from_slice(&self.body).expect("JSON") {
            Value::Array(events) => events,
            event => vec![event],
        }
    }

    pub(crate) fn sequences(&self) -> Vec<u64> {
        self.events().iter().map(|event| event["sequence"].as_u64().expect("a sequence")).collect()
    }
}

type Script = Box<dyn FnMut(&Came) -> Say + Send>;

struct State {
    came: Vec<Came>,
    script: Script,
    open: HashSet<Uuid>,
}

pub(crate) struct Receiver(Mutex<State>);

impl Receiver {
    /// One that takes everything.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { came: Vec::new(), script: Box::new(|_| Say::Status(204)), open: HashSet::new() })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("not poisoned")
    }

    /// What it answers from now on.
    pub(crate) fn says(&self, script: impl FnMut(&Came) -> Say + Send + 'static) {
        self.lock().script = Box::new(script);
    }

    pub(crate) fn came(&self) -> Vec<Came> {
        self.lock().came.clone()
    }

    /// Sequences of what it took from a stream, in the order in which they came.
    pub(crate) fn taken(&self, stream: Uuid) -> Vec<u64> {
        let state = self.lock();
        state.came.iter().filter(|came| came.taken && came.stream == stream).flat_map(Came::sequences).collect()
    }

    /// Waits until it is so.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&[Came]) -> bool) {
        let end = Instant::now() + Duration::from_mins(3);
        while !holds(&self.lock().came) {
            assert!(Instant::now() < end, "{what}: {:#?}", self.lock().came.iter().map(Came::sequences).collect::<Vec<_>>());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Transport for Receiver {
    fn send(&self, request: Request) -> Sending<'_> {
        let headers = request.headers.iter().cloned().collect();
        let mut came = Came { stream: request.stream_id, headers, body: request.body, taken: false };
        let sent = came.body.clone();
        let say = {
            let mut state = self.lock();
            state.open.insert(came.stream);
            let say = (state.script)(&came);
            came.taken = matches!(say, Say::Status(200..=299) | Say::Repeat(200..=299) | Say::TakeAndBreak);
            state.came.push(came);
            say
        };
        Box::pin(async move {
            let answered = |status, retry_after, body| Ok(Response { status: Some(status), retry_after, body });
            match say {
                Say::Status(status) => answered(status, None, b"an answer".to_vec()),
                Say::Repeat(status) => answered(status, None, sent),
                Say::Later(status, after) => answered(status, Some(after), b"an answer".to_vec()),
                Say::TakeAndBreak => Err(SendError("the connection was closed before the answer".to_owned())),
                Say::Hang => {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    Err(SendError("no answer came in time".to_owned()))
                }
            }
        })
    }

    fn forget(&self, stream: Uuid) {
        self.lock().open.remove(&stream);
    }
}
