//! A server in this process: its own runtime, its own folder, a port that the system chose.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use indelible::http::{HttpOptions, Server};
use indelible_engine::faults::Faults;
use indelible_engine::{Ledger, Options};
use tempfile::TempDir;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::client::Client;

/// A running server. Stopped, and its ledger closed, when dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: SocketAddr,
    pub(crate) project_id: Uuid,
    pub(crate) system_project_id: Uuid,
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
        let clock = options.clock.clone();
        let ledger = Ledger::open(options).expect("an empty folder opens").ledger;
        let (project_id, system_project_id) = (ledger.default_project_id(), ledger.system_project_id());
        let (told, listening) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let any = SocketAddr::from(([127, 0, 0, 1], 0));
                let server = Server::bind(ledger.clone(), clock, http, any, Some(any)).await.expect("a port");
                told.send((server.address().expect("bound"), server.metrics_address().expect("bound"))).expect("the test waits");
                server.run(async { drop(stopped.await) }).await;
            });
            drop(runtime);
            ledger.close();
        });
        let (address, metrics) = listening.recv().expect("the server listens");
        Self { address, metrics, project_id, system_project_id, data, stop: Some(stop), thread: Some(thread) }
    }

    fn client(&self, file: &str) -> Client {
        let key = std::fs::read_to_string(self.data.path().join("data").join(file)).expect("the first start writes it");
        Client { address: self.address, key: key.trim().to_owned() }
    }

    /// The administrator of the default project.
    pub(crate) fn admin(&self) -> Client {
        self.client("admin.key")
    }

    /// The administrator of the instance.
    pub(crate) fn instance(&self) -> Client {
        self.client("instance.key")
    }

    /// A client with a new key of these scopes, of the default project.
    pub(crate) fn with_scopes(&self, scopes: &[&str]) -> Client {
        let made = self.admin().post("/v1/api_keys", &serde_json::json!({"name": "test", "scopes": scopes}).to_string()).ok();
        Client { address: self.address, key: made["key"].as_str().expect("a key").to_owned() }
    }

    /// A client of a new project.
    pub(crate) fn with_project(&self, name: &str) -> Client {
        let instance = self.instance();
        let project = instance.post("/v1/projects", &serde_json::json!({"name": name}).to_string()).ok();
        let key = serde_json::json!({
            "name": name,
            "scopes": ["audit:read", "events:append", "content:decrypt"],
            "owner": {"type": "project", "id": project["id"]},
        });
        let made = instance.post("/v1/api_keys", &key.to_string()).ok();
        Client { address: self.address, key: made["key"].as_str().expect("a key").to_owned() }
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
