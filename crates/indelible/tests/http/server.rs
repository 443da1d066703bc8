//! A server in this process, and a client that knows what to expect of it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use clap::Parser;
use indelible::http::{HttpOptions, Server};
use indelible::streams::StreamOptions;
use indelible_engine::stream::Patience;
use indelible_engine::{Ledger, Options};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use ureq::http::{HeaderMap, Request};

/// Where events are handed in and asked for.
pub(crate) const EVENTS: &str = "/v1/audit/events";

static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// Impatient, so that a test sees many attempts.
const PATIENCE: Patience =
    Patience { retry_min: Duration::from_millis(10), retry_max: Duration::from_millis(100), give_up_after: Duration::from_hours(1) };

/// What streams may reach, as it is told on the command line.
#[derive(Parser)]
struct Told {
    #[command(flatten)]
    streams: StreamOptions,
}

/// A running server with its data folder.
pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: SocketAddr,
    /// Administrator of the default project.
    pub(crate) admin: String,
    /// Administrator of the instance.
    pub(crate) instance: String,
    pub(crate) project: String,
    pub(crate) organization: String,
    /// System project of the instance.
    pub(crate) system: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    folder: TempDir,
}

impl House {
    /// A server with the default limits.
    pub(crate) fn start() -> Self {
        Self::with(HttpOptions::default(), |_| ())
    }

    /// A server with these limits, on a ledger that was opened as `open` says.
    pub(crate) fn with(http: HttpOptions, open: impl FnOnce(&mut Options)) -> Self {
        Self::that(http, open, None)
    }

    /// A server that delivers streams, and is told this of what they may reach.
    pub(crate) fn delivering(arguments: &[&str]) -> Self {
        let told = Told::parse_from(std::iter::once(&"indelible").chain(arguments));
        Self::that(HttpOptions::default(), |_| (), Some(&told.streams))
    }

    fn that(http: HttpOptions, open: impl FnOnce(&mut Options), streams: Option<&StreamOptions>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut options = Options::new(folder.path().join("data"));
        open(&mut options);
        let clock = Arc::clone(&options.clock);
        let opened = Ledger::open(options).expect("a new ledger");
        let first = opened.first_start.expect("a first start");
        let key = |path: &Path| std::fs::read_to_string(path).expect("a key file").trim().to_owned();
        let ledger = opened.ledger;
        let streaming = streams.map(|streams| {
            let transport = streams.transport(&folder.path().join("data"), Arc::clone(&clock)).expect("options that hold");
            ledger.deliver_streams(transport, PATIENCE).expect("it delivers")
        });
        let (system, anywhere) = (ledger.system_project_id().to_string(), "127.0.0.1:0".parse().expect("an address"));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let server = runtime.block_on(Server::bind(ledger.clone(), clock, http, anywhere, Some(anywhere))).expect("a socket");
        let (address, metrics) = (server.address().expect("bound"), server.metrics_address().expect("bound"));
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            runtime.block_on(server.run(async {
                stopped.await.ok();
            }));
            runtime.shutdown_timeout(Duration::from_secs(5));
            drop(streaming);
            ledger.close();
        });
        Self {
            address,
            metrics,
            admin: key(&first.admin_key_file),
            instance: key(&first.instance_key_file),
            project: first.project_id.to_string(),
            organization: first.organization_id.to_string(),
            system,
            stop: Some(stop),
            thread: Some(thread),
            folder,
        }
    }

    /// The data folder.
    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// Stops the server and closes the ledger; the folder stays for as long as the house.
    pub(crate) fn close(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).ok();
        }
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server did not panic");
        }
    }

    /// A request with the administrator's key.
    pub(crate) fn ask(&self, method: &'static str, path: &str) -> Ask<'_> {
        let request_id = format!("test-{}", REQUESTS.fetch_add(1, Ordering::Relaxed));
        Ask {
            house: self,
            method,
            path: path.to_owned(),
            key: Some(self.admin.clone()),
            headers: Vec::new(),
            body: Vec::new(),
            cache: "no-store",
            request_id,
        }
    }

    pub(crate) fn get(&self, path: &str) -> Ask<'_> {
        self.ask("GET", path)
    }

    /// A POST of JSON.
    pub(crate) fn post(&self, path: &str, body: &(impl ToString + ?Sized)) -> Ask<'_> {
        self.ask("POST", path).header("content-type", "application/json").body(body.to_string())
    }

    /// Events of a project that match, oldest first, as the instance's administrator sees them.
    pub(crate) fn log_of(&self, project: &str, filter: &str) -> Vec<Value> {
        let path = format!("{EVENTS}?order=asc&limit=1000&project_id={project}&filter={}", encode(filter));
        let page = self.get(&path).key(&self.instance).send().is(200);
        page["data"].as_array().expect("data").clone()
    }

    /// [`Self::log_of`] the default project.
    pub(crate) fn log(&self, filter: &str) -> Vec<Value> {
        self.log_of(&self.project, filter)
    }

    /// The token of an invitation to the default organization.
    pub(crate) fn invitation(&self, role: &str) -> String {
        static INVITED: AtomicU64 = AtomicU64::new(0);
        let invited = json!({"name": role, "user_id": format!("user-{}", INVITED.fetch_add(1, Ordering::Relaxed)), "role": role});
        let made = self.post("/v1/invitations", &invited).key(&self.instance).send().is(201);
        made["token"].as_str().expect("a token").to_owned()
    }

    /// The key of a new member of the default organization.
    pub(crate) fn member(&self, role: &str) -> String {
        let member = self.ask("POST", "/v1/invitations/accept").key(&self.invitation(role)).send().is(201);
        member["key"].as_str().expect("a key").to_owned()
    }

    /// An export of the default project in the background.
    pub(crate) fn export_job(&self) -> String {
        let job = self.post("/v1/audit/export_jobs", r#"{"format":"ndjson"}"#).send().is(202);
        job["id"].as_str().expect("an id").to_owned()
    }

    /// Makes a stream that can sign, whose receiver is nowhere.
    pub(crate) fn stream(&self) -> String {
        self.post("/v1/webhook_signing_keys", r#"{"name":"k","primary":true}"#).send().is(201);
        let stream = self.post("/v1/audit_streams", r#"{"name":"s","url":"https://nowhere.invalid/"}"#).send().is(201);
        stream["id"].as_str().expect("an id").to_owned()
    }

    /// Makes a project and an administrator's key of its own: its id and the key.
    pub(crate) fn tenant(&self, name: &str) -> (String, String) {
        let project = self.post("/v1/projects", &json!({"name": name})).key(&self.instance).send().is(201);
        let id = project["id"].as_str().expect("an id").to_owned();
        let scopes = ["audit:read", "events:append", "content:decrypt", "control:write"];
        (id.clone(), self.make_key(&id, "application", &scopes))
    }

    /// A key of a project.
    pub(crate) fn make_key(&self, project: &str, kind: &str, scopes: &[&str]) -> String {
        let body = json!({"name": "test", "kind": kind, "scopes": scopes, "owner": {"type": "project", "id": project}});
        let key = self.post("/v1/api_keys", &body).key(&self.instance).send().is(201);
        key["key"].as_str().expect("a key").to_owned()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).ok();
        }
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the server panicked");
        }
    }
}

