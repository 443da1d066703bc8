//! Schemathesis holds a running server against the OpenAPI document that it hands out: no answer is a fault of the server's, none is
//! one that the document does not have, and what the document does not allow is refused.

use std::path::Path;
use std::process::Command;

use indelible::http::routes;
use serde_json::json;

use crate::server::{EVENTS, House, event};

/// Of what it draws.
const SEED: &str = "1";
/// Drawn for each operation, beside the values at the edges of each schema, which are many more.
const EXAMPLES: &str = "20";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,negative_data_rejection,missing_required_header,unsupported_method,allow_header_conformance";

#[test]
fn the_server_answers_as_its_document_says() {
    let house = House::start();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = root.join("../../target/schemathesis/bin/schemathesis");
    assert!(program.is_file(), "Schemathesis is not installed in target/schemathesis: `cargo xtask install` does it");
    // A run and a conversation of the id that is drawn most: so that they are there.
    let mut step = event("walk.step");
    step["run"] = json!({"id": "0", "thread_id": "0"});
    house.post(EVENTS, &step).send().is(201);
    house.ask("POST", "/v1/audit/anchors").send().is(200);
    let scopes = ["audit:read", "audit:write", "audit:admin", "content:decrypt", "control:write", "events:append"];
    let project = house.make_key(&house.project, "application", &scopes);
    let (own, folder) = (root.join("tests/http/across/schemathesis"), tempfile::tempdir().expect("a folder"));
    let url = format!("http://{}", house.address);
    let output = Command::new(&program)
        .arg("--config-file")
        .arg(own.join("schemathesis.toml"))
        .args(["run", &format!("{url}/openapi.json"), "--url", &url, "--seed", SEED, "--max-examples", EXAMPLES, "--checks", CHECKS])
        .args(["--phases", "examples,coverage,fuzzing,stateful", "--continue-on-failure", "--no-shrink", "--no-color", "--warnings", "off"])
        // Keys are given by the hooks.
        .args(["--generation-with-security-parameters", "false", "--generation-database", "none"])
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", &own)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("INSTANCE_KEY", &house.instance)
        .env("PROJECT_KEY", &project)
        .current_dir(folder.path())
        .output()
        .expect("Schemathesis runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // What it found stands before what it counted; requests may be long.
    let told: String = said.lines().map(|line| line.chars().take(1_000).collect::<String>() + "\n").collect();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    // The document itself is fetched, not tested; a stream has no end.
    let operations = routes().len() - 2;
    assert!(said.contains(&format!("Tested: {operations}\n")), "each of {operations} operations was asked: {told}");
    // Nobody took the keys away meanwhile, and what was written verifies.
    for key in [&house.instance, &project] {
        let report = house.get("/v1/audit/verify").key(key).send().is(200);
        assert_eq!((&report["findings_total"], report["events"].as_u64() > Some(1_000)), (&json!(0), true), "{report}");
    }
}
