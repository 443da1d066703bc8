//! System calls that fail with EIO, by strace: the write, the sync, in the middle of a load.

use crate::load::Client;
use crate::process::{Server, verify};

/// strace makes every so-manieth call of one kind fail from the first few hundred on.
fn under(rule: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    // The first start is not part of the question.
    Server::start(&data, &[]).stop();
    let call = rule.split(':').next().expect("a call");
    let trace = format!("trace={call}");
    let inject = format!("inject={rule}");
    let server = Server::start_under(&["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject], &data, &[]);
    let (url, key) = (server.url.clone(), server.key());
    let outcome = Client { url: &url, key: &key }.load(3_000, 10, 4);
    assert!(outcome.statuses.contains_key(&503), "{rule}: {:?}", outcome.statuses);
    assert!(outcome.statuses.contains_key(&201), "{rule}: {:?}", outcome.statuses);
    server.kill();
    let (code, report) = verify(&data);
    assert_eq!(code, 0, "{rule}: {report}");
    let server = Server::start(&data, &[]);
    let (url, key) = (server.url.clone(), server.key());
    let client = Client { url: &url, key: &key };
    client.check(&outcome, 3_000);
    let last = client.load(3_000, 10, 4);
    assert_eq!(client.check(&last, 3_000), 3_000, "{rule}");
    server.stop();
}

#[test]
fn failing_syncs_acknowledge_nothing() {
    under("fsync,fdatasync:error=EIO:when=40+25");
}

#[test]
fn failing_writes_acknowledge_nothing() {
    under("pwrite64:error=EIO:when=400+300");
}
