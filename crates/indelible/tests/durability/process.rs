//! The program as a child process.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running `indelible serve`. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    data: PathBuf,
}

impl Server {
    /// Starts it and waits until it listens.
    pub(crate) fn start(data: &Path, arguments: &[&str]) -> Self {
        Self::start_under(&[], data, arguments)
    }

    /// Starts it under another program, such as strace.
    pub(crate) fn start_under(under: &[&str], data: &Path, arguments: &[&str]) -> Self {
        let program = env!("CARGO_BIN_EXE_indelible");
        let mut words: Vec<&str> = under.to_vec();
        words.push(program);
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--rate-limit", "0", "--log", "error", "--data"])
            .arg(data)
            .args(arguments)
            .env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let url = loop {
            let line = lines.next().expect("the server listens before it ends").expect("text");
            if let Some(address) = line.strip_prefix("Listening on ") {
                break address.trim().to_owned();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url, data: data.to_owned() }
    }

    /// The administrator's key of the default project.
    pub(crate) fn key(&self) -> String {
        std::fs::read_to_string(self.data.join("admin.key")).expect("the first start writes the key").trim().to_owned()
    }

    /// The greatest resident memory so far, bytes.
    pub(crate) fn resident_max(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a figure");
        line.split_whitespace().nth(1).expect("kB").parse::<u64>().expect("a number") * 1024
    }

    /// Kill -9.
    pub(crate) fn kill(mut self) {
        self.kill_all();
    }

    /// A tracer that is killed lets its tracee live on, so the children go first.
    fn kill_all(&mut self) {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        for child in children.split_whitespace() {
            Command::new("kill").args(["-KILL", child]).status().ok();
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Stops it as an operator would.
    pub(crate) fn stop(mut self) {
        let status = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill runs");
        assert!(status.success());
        self.child.wait().expect("ends");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill_all();
    }
}

/// `verify --json` on the folder: exit code and report of the default project's chain and all others.
pub(crate) fn verify(data: &Path) -> (i32, serde_json::Value) {
    verify_with(data, &[])
}

/// The same with further arguments.
pub(crate) fn verify_with(data: &Path, arguments: &[&str]) -> (i32, serde_json::Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_indelible"))
        .args(["verify", "--json", "--data"])
        .arg(data)
        .args(arguments)
        .env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .output()
        .expect("verify runs");
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().expect("an exit code"), report)
}
