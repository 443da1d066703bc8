//! What receives streams here and keeps what came: over HTTP, and as syslog.

use std::io::Read as _;
use std::sync::{Arc, Mutex};

use super::receiver::{Came, Receiver, Say, TAKE, listen, wait};

/// A receiver of HTTP that keeps what it took.
pub(crate) struct Inbox {
    receiver: Receiver,
    taken: Arc<Mutex<Vec<Came>>>,
}

impl Inbox {
    /// One that takes everything.
    pub(crate) fn start() -> Self {
        let made = Self { receiver: Receiver::start(|_| TAKE), taken: Arc::default() };
        made.says(|_| TAKE);
        made
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.receiver.url(path)
    }

    /// What it does from now on.
    pub(crate) fn says(&self, mut script: impl FnMut(&Came) -> Say + Send + 'static) {
        let taken = Arc::clone(&self.taken);
        self.receiver.says(move |came| {
            let say = script(came);
            if say.takes() {
                taken.lock().expect("no panic").push(came.clone());
            }
            say
        });
    }

    /// What it took at a path, in the order in which it came.
    pub(crate) fn taken(&self, path: &str) -> Vec<Came> {
        self.taken.lock().expect("no panic").iter().filter(|came| came.path == path).cloned().collect()
    }

    /// The same, once there are so many deliveries.
    pub(crate) fn until(&self, path: &str, deliveries: usize) -> Vec<Came> {
        let enough = || Some(self.taken(path)).filter(|taken| taken.len() >= deliveries);
        wait(enough, || format!("{:?}", self.taken(path)))
    }
}

/// A collector of syslog.
pub(crate) struct Collector {
    pub(crate) port: u16,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let heard = Arc::<Mutex<Vec<u8>>>::default();
        let shared = Arc::clone(&heard);
        let port = listen(move |mut stream| {
            let mut bytes = [0; 4_096];
            while let Ok(read @ 1..) = stream.read(&mut bytes) {
                shared.lock().expect("no panic").extend(&bytes[..read]);
            }
        });
        Self { port, heard }
    }

    /// The messages, each as long as it is said to be (RFC 5425), once there are so many.
    pub(crate) fn until(&self, messages: usize) -> Vec<String> {
        let found = || Some(self.messages()).filter(|found| found.len() >= messages);
        wait(found, || String::from_utf8_lossy(&self.heard.lock().expect("no panic")).into_owned())
    }

    fn messages(&self) -> Vec<String> {
        let heard = self.heard.lock().expect("no panic");
        let (mut rest, mut messages) = (&heard[..], Vec::new());
        while let Some(space) = rest.iter().position(|byte| *byte == b' ') {
            let octets: usize = std::str::from_utf8(&rest[..space]).expect("digits").parse().expect("a number of octets");
            let Some(message) = rest.get(space + 1..space + 1 + octets) else { break };
            messages.push(String::from_utf8(message.to_vec()).expect("UTF-8"));
            rest = &rest[space + 1 + octets..];
        }
        messages
    }
}
