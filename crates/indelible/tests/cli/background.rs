//! `export bundle --background`: connections that break are taken up again, a command that was ended goes on, and what comes of it is the bundle
//! that the server made, to the byte.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::program::{Folder, Ran, Server, run, run_with};

/// Where a connection breaks, bytes of what the server sends.
const BREAKS_AFTER: usize = 2 * 1024 * 1024;

/// Longer than any test waits.
const SILENT_FOR: Duration = Duration::from_mins(10);

/// What becomes of a connection.
#[derive(Clone, Copy, PartialEq)]
enum Break {
    /// It is closed once so much was sent.
    Closed,
    /// It is silent once so much was sent.
    Silent,
    /// Something else answers who asks for a file.
    Stranger,
}

/// What a network answers that wants to be logged in to.
const STRANGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n";

/// Stands before a server; the first connections on which a file is asked for, or much is sent, break in this order.
fn before(server: &Server, breaks: &[Break]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (to, left) = (server.address().to_owned(), Arc::new(Mutex::new(breaks.to_vec())));
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let (Ok(there), left) = (TcpStream::connect(&to), Arc::clone(&left)) else { return };
            let (asks, asked) = (client.try_clone().expect("a socket"), there.try_clone().expect("a socket"));
            let breaks = Arc::clone(&left);
            std::thread::spawn(move || ask(asks, asked, &breaks));
            std::thread::spawn(move || answer(there, client, &left));
        }
    });
    url
}