/// A request that is being put together.
pub(crate) struct Ask<'a> {
    house: &'a House,
    method: &'static str,
    path: String,
    key: Option<String>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    cache: &'static str,
    pub(crate) request_id: String,
}

impl Ask<'_> {
    /// What `Cache-Control` is to say, where it is another than `no-store`.
    pub(crate) fn cached(mut self, cache: &'static str) -> Self {
        self.cache = cache;
        self
    }

    pub(crate) fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    pub(crate) fn no_key(mut self) -> Self {
        self.key = None;
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it.
    pub(crate) fn send(self) -> Answer {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_mins(2)))
            .build()
            .into();
        let mut request = Request::builder().method(self.method).uri(format!("http://{}{}", self.house.address, self.path));
        request = request.header("x-request-id", &self.request_id);
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let sent = if self.body.is_empty() && self.method != "POST" {
            agent.run(request.body(()).expect("a request"))
        } else {
            agent.run(request.body(self.body).expect("a request"))
        };
        let mut answer = sent.unwrap_or_else(|error| panic!("{} {}: {error}", self.method, self.path));
        let body = answer.body_mut().with_config().limit(256 * 1024 * 1024).read_to_vec().expect("a body");
        let answer = Answer { status: answer.status().as_u16(), headers: answer.headers().clone(), body, request_id: self.request_id };
        assert_eq!(answer.header("x-request-id"), Some(answer.request_id.as_str()));
        assert_eq!(answer.header("cache-control"), Some(self.cache));
        answer
    }

    /// Sends it, and expects a refusal and its event: project, action, outcome.
    pub(crate) fn refused(self, status: u16, kind: &str, left: (&str, &str, &str)) -> Value {
        let house = self.house;
        let answer = self.send();
        let problem = answer.problem(status, kind);
        answer.left(house, left);
        problem
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) request_id: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    /// The JSON of an answer of this status.
    pub(crate) fn is(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text().chars().take(600).collect::<String>());
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The problem of this status and type.
    pub(crate) fn problem(&self, status: u16, kind: &str) -> Value {
        let problem = self.is(status);
        assert_eq!(problem["type"], format!("urn:indelible:problem:{kind}"), "{problem}");
        assert_eq!((problem["status"].as_u64(), self.header("content-type")), (Some(u64::from(status)), Some("application/problem+json")));
        problem
    }

    /// That the refusal left one event of this action and outcome in this project.
    pub(crate) fn left(&self, house: &House, (project, action, outcome): (&str, &str, &str)) {
        let events = house.log_of(project, &format!("request.request_id eq \"{}\"", self.request_id));
        let found: Vec<_> = events.iter().map(|event| (event["action"].as_str(), event["outcome"].as_str())).collect();
        assert_eq!(found, [(Some(action), Some(outcome))], "{}", self.text().chars().take(300).collect::<String>());
        assert_eq!(events[0]["assurance"], "transactional");
    }
}

/// An event of an action.
pub(crate) fn event(action: &str) -> Value {
    json!({"action": action, "outcome": "allow", "actor": {"type": "human", "id": "alice"}})
}

/// Percent-encodes what stands in a query.
pub(crate) fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The JSON Pointers of a problem.
pub(crate) fn pointers(problem: &Value) -> Vec<&str> {
    problem["errors"].as_array().map(|errors| errors.iter().filter_map(|error| error["pointer"].as_str()).collect()).unwrap_or_default()
}
