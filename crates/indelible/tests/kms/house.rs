//! The program as processes: a server on a data folder, and commands, all of which reach a KMS of the tests.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::kms_server::{ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN};

/// The program, reaching KMS at `kms`; nowhere where it is empty.
fn program(kms: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_indelible"));
    command
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
        .env("AWS_SESSION_TOKEN", SESSION_TOKEN)
        .env("AWS_ENDPOINT_URL_KMS", if kms.is_empty() { "http://127.0.0.1:1" } else { kms })
        // A proxy of the surroundings is not asked for what is on this machine.
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("http_proxy", "http://127.0.0.1:1")
        .stdin(Stdio::null());
    command
}

/// What a command left: its exit code, and all that it said.
pub(crate) fn run(kms: &str, arguments: &[&str]) -> (i32, String) {
    let output = program(kms).args(arguments).output().expect("the program runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().expect("not killed"), String::from_utf8_lossy(&said).into_owned())
}

/// A data folder, beside which lie its checkpoint store and its log.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// A file of the key store.
    pub(crate) fn key_file(&self, name: &str) -> String {
        std::fs::read_to_string(self.path("data/keys").join(name)).expect("a key file")
    }

    /// `indelible verify` of it, with a KMS or without.
    pub(crate) fn verify(&self, kms: &str) -> (i32, String) {
        run(kms, &["verify", "--data", &self.text("data"), "--checkpoints", &self.text("checkpoints")])
    }

    /// A server on it.
    pub(crate) fn serve(&self, kms: &str, arguments: &[&str]) -> House {
        self.try_serve(kms, arguments).unwrap_or_else(|said| panic!("the server does not start: {said}"))
    }

    /// The same; what it said where it did not start.
    pub(crate) fn try_serve(&self, kms: &str, arguments: &[&str]) -> Result<House, String> {
        let log = File::create(self.path("log")).expect("a log");
        let fixed = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--anchor-interval-seconds", "3600"];
        let (data, checkpoints) = (self.text("data"), self.text("checkpoints"));
        let mut child = program(kms)
            .args(fixed)
            .args(["--log", "warn", "--data", &data, "--checkpoints", &checkpoints])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let mut after = |beginning: &str| lines.find_map(|line| line.strip_prefix(beginning).map(str::to_owned));
        let said = (after("Log key for witnesses "), after("Listening on "), after("Metrics on "));
        let (Some(log_key), Some(url), Some(metrics)) = said else {
            child.wait().expect("it ended");
            return Err(self.log());
        };
        // The rest is read, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        let house = House { child: Some(child), data: self.path("data"), url, metrics, log_key };
        // Once it answers it can be stopped.
        house.get("/healthz");
        Ok(house)
    }

    /// What the last server logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).expect("a log")
    }
}

/// A running server; killed when dropped.
pub(crate) struct House {
    child: Option<Child>,
    data: PathBuf,
    pub(crate) url: String,
    metrics: String,
    pub(crate) log_key: String,
}

/// Whose key a request bears.
#[derive(Clone, Copy)]
pub(crate) enum By {
    Admin,
    Instance,
}

impl House {
    fn key_file(&self, by: By) -> PathBuf {
        self.data.join(match by {
            By::Admin => "admin.key",
            By::Instance => "instance.key",
        })
    }

    /// A request; status and answer.
    pub(crate) fn ask(&self, by: By, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).timeout_global(Some(Duration::from_mins(2)));
        let agent: ureq::Agent = config.build().into();
        let key = std::fs::read_to_string(self.key_file(by)).expect("a key");
        let (url, bearer) = (format!("{}{path}", self.url), format!("Bearer {}", key.trim()));
        let answer = match method {
            "GET" => agent.get(url).header("authorization", bearer).call(),
            _ if body.is_null() => agent.post(url).header("authorization", bearer).send_empty(),
            _ => agent.post(url).header("authorization", bearer).header("content-type", "application/json").send(body.to_string()),
        };
        let mut answer = answer.expect("an answer");
        let mut text = String::new();
        answer.body_mut().as_reader().read_to_string(&mut text).expect("text");
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask(By::Admin, "GET", path, &Value::Null);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// Appends an event about somebody, with content; its id.
    pub(crate) fn append(&self, who: &str) -> String {
        let event = json!({
            "action": "test.step", "outcome": "allow", "actor": {"type": "human", "id": who},
            "content": {"arguments": {"said": format!("secret of {who}")}},
        });
        let (status, receipt) = self.ask(By::Admin, "POST", "/v1/audit/events", &event);
        assert_eq!(status, 201, "{receipt}");
        receipt["id"].as_str().expect("an id").to_owned()
    }

