//! The first walk of `docs/getting-started.md`, run as it stands there, with another port.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::proofs::{blocks, page};

/// Where the page has its server.
const ADDRESS: &str = "127.0.0.1:4680";

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn shell(block: &str, folder: &std::path::Path) -> Command {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_indelible")).parent().expect("a folder");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command.args(["-eu", "-c", block]).current_dir(folder).env("PATH", path).env("XDG_STATE_HOME", folder.join("state"));
    command
}

#[test]
fn the_first_walk_goes_as_its_page_says() {
    // None of those that the system gives to whoever asks for any, or somebody else may have it by the time that the server starts.
    let is_free = |address: &String| TcpListener::bind(address).is_ok();
    let free = (20_000..30_000).map(|port| format!("127.0.0.1:{port}")).find(is_free).expect("a port");
    let page = page("getting-started").replace(ADDRESS, &free);
    let mut blocks = blocks(&page, "sh");
    assert!(blocks.len() >= 8, "{}", blocks.len());
    let folder = tempfile::tempdir().expect("a folder");
    // `exec`, so that what is ended in the end is the server.
    let serve =
        shell(&format!("exec {} --no-metrics", blocks.remove(0).trim()), folder.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _server = Running(serve.expect("it starts"));
    let begun = Instant::now();
    while std::net::TcpStream::connect(&free).is_err() {
        assert!(begun.elapsed() < Duration::from_mins(1), "the server does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    let ran = shell(&blocks.concat(), folder.path()).output().expect("a shell");
    let (out, err) = (String::from_utf8_lossy(&ran.stdout).into_owned(), String::from_utf8_lossy(&ran.stderr).into_owned());
    assert!(ran.status.success(), "{out}\n{err}");
    for said in ["invoice.approve", "approved", "content.decrypt", "denied, as it should be", "halted", "intact", "alice"] {
        assert!(out.contains(said), "{said}: {out}\n{err}");
    }
    assert!(!out.contains("sk-do-not-keep-me") && !out.contains("token=abc"), "{out}");
    let decided = |word: &str| out.lines().filter(|line| line.trim_start().starts_with(word)).count();
    assert_eq!((decided("allow  "), decided("deny  ")), (2, 2), "{out}");
    assert!(
        !out.contains("ind_") && err.contains("Ada Lovelace is a member now"),
        "no credential is shown where a file takes it: {out}\n{err}"
    );
    let alone = std::fs::metadata(folder.path().join("ada.key")).expect("a key file");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&alone.permissions()) & 0o777, 0o600);
}
