//! What a new user is told to try: each command, pasted into a shell, answers.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::program::{Folder, Server};

/// The commands that a server prints, under the line that says what each is for.
fn commands(data: &std::path::Path, arguments: &[&str]) -> (Server, Vec<(String, String)>) {
    let (server, said) = Server::start_saying(data, arguments);
    let (mut commands, mut about) = (Vec::<(String, String)>::new(), None);
    while commands.len() < 3 || about.is_some() {
        let line = said.recv_timeout(Duration::from_secs(20)).expect("three commands");
        if let Some(text) = line.strip_prefix("# ") {
            commands.push((text.to_owned(), String::new()));
            about = Some(());
        } else if line.is_empty() {
            about = None;
        } else if let Some((_, command)) = commands.last_mut().filter(|_| about.is_some()) {
            command.push_str(&line);
            command.push('\n');
        }
    }
    (server, commands)
}

fn answer(command: &str) -> Value {
    let output = Command::new("sh").args(["-c", command]).output().expect("a shell");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{command}: {error}"))
}

#[test]
fn the_demo_asks_its_own_events_the_questions_of_an_auditor() {
    let folder = Folder::new();
    // With a space and a quote, which a shell must not take apart.
    let data = folder.path().join("a demo's data");
    for start in ["first", "second"] {
        let (server, commands) = commands(&data, &["--demo"]);
        let about: Vec<_> = commands.iter().map(|(about, _)| about.split(' ').take(3).collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(about, ["what was the", "what did the", "verify the whole"], "{start}");
        let used = answer(&commands[0].1);
        let used = used["data"].as_array().expect("rows");
        assert!(!used.is_empty() && used.iter().all(|event| event["subjects"].is_array()), "{start}: {}", commands[0].1);
        let accessed = answer(&commands[1].1);
        let accessed = accessed["data"].as_array().expect("rows");
        assert!(!accessed.is_empty() && accessed.iter().all(|event| event["resource"]["id"].is_string()), "{start}: {}", commands[1].1);
        assert!(accessed.iter().all(|event| event["actor"]["type"] == "agent"));
        let verified = answer(&commands[2].1);
        assert!(verified["events"].as_u64() > Some(400) && verified["findings"] == serde_json::json!([]), "{verified}");
        drop(server);
    }
}

#[test]
fn an_empty_ledger_is_filled_and_asked() {
    let folder = Folder::new();
    let (_server, commands) = commands(&folder.path(), &[]);
    assert!(answer(&commands[0].1)["sequence"].is_u64());
    assert_eq!(answer(&commands[1].1)["data"][0]["resource"]["id"], "d-1");
    assert_eq!(answer(&commands[2].1)["findings"], serde_json::json!([]));
}
