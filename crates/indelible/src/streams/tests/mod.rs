//! The transport against real receivers on loopback, which answer as they are told to: rightly, wrongly, late, or not at all.

mod broken;
mod file;
mod https;
mod kept;
mod options;
mod receiver;
mod reference;
mod syslog;
mod tls;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indelible_engine::clock::{Clock, SystemClock};
use indelible_engine::stream::{Request, Response, Route, SendError, Transport as _};
use uuid::Uuid;

use super::Streams;
use super::connect::{Dialer, Patience, trusted};
use super::guard::tests::Scripted;
use super::guard::{Guard, Resolver};

/// The stream of most tests.
const STREAM: Uuid = Uuid::from_u128(0x51);
/// Nothing here takes longer, unless it is meant to.
const PATIENCE: Patience = Patience {
    connect: Duration::from_mins(1),
    whole: Duration::from_mins(1),
    idle: Duration::from_mins(1),
    recheck: Duration::from_mins(1),
    settle: Duration::from_millis(20),
};

fn tls_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cli/tls").join(name)
}

/// A transport that believes the authority of the tests, and reaches loopback.
fn streams(resolver: impl Resolver, patience: Patience) -> Streams {
    trusting("ca.pem", resolver, patience)
}

fn trusting(ca: &str, resolver: impl Resolver, patience: Patience) -> Streams {
    let guard = Guard::new(vec!["127.0.0.0/8".parse().expect("a network")], resolver);
    let roots = trusted(Some(&tls_file(ca))).expect("certificates");
    Streams::new(Dialer::new(guard, roots, patience), None, Arc::new(SystemClock) as Arc<dyn Clock>)
}

/// The one where every name is 127.0.0.1.
fn on_loopback() -> Streams {
    streams(Scripted::new(&[&["127.0.0.1"]]), PATIENCE)
}

fn request(route: Route) -> Request {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Request { stream_id: STREAM, version: 1, route: Arc::new(route), headers, body: b"{\"a\":1}\n".to_vec() }
}

fn to(url: &str) -> Request {
    request(Route::Https { url: url.to_owned() })
}

async fn ask(streams: &Streams, request: Request) -> Result<Response, String> {
    streams.send(request).await.map_err(|SendError(sentence)| sentence)
}

/// Waits for what comes about on other tasks.
async fn until(what: impl Fn() -> bool) {
    for _ in 0..12_000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it does not come about");
}
