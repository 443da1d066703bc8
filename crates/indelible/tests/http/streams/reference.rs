//! The reference library of Standard Webhooks, in Python: whether it takes what came.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Says of each line whether it verifies.
const SCRIPT: &str = "
import json, sys
from standardwebhooks import Webhook, WebhookVerificationError
for line in sys.stdin:
    case = json.loads(line)
    try:
        Webhook(case['secret']).verify(bytes(case['body']), case['headers'])
        print('accepted')
    except WebhookVerificationError as error:
        print(error)
";

/// What the library says to each of these: a secret, a body as an array of bytes, headers.
pub(crate) fn told(cases: &[Value]) -> Vec<String> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/standardwebhooks/bin/python");
    assert!(python.is_file(), "the library is not installed in target/standardwebhooks: `cargo xtask install` does it");
    let mut child = Command::new(python).args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python starts");
    let mut input = child.stdin.take().expect("piped");
    for case in cases {
        writeln!(input, "{case}").expect("written");
    }
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}
