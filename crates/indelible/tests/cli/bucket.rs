//! The checkpoint store in an object store, as the command line reaches it.

use indelible_engine::verify::{Request, verify_folder};

use crate::moto::Place;
use crate::program::{Folder, Ran, run_as, sample};

fn run(folder: &Folder, place: &Place, store: &str, arguments: &[&str]) -> Ran {
    let (settings, target) = (place.settings(), folder.target());
    // A proxy is not asked for what is on this machine.
    let proxies = ["HTTP_PROXY", "http_proxy", "ALL_PROXY"].map(|name| (name, "http://127.0.0.1:1"));
    let variables = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let variables: Vec<(&str, &str)> = variables.chain(proxies).collect();
    let target = target.iter().map(String::as_str).chain(["--checkpoints", store]);
    run_as(&variables, &arguments.iter().copied().chain(target).collect::<Vec<_>>(), b"")
}

#[test]
fn an_older_copy_is_told_and_adopted_beside_an_object_store() {
    let (folder, place) = (Folder::new(), Place::new());
    let store = place.named();
    run(&folder, &place, &store, &["import", "cloudtrail", &sample("cloudtrail.json.gz")]).ok();
    assert!(run(&folder, &place, &store, &["verify"]).ok().out.contains("intact"));
    let ran = run(&folder, &place, &format!("{store}/elsewhere"), &["verify"]);
    assert!(ran.code == 2 && ran.out.contains("unverifiable") && ran.out.contains("is not in s3://"), "{}{}", ran.out, ran.err);

    let ledger = folder.path().join("ledger.db");
    let older = std::fs::read(&ledger).expect("readable");
    run(&folder, &place, &store, &["events", "-n", "1"]).ok();
    run(&folder, &place, &store, &["verify"]).ok();
    std::fs::write(&ledger, older).expect("put back");
    let ran = run(&folder, &place, &store, &["verify"]);
    assert!(ran.code == 1 && ran.out.contains("rolled_back"), "{}{}", ran.out, ran.err);

    let adopted = run(&folder, &place, &store, &["checkpoints", "adopt"]).ok().out;
    assert!(adopted.lines().count() >= 2 && adopted.lines().all(|line| line.starts_with("adopted ")), "{adopted}");
    assert!(run(&folder, &place, &store, &["verify"]).ok().out.contains("intact"));
    // What the command line was told is the store that the engine names so.
    let reports = verify_folder(&Request::new(&folder.path(), &place.store()), &mut |_| {}).expect("verified").projects;
    assert!(reports.iter().all(|report| report.findings.is_empty()), "{reports:?}");
}

#[test]
fn a_store_that_is_not_reached_is_named_with_the_reason() {
    let (folder, place) = (Folder::new(), Place::new());
    let store = place.named();
    run(&folder, &place, &store, &["import", "cloudtrail", &sample("cloudtrail.json.gz")]).ok();
    let nobody = Place { reached_at: "127.0.0.1:1".to_owned(), ..place.clone() };
    let ran = run(&folder, &nobody, &store, &["verify"]);
    assert!(ran.code == 2 && ran.out.contains("cannot be read") && ran.out.contains(&store), "{}{}", ran.out, ran.err);
    let plain = Place { reached_at: "192.0.2.1:9000".to_owned(), ..place.clone() };
    let ran = run(&folder, &plain, &store, &["verify"]);
    assert!(ran.code == 2 && ran.out.contains("over TLS"), "{}{}", ran.out, ran.err);
    for wrong in ["s3://", "s3://bucket/../a", "gs://bucket/a"] {
        let ran = run(&folder, &place, wrong, &["verify"]);
        assert!(ran.code == 2 && ran.err.contains("s3://bucket/prefix"), "{}{}", ran.out, ran.err);
    }
}
