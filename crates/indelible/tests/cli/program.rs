//! Running the program, and a server of it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use serde_json::Value;
use tempfile::TempDir;

/// What a run of the program left.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Standard output as JSON, one value a line.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    /// The same, when it went well.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self
    }

    /// The last line of standard output.
    pub(crate) fn last(&self) -> &str {
        self.out.lines().last().unwrap_or_default()
    }
}

/// Runs the program.
pub(crate) fn run(arguments: &[&str]) -> Ran {
    run_with(arguments, b"")
}

/// Runs the program with this standard input.
pub(crate) fn run_with(arguments: &[&str], input: &[u8]) -> Ran {
    run_as(&[], arguments, input)
}

/// Runs the program with these variables in its environment.
pub(crate) fn run_as(variables: &[(&str, &str)], arguments: &[&str], input: &[u8]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_indelible"))
        .args(arguments)
        .env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A program that refuses its arguments does not read.
        stdin.write_all(&input).ok();
    });
    let output = child.wait_with_output().expect("the program ends");
    writer.join().expect("the writer ends");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    Ran { code: output.status.code().expect("not killed"), out: text(&output.stdout), err: text(&output.stderr) }
}

/// A data folder of its own.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// The options that name it.
    pub(crate) fn target(&self) -> Vec<String> {
        vec!["--data".to_owned(), self.path().display().to_string()]
    }

    /// A file beside the data.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path.display().to_string()
    }

    /// A file beside the data that nobody else can read.
    pub(crate) fn private_file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.file(name, bytes);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        path
    }

    /// Runs a command on it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let target = self.target();
        let all: Vec<&str> = arguments.iter().copied().chain(target.iter().map(String::as_str)).collect();
        run(&all)
    }
}

/// A running server on a folder; killed when dropped.
pub(crate) struct Server {
    child: Child,
    url: String,
    key_file: String,
}

impl Server {
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_saying(data, &[]).0
    }

    /// Starts it with further arguments; also what it says after the address.
    pub(crate) fn start_saying(data: &Path, arguments: &[&str]) -> (Self, mpsc::Receiver<String>) {
        Self::start_at("127.0.0.1:0", data, arguments)
    }

    /// Kills it, and starts another on the same address.
    pub(crate) fn again(mut self, data: &Path) -> Self {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        Self::start_at(self.address(), data, &[]).0
    }

    fn start_at(address: &str, data: &Path, arguments: &[&str]) -> (Self, mpsc::Receiver<String>) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_indelible"))
            .args(["serve", "--listen", address, "--no-metrics", "--log", "error", "--data"])
            .arg(data)
            .args(arguments)
            .env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let url = loop {
            let line = lines.next().expect("the server listens before it ends").expect("text");
            if let Some((_, address)) = line.to_ascii_lowercase().split_once("listening on ") {
                break address.trim().to_owned();
            }
        };
        let (say, said) = mpsc::channel();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(say.send(line))));
        (Self { child, url, key_file: data.join("admin.key").display().to_string() }, said)
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> &str {
        self.url.strip_prefix("http://").expect("plain HTTP")
    }

    pub(crate) fn key_file(&self) -> &str {
        &self.key_file
    }

    pub(crate) fn target(&self) -> Vec<String> {
        self.target_with(&self.key_file)
    }

    pub(crate) fn target_with(&self, key_file: &str) -> Vec<String> {
        ["--server", &self.url, "--key-file", key_file].map(str::to_owned).to_vec()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A sample of the repository.
pub(crate) fn sample(name: &str) -> String {
    format!("{}/demo/{name}", env!("CARGO_MANIFEST_DIR"))
}
