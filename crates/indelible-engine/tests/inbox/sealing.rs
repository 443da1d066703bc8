//! What is encrypted in PostgreSQL opens here and nowhere else, and nothing that is redacted or sealed is in the files of the database.

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use indelible_engine::inbox::InboxKey;

use super::server::{Database, append, folder, refusal};

static KEY: LazyLock<InboxKey> = LazyLock::new(|| InboxKey::generate().expect("made"));

const EVENT: &str = r#"{"action":"a.b","actor":{"type":"human","id":"u"},"outcome":"allow"}"#;

#[tokio::test]
async fn what_is_encrypted_there_opens_here_and_only_unchanged_and_with_its_key() {
    let database = Database::new(Some(&KEY.public().expect("bytes"))).await;
    let host = database.host().await;
    let id = append(&host, EVENT).await.expect("accepted");
    let long = format!("{},\"content\":{{\"output\":\"{}\"}}}}", &EVENT[..EVENT.len() - 1], "\u{e9}".repeat(100_001));
    append(&host, &long).await.expect("accepted");
    let rows = database.owner.query("SELECT event, sealed FROM audit.inbox ORDER BY n", &[]).await.expect("rows");
    assert!(rows.iter().all(|row| row.get::<_, bool>(1)));
    let kept = InboxKey::read(&KEY.private().expect("bytes")).expect("the private half");
    let opened: Vec<serde_json::Value> =
        rows.iter().map(|row| serde_json::from_slice(&kept.open(row.get(0)).expect("opens")).expect("JSON")).collect();
    assert_eq!(opened[0]["id"], id.to_string());
    assert_eq!(opened[0]["action"], "a.b");
    assert!(opened[1]["content"]["output"].as_str().is_some_and(|output| output.len() > 200_000));

    let sealed: &[u8] = rows[0].get(0);
    // The first packet has the id of the key and the session key, the second the data and its MDC.
    for at in 0..sealed.len() {
        let mut changed = sealed.to_vec();
        changed[at] ^= 1;
        // A bit of how a packet's length is told may change nothing: then what opens is the same.
        if let Ok(opened) = kept.open(&changed) {
            assert_eq!(opened, kept.open(sealed).expect("opens"), "byte {at} of {} was changed", sealed.len());
            assert!(at < 16, "byte {at} of {} is not covered", sealed.len());
        }
    }
    for cut in 0..sealed.len() {
        kept.open(&sealed[..cut]).expect_err("cut off");
    }
    InboxKey::generate().expect("made").open(sealed).expect_err("another key");
    InboxKey::read(&KEY.public().expect("bytes")).expect_err("the public half opens nothing");
    assert_eq!(format!("{kept:?}"), "InboxKey(…)");
}

#[tokio::test]
async fn an_inbox_that_cannot_be_sealed_refuses() {
    let database = Database::new(None).await;
    let host = database.host().await;
    let refused = |statement: &'static str| {
        let (owner, host) = (&database.owner, &host);
        async move {
            owner.batch_execute(statement).await.expect("done");
            refusal(&host.query_one("SELECT audit.append($1::text::jsonb)", &[&EVENT]).await.expect_err("refused"))
        }
    };
    let (code, _, message) = refused("DELETE FROM audit.instance").await;
    assert_eq!((code.as_str(), message.as_str()), ("IN006", "the organization of the project has no key for its inbox"));
    let key = indelible_core::hex::encode(&KEY.public().expect("bytes"));
    let made = format!("INSERT INTO audit.inbox_keys VALUES ('{}', '\\x{key}')", database.organization);
    database.owner.batch_execute(&made).await.expect("made");
    let (code, _, message) = refused("SELECT 1").await;
    assert_eq!((code.as_str(), message.as_str()), ("IN006", "the extension pgcrypto is not there, and events in plain were not accepted"));
    database.owner.batch_execute("CREATE EXTENSION pgcrypto; SELECT audit.inbox_use_pgcrypto()").await.expect("there");
    append(&host, EVENT).await.expect("sealed");
    // Deleting an organization deletes its key.
    let (code, ..) = refused("DELETE FROM audit.inbox_keys").await;
    assert_eq!(code, "IN006");
}

/// Whether some bytes are in a file under a folder, and in which.
fn files_with(folder: &Path, bytes: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files_with(&path, bytes, found);
        } else if std::fs::read(&path).is_ok_and(|file| memchr::memmem::find(&file, bytes.as_bytes()).is_some()) {
            found.push(path.display().to_string());
        }
    }
}

#[tokio::test]
async fn nothing_redacted_or_sealed_is_in_the_files_of_the_database_or_a_dump() {
    let database = Database::new(Some(&KEY.public().expect("bytes"))).await;
    let plain = Database::new(None).await;
    let members = r#""reason":"https://u:pl4ntedS3cret1@h/?token=pl4ntedS3cret2","content":{"extra":{"api_key":"pl4ntedS3cret3","Stripe-Customer-Id":"pl4ntedS3cret4",
        "text":"{\"password\":\"pl4ntedS3cret5\"}"},"output":"WORD"}"#;
    for (database, word) in [(&database, "visible1nSealed"), (&plain, "visible1nPlain")] {
        let event = format!("{},{}}}", &EVENT[..EVENT.len() - 1], members.replace("WORD", word));
        let host = database.host().await;
        append(&host, &event).await.expect("accepted");
        host.batch_execute("BEGIN").await.expect("begun");
        append(&host, &event).await.expect("accepted");
        host.batch_execute("ROLLBACK").await.expect("rolled back");
    }
    // What is neither secret nor sealed is found, in table and log, so that the search is one; what is sealed is not.
    let (mut logged, mut found) = (Vec::new(), Vec::new());
    files_with(&folder().join("data/pg_wal"), "visible1nPlain", &mut logged);
    assert!(!logged.is_empty());
    database.owner.batch_execute("CHECKPOINT").await.expect("on disk");
    files_with(&folder().join("data"), "pl4ntedS3cret", &mut found);
    files_with(&folder().join("data"), "visible1nSealed", &mut found);
    assert!(found.is_empty(), "{found:?}");
    files_with(&folder().join("data"), "visible1nPlain", &mut found);
    let of_plain: u32 =
        plain.owner.query_one("SELECT oid FROM pg_database WHERE datname = current_database()", &[]).await.expect("a row").get(0);
    let place = format!("/base/{of_plain}/");
    assert!(found.iter().any(|file| file.contains(&place)), "{found:?}");
    assert!(found.iter().all(|file| file.contains(&place) || file.contains("/pg_wal/")), "{found:?}");

    for (name, shown) in [(&database.name, false), (&plain.name, true)] {
        let dump = Command::new("pg_dump").args(["-U", "tests", "-d", name, "-h"]).arg(folder()).output().expect("pg_dump runs");
        assert!(dump.status.success());
        // bytea is hex in a dump.
        let hex = |text: &str| indelible_core::hex::encode(text.as_bytes());
        let dump = String::from_utf8(dump.stdout).expect("UTF-8");
        assert!(!dump.contains("pl4ntedS3cret") && !dump.contains(&hex("pl4ntedS3cret")));
        assert_eq!(dump.contains(&hex("visible1n")), shown, "{name}");
    }
}
