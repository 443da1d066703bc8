//! The options of `serve` that say what streams may reach.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;

use clap::Parser;
use indelible_engine::clock::SystemClock;
use indelible_engine::stream::{Response, Route, SendError, Transport};

use super::receiver::{Receiver, answer};
use super::{request, tls_file, to};
use crate::streams::{StreamOptions, cut};

#[test]
fn a_long_sentence_is_cut() {
    for length in [0, 500] {
        assert_eq!(cut("ü".repeat(length)), "ü".repeat(length));
    }
    assert_eq!(cut("ü".repeat(501)), "ü".repeat(500) + "…");
}

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    streams: StreamOptions,
}

/// What the options make beside a data folder, or the sentence that refuses them.
fn transport(words: &[&str], data: &Path) -> Result<Arc<dyn Transport>, String> {
    let line = Line::try_parse_from(["serve"].iter().chain(words)).map_err(|error| error.to_string())?;
    line.streams.transport(data, Arc::new(SystemClock)).map_err(|error| format!("{error:#}"))
}

#[tokio::test]
async fn what_is_allowed_and_believed_is_what_the_options_say() {
    let receiver = Receiver::start(&[answer("200 OK", "", "")]).await;
    let (folder, ca, other) = (tempfile::tempdir().expect("a folder"), tls_file("ca.pem"), tls_file("other-ca.pem"));
    let (data, ca, other) = (folder.path().join("data"), ca.to_str().expect("UTF-8"), other.to_str().expect("UTF-8"));
    let port = format!("127.0.0.1:{}", receiver.port);
    let cases: &[(&[&str], Option<&str>)] = &[
        (&["--stream-allow", "127.0.0.1", "--stream-ca-file", ca], None),
        (&["--stream-allow", &port, "--stream-ca-file", ca], None),
        (&["--stream-allow", "10.0.0.0/8", "--stream-allow", "127.0.0.0/8", "--stream-ca-file", ca], None),
        (&["--stream-allow", "a.internal,127.0.0.0/8", "--stream-ca-file", ca], None),
        (&["--stream-allow", "127.0.0.1:1", "--stream-ca-file", ca], Some("--stream-allow")),
        (&["--stream-ca-file", ca], Some("--stream-allow")),
        (&["--stream-allow", "127.0.0.1", "--stream-ca-file", other], Some("UnknownIssuer")),
        (&["--stream-allow", "127.0.0.1"], Some("UnknownIssuer")),
    ];
    for (words, refusal) in cases {
        let sent = transport(words, &data).expect("options").send(to(&format!("https://127.0.0.1:{}/", receiver.port))).await;
        match (&sent, refusal) {
            (Ok(answered), None) => assert_eq!(answered.status, Some(200)),
            (Err(SendError(told)), Some(refusal)) => assert!(told.contains(refusal), "{words:?}: {told}"),
            _ => panic!("{words:?}: {sent:?}"),
        }
    }
}

#[tokio::test]
async fn the_folder_of_files_is_made_and_is_not_the_ledgers() {
    let root = tempfile::tempdir().expect("a folder");
    let (data, files) = (root.path().join("data"), root.path().join("files/of/streams"));
    std::fs::create_dir(&data).expect("a folder");
    symlink(&data, root.path().join("link")).expect("a link");
    let name = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let made = transport(&["--stream-files", &name(&files)], &data).expect("options");
    let sent = made.send(request(Route::File { name: "a".to_owned() })).await;
    assert_eq!(sent, Ok(Response::default()));
    assert!(files.join("a").is_file());
    assert_eq!(std::fs::metadata(&files).expect("made").permissions().mode() & 0o777, 0o700);
    for inside in [data.clone(), data.join("below"), root.path().join("link"), root.path().join("link/below"), data.join("../data")] {
        let error = transport(&["--stream-files", &name(&inside)], &data).err().expect("refused");
        assert!(error.contains("lies in the data folder"), "{error}");
    }
    std::fs::write(root.path().join("file"), "").expect("written");
    let error = transport(&["--stream-files", &name(&root.path().join("file"))], &data).err().expect("refused");
    assert!(error.contains("cannot make"), "{error}");
}

#[test]
fn what_does_not_hold_starts_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing\n").expect("written");
    let (data, empty) = (folder.path().join("data"), empty.to_str().expect("UTF-8"));
    let cases: &[(&[&str], &str)] = &[
        (&["--stream-allow", "127.1"], "ends in a number"),
        (&["--stream-allow", "10.0.0.1/8"], "the network is 10.0.0.0/8"),
        (&["--stream-allow", "*.internal"], "letters"),
        (&["--stream-allow", ""], "empty part"),
        (&["--stream-ca-file", "/nowhere/ca.pem"], "/nowhere/ca.pem"),
        (&["--stream-ca-file", empty], "holds no certificate"),
        (&["--stream-files", "x", "--stream-file-bytes", "1000"], "--stream-file-bytes"),
        (&["--stream-files", "x", "--stream-file-bytes", "1GB"], "MiB"),
        (&["--stream-file-bytes", "1GiB"], "--stream-files"),
    ];
    for (words, told) in cases {
        let error = transport(words, &data).err().unwrap_or_default();
        assert!(error.contains(told), "{words:?}: {error}");
    }
}
