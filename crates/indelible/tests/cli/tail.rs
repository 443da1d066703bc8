//! `indelible tail`, with a server that goes away and comes back.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::program::{Folder, Server, run, run_with};

/// A running `tail`.
struct Tail {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Tail {
    fn start(server: &Server, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_indelible"))
            .arg("tail")
            .args(arguments)
            .args(server.target())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("it goes on").expect("text")
    }

    /// Stops it as somebody at a terminal does: its exit code, and what it said beside.
    fn interrupt(self) -> (Option<i32>, String) {
        assert!(Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().expect("kill runs").success());
        let output = self.child.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn append(server: &Server, from: usize, to: usize) {
    let lines: Vec<String> = (from..to)
        .map(|n| format!("{{\"action\":\"tail.step\",\"outcome\":\"allow\",\"actor\":{{\"type\":\"human\",\"id\":\"step {n}\"}}}}\n"))
        .collect();
    let lines = lines.concat();
    let target = server.target();
    let arguments: Vec<&str> = ["append"].into_iter().chain(target.iter().map(String::as_str)).collect();
    run_with(&arguments, lines.as_bytes()).ok();
}

#[test]
fn it_goes_on_after_a_server_that_was_killed_and_misses_nothing() {
    let folder = Folder::new();
    let mut server = Server::start(&folder.path());
    append(&server, 0, 10);
    let mut tail = Tail::start(&server, &["--json", "--after-sequence", "0", "-f", "action eq \"tail.step\""]);
    for round in 0..3 {
        append(&server, 10 * (round + 1), 10 * (round + 2));
        for n in 10 * round..10 * (round + 1) {
            let event: Value = serde_json::from_str(&tail.line()).expect("JSON");
            assert_eq!(event["actor"]["id"], format!("step {n}"));
        }
        server = server.again(&folder.path());
    }
    for n in 30..40 {
        let event: Value = serde_json::from_str(&tail.line()).expect("JSON");
        assert_eq!(event["actor"]["id"], format!("step {n}"));
    }
    let (code, said) = tail.interrupt();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the stream is lost: "), "{said}");
}

#[test]
fn it_prints_a_line_an_event_and_ends_where_it_may_not() {
    let folder = Folder::new();
    let server = Server::start(&folder.path());
    let mut tail = Tail::start(&server, &["--after-sequence", "0", "--filter", "action eq \"tail.step\""]);
    assert!(tail.line().starts_with("SEQUENCE   TIME"));
    append(&server, 0, 2);
    for n in 0..2 {
        let line = tail.line();
        let expected = format!("step {n}                      tail.step                   allow");
        assert!(line.contains(&expected), "{line}");
    }
    assert_eq!(tail.interrupt(), (Some(0), String::new()));
    let target = server.target();
    let with = |arguments: &[&str]| run(&arguments.iter().copied().chain(target.iter().map(String::as_str)).collect::<Vec<_>>());
    let refused = with(&["tail", "-f", "nothing eq 1"]);
    assert_eq!((refused.code, refused.err.contains("refused with 400")), (1, true), "{}", refused.err);
    let unknown = folder.private_file("unknown.key", format!("ind_00000000-0000-4000-8000-00000000dead_{}", "A".repeat(43)));
    let refused = run(&["tail", "--key-file", &unknown, "--server", &format!("http://{}", server.address())]);
    assert_eq!((refused.code, refused.err.contains("refused with 401")), (1, true), "{}", refused.err);
    drop(server);
    let nowhere = with(&["tail"]);
    assert_eq!((nowhere.code, nowhere.err.contains("cannot reach")), (1, true), "{}", nowhere.err);
    let offline = folder.run(&["tail"]);
    assert_eq!((offline.code, offline.err.contains("only a server can be followed")), (1, true), "{}", offline.err);
}