fn ask(mut from: TcpStream, mut to: TcpStream, left: &Mutex<Vec<Break>>) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(taken) = from.read(&mut piece)
        && taken > 0
    {
        // Requests without bodies come in one piece.
        let is_file = piece[..taken].windows(11).any(|bytes| bytes == b"/file HTTP/");
        let mut left = left.lock().expect("not poisoned");
        if is_file && left.first() == Some(&Break::Stranger) {
            left.remove(0);
            let _ = (from.write_all(STRANGE.as_bytes()), from.shutdown(Shutdown::Write), to.shutdown(Shutdown::Both));
            return;
        }
        if to.write_all(&piece[..taken]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn answer(mut from: TcpStream, mut to: TcpStream, left: &Mutex<Vec<Break>>) {
    let (mut sent, mut piece) = (0, vec![0; 64 * 1024]);
    while let Ok(taken) = from.read(&mut piece)
        && taken > 0
        && to.write_all(&piece[..taken]).is_ok()
    {
        sent += taken;
        if sent < BREAKS_AFTER {
            continue;
        }
        let mut left = left.lock().expect("not poisoned");
        if !left.is_empty() {
            if left.remove(0) == Break::Silent {
                drop(left);
                std::thread::sleep(SILENT_FOR);
            }
            break;
        }
    }
    let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
}

fn filled() -> Folder {
    let folder = Folder::new();
    let event = format!(
        "{{\"action\":\"long.export\",\"outcome\":\"allow\",\"actor\":{{\"type\":\"human\",\"id\":\"a\"}},\"reason\":\"{}\"}}\n",
        "r".repeat(1_500)
    );
    let target = folder.target();
    run_with(&["append", &target[0], &target[1]], event.repeat(5_000).as_bytes()).ok();
    folder
}

fn beside(folder: &Folder, name: &str) -> String {
    folder.path().with_file_name(name).display().to_string()
}

/// The same bundle each time: what is recorded of exports is after it.
fn bundle<'a>(out: &'a str, url: &'a str, server: &'a Server, more: &[&'a str]) -> Vec<&'a str> {
    let asked = ["export", "bundle", "--to-sequence", "5000", "--out", out, "--server", url, "--key-file", server.key_file()];
    [&asked[..], more].concat()
}

fn left(out: &str) -> [bool; 3] {
    [out.to_owned(), format!("{out}.part"), format!("{out}.part.json")].map(|path| std::fs::metadata(path).is_ok())
}

fn files(folder: &Folder) -> usize {
    std::fs::read_dir(folder.path().join("exports")).map_or(0, Iterator::count)
}

fn refused(ran: &Ran, why: &str) {
    assert!(ran.code == 1 && ran.err.contains(why), "{}: {}", ran.code, ran.err);
}

fn holds(out: &str) {
    let verdict = run(&["verify-bundle", out, "--trust-bundled-keys"]).ok();
    assert!(verdict.out.starts_with("intact: ") && verdict.out.contains("none between them is missing"), "{}", verdict.out);
}

/// The program, once so much has come.
fn begun(arguments: &[&str], out: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_indelible"));
    let child = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let until = Instant::now() + Duration::from_mins(5);
    while std::fs::metadata(format!("{out}.part")).map_or(0, |part| part.len()) < 1024 * 1024 {
        assert!(Instant::now() < until, "nothing comes");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

#[test]
fn connections_that_break_are_taken_up_again() {
    let folder = filled();
    let server = Server::start(&folder.path());
    let out = beside(&folder, "broken.tar");
    let url = before(&server, &[Break::Stranger, Break::Closed, Break::Stranger, Break::Closed]);
    let made = run(&bundle(&out, &url, &server, &["--background", "--json"])).ok().json();
    let bytes = std::fs::metadata(&out).expect("there").len();
    assert_eq!((&made[0]["entries"], &made[0]["left_out"], &made[0]["bytes"]), (&5_001.into(), &0.into(), &bytes.into()));
    holds(&out);
    assert_eq!((left(&out), files(&folder)), ([true, false, false], 0), "nothing is left of it on either side");
    let target = server.target();
    let asked = ["events", "--json", "-f", "action eq \"audit.export\" and phase eq \"outcome\" and context.form eq \"job_file\""];
    let told = run(&asked.iter().copied().chain(target.iter().map(String::as_str)).collect::<Vec<_>>()).ok().json();
    let mut parts: Vec<(u64, &str)> = told
        .iter()
        .map(|event| {
            (
                event["context"]["first_byte"].as_str().and_then(|first| first.parse().ok()).expect("a byte"),
                event["outcome"].as_str().expect("one"),
            )
        })
        .collect();
    parts.sort_unstable();
    // What a server has handed to the machine it counts as sent.
    assert!(parts.len() == 3 && parts[2].1 == "allow", "{parts:?}");
    assert!(parts[0].0 == 0 && parts[1].0 > 0 && parts[2].0 >= 2 * 1024 * 1024, "each went on where the one before broke: {parts:?}");
    refused(&run(&bundle(&out, &url, &server, &["--background"])), "is there already");
}

/// Takes a minute, most of which it waits.
#[test]
fn a_connection_that_stands_still_is_taken_up_again() {
    let folder = filled();
    let server = Server::start(&folder.path());
    let out = beside(&folder, "still.tar");
    let (url, began) = (before(&server, &[Break::Silent]), Instant::now());
    run(&bundle(&out, &url, &server, &["--background"])).ok();
    holds(&out);
    assert!(began.elapsed() < SILENT_FOR / 2, "it did not wait for the other end: {:?}", began.elapsed());
}

#[test]
fn a_command_that_was_ended_goes_on_also_after_a_restart_of_the_server() {
    let folder = filled();
    let server = Server::start(&folder.path());
    let out = beside(&folder, "ended.tar");
    let url = before(&server, &[Break::Silent]);
    let resumed = ["--background", "--resume"];
    refused(&run(&bundle(&out, &url, &server, &resumed)), "nothing to go on with");
    let mut child = begun(&bundle(&out, &url, &server, &["--background"]), &out);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let come = std::fs::metadata(format!("{out}.part")).expect("there").len();
    let server = server.again(&folder.path());
    let target = server.target();
    refused(&run(&bundle(&out, &target[1], &server, &["--background"])), "--resume");
    let others = [&bundle(&out, &target[1], &server, &resumed)[..], &["-f", "outcome eq \"deny\""]].concat();
    refused(&run(&others), "of another export");
    run(&bundle(&out, &target[1], &server, &resumed)).ok();
    holds(&out);
    assert_eq!((left(&out), files(&folder)), ([true, false, false], 0));
    let asked = ["events", "--json", "-f", "context.form eq \"job_file\" and outcome eq \"allow\""];
    let told = run(&asked.iter().copied().chain(target.iter().map(String::as_str)).collect::<Vec<_>>()).ok().json();
    assert_eq!(told[0]["context"]["first_byte"].as_str(), Some(come.to_string().as_str()), "what had come was not sent again");
}

#[test]
fn what_is_not_what_the_server_made_is_not_kept() {
    let folder = filled();
    let server = Server::start(&folder.path());
    let target = server.target();
    let resumed = ["--background", "--resume"];
    // A byte of what had come was changed; the job is gone.
    for (name, why) in [("changed.tar", "is not what the server made"), ("gone.tar", "has no such job")] {
        let out = beside(&folder, name);
        let url = before(&server, &[Break::Silent]);
        let mut child = begun(&bundle(&out, &url, &server, &["--background"]), &out);
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        if name == "changed.tar" {
            let mut bytes = std::fs::read(format!("{out}.part")).expect("there");
            bytes[700_000] ^= 1;
            std::fs::write(format!("{out}.part"), bytes).expect("written");
        } else {
            std::fs::write(
                format!("{out}.part.json"),
                std::fs::read_to_string(format!("{out}.part.json")).expect("there").replace("\"job_id\":\"0", "\"job_id\":\"1"),
            )
            .expect("written");
        }
        refused(&run(&bundle(&out, &target[1], &server, &resumed)), why);
        assert_eq!(left(&out), [false, true, true], "it has no name; nothing is thrown away that may be of another server");
        if name == "changed.tar" {
            run(&bundle(&out, &target[1], &server, &resumed)).ok();
            holds(&out);
        }
    }
    // What cannot be asked for leaves nothing.
    let out = beside(&folder, "wrong.tar");
    let wrong = [&bundle(&out, &target[1], &server, &["--background"])[..], &["-f", "colour eq \"red\""]].concat();
    refused(&run(&wrong), "the server refused with 400");
    assert_eq!(left(&out), [false; 3]);
    let offline = run(&["export", "bundle", "--background", "--out", &out, "--data", &folder.path().display().to_string()]);
    assert_eq!(offline.code, 2, "a folder has no background: {}", offline.err);
}