    /// Seals; how far it came.
    pub(crate) fn seal(&self) -> Value {
        let (status, answer) = self.ask(By::Admin, "POST", "/v1/audit/anchors", &Value::Null);
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Seals, and that works; the newest checkpoint and the note of the anchor.
    pub(crate) fn sealed(&self) -> (String, String) {
        let status = self.seal();
        let told = (&status["failing"], &status["failing_at"], &status["refusal"], &status["unanchored"]);
        assert_eq!(told, (&json!(false), &Value::Null, &Value::Null, &json!(0)), "{status}");
        let text = |name: &str| status["latest"][name].as_str().expect("a note").to_owned();
        (text("checkpoint"), text("note"))
    }

    /// Lets a new key sign.
    pub(crate) fn rotate(&self, kms_key: Option<&str>) -> (u16, Value) {
        let mut body = json!({"kind": "signing"});
        if let Some(arn) = kms_key {
            body["kms_key"] = json!(arn);
        }
        self.ask(By::Instance, "POST", "/v1/audit/keys/rotate", &body)
    }

    /// The keys that verify the tree of the project, oldest first.
    pub(crate) fn verifier_keys(&self) -> Vec<String> {
        let keys = self.get("/v1/audit/keys");
        let keys = keys["keys"].as_array().expect("keys").iter().map(|key| key["verifier_key"].as_str().expect("a key").to_owned());
        keys.filter(|key| key.split('+').next().is_some_and(|name| name.contains('/'))).collect()
    }

    /// The events of the instance's own project that match.
    pub(crate) fn told(&self, filter: &str) -> Vec<Value> {
        let (_, projects) = self.ask(By::Instance, "GET", "/v1/projects", &Value::Null);
        let all = projects["data"].as_array().expect("projects");
        let system = all.iter().find(|project| project["owner"]["type"] == "instance").expect("one");
        let filter = filter.replace(' ', "%20").replace('"', "%22");
        let path = format!("/v1/audit/events?limit=100&project_id={}&filter={filter}", system["id"].as_str().expect("an id"));
        let (status, page) = self.ask(By::Instance, "GET", &path, &Value::Null);
        assert_eq!(status, 200, "{page}");
        page["data"].as_array().expect("events").clone()
    }

    /// A figure of `/metrics`.
    pub(crate) fn figure(&self, name: &str) -> Option<f64> {
        let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
        let mut answer = agent.get(&self.metrics).call().expect("metrics");
        let text = answer.body_mut().read_to_string().expect("text");
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// Waits until a figure is this.
    pub(crate) fn until(&self, name: &str, value: f64) {
        let end = Instant::now() + Duration::from_secs(30);
        while self.figure(name).is_none_or(|figure| (figure - value).abs() > f64::EPSILON) {
            assert!(Instant::now() < end, "{name} is {:?}", self.figure(name));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs a command through it.
    pub(crate) fn command(&self, by: By, arguments: &[&str]) -> (i32, String) {
        let key_file = self.key_file(by).display().to_string();
        run("", &[arguments, &["--server", &self.url, "--key-file", &key_file]].concat())
    }

    /// Stops it as an operator would.
    pub(crate) fn stop(mut self) {
        let mut child = self.child.take().expect("it runs");
        Command::new("kill").arg(child.id().to_string()).status().expect("kill runs");
        let status = child.wait().expect("it ends");
        assert!(status.success(), "{status}");
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Signature lines of a note.
pub(crate) fn signatures(note: &str) -> usize {
    note.matches("\n\u{2014} ").count()
}

/// Copies what a path leads to, a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(status.success());
}
