//! A server in this process: its own runtime, its own folder, a port that the system chose.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use indelible::http::{HttpOptions, Server};
use indelible_engine::faults::Faults;
use indelible_engine::{Ledger, Options};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::client::Client;

/// A running server. Stopped, and its ledger closed, when dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    data: TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Options under which no test runs into a rate.
pub(crate) fn unlimited() -> HttpOptions {
    HttpOptions { key_rate: 0, stranger_rate: 0, ..HttpOptions::default() }
}

impl Running {
    pub(crate) fn start() -> Self {
        Self::start_with(unlimited(), None)
    }

    pub(crate) fn start_with(http: HttpOptions, faults: Option<Arc<dyn Faults>>) -> Self {
        let data = TempDir::new().expect("a folder");
        let mut options = Options::new(data.path().join("data"));
        options.faults = faults;
        // What is struck is what the test does.
        options.anchor_interval = std::time::Duration::from_hours(1);
        let clock = options.clock.clone();
        let ledger = Ledger::open(options).expect("an empty folder opens").ledger;
        let (told, listening) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let any = SocketAddr::from(([127, 0, 0, 1], 0));
                let server = Server::bind(ledger.clone(), clock, http, any, None).await.expect("a port");
                told.send(server.address().expect("bound")).expect("the test waits");
                server.run(async { drop(stopped.await) }).await;
            });
            drop(runtime);
            ledger.close();
        });
        let address = listening.recv().expect("the server listens");
        Self { address, data, stop: Some(stop), thread: Some(thread) }
    }

    /// The administrator of the default project.
    pub(crate) fn admin(&self) -> Client {
        let key = std::fs::read_to_string(self.data.path().join("data/admin.key")).expect("the first start writes it");
        Client { address: self.address, key: key.trim().to_owned() }
    }

    /// Stops it and waits for its end.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server ends in order");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A small event.
pub(crate) fn event(actor: &str) -> String {
    format!(r#"{{"actor":{{"type":"human","id":"{actor}"}},"action":"document.share","outcome":"allow"}}"#)
}
