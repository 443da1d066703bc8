//! A witness as a child process, and a request to it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running witness; killed when dropped.
pub(crate) struct Witness {
    child: Child,
    pub(crate) url: String,
    pub(crate) key: String,
}

impl Witness {
    /// Starts it on a free port.
    pub(crate) fn start(store: &Path, log_keys: &[&str]) -> Self {
        Self::start_on(store, "127.0.0.1:0", log_keys)
    }

    pub(crate) fn start_on(store: &Path, listen: &str, log_keys: &[&str]) -> Self {
        let name = format!("{}.example/w", store.file_name().expect("a name").to_string_lossy());
        let mut command = Command::new(env!("CARGO_BIN_EXE_indelible"));
        command.args(["witness", "--listen", listen, "--log", "off", "--name", &name, "--store"]).arg(store);
        for key in log_keys {
            command.args(["--log-key", key]);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let mut after = |beginning: &str| lines.find_map(|line| line.strip_prefix(beginning).map(str::to_owned)).expect("it says so");
        let (key, url) = (after("Verifier key "), after("Listening on "));
        Self { child, url, key }
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> String {
        self.url.trim_start_matches("http://").to_owned()
    }

    /// Kill -9.
    pub(crate) fn kill(mut self) {
        self.kill_now();
    }

    /// Stops it as an operator would.
    pub(crate) fn stop(mut self) {
        Command::new("kill").arg(self.child.id().to_string()).status().expect("kill runs");
        assert!(self.child.wait().expect("ends").success());
    }

    /// The same, for one whose place another takes.
    pub(crate) fn kill_now(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.kill_now();
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

/// POSTs to a path; `None` where nobody answers.
pub(crate) fn post(base: &str, path: &str, body: &[u8]) -> Option<Answer> {
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).timeout_global(Some(Duration::from_secs(20)));
    let agent: ureq::Agent = config.build().into();
    let mut answer = agent.post(format!("{base}{path}")).send(body).ok()?;
    let content_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let mut text = String::new();
    answer.body_mut().as_reader().read_to_string(&mut text).ok()?;
    Some(Answer { status: answer.status().as_u16(), content_type, body: text })
}

/// `add-checkpoint`.
pub(crate) fn add(base: &str, body: &str) -> Option<Answer> {
    post(base, "/add-checkpoint", body.as_bytes())
}
