//! A PostgreSQL server for these tests, which ends with them, and for each test a database with the schema and a host role of its own.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

/// The schema, in the order in which it is installed.
pub(crate) const SCHEMA: [&str; 8] = [
    include_str!("../../src/store/postgres/schema.sql"),
    include_str!("../../src/store/postgres/redaction.sql"),
    include_str!("../../src/store/postgres/redaction_text.sql"),
    include_str!("../../src/store/postgres/redaction_scan.sql"),
    include_str!("../../src/store/postgres/event_members.sql"),
    include_str!("../../src/store/postgres/event_check.sql"),
    include_str!("../../src/store/postgres/inbox.sql"),
    include_str!("../../src/store/postgres/watch.sql"),
];

const ROLES: &str = "CREATE ROLE audit_server; CREATE ROLE audit_host; CREATE ROLE audit_reader";

/// The process, whose standard input is never closed, and the folder of its socket and of its data.
static SERVER: LazyLock<(Child, PathBuf)> = LazyLock::new(|| {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres.sh");
    let mut child = Command::new(script).arg("log_statement=none").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a script");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
    assert!(!line.is_empty(), "PostgreSQL did not start: `cargo xtask install` installs it");
    let folder = PathBuf::from(line.trim());
    let made = Command::new("psql").args(["-q", "-U", "tests", "-d", "postgres", "-c", ROLES, "-h"]).arg(&folder).status();
    assert!(made.expect("psql runs").success());
    (child, folder)
});

/// The folder of the server.
pub(crate) fn folder() -> &'static Path {
    &SERVER.1
}

/// A database with the schema, and who may do what in it.
pub(crate) struct Database {
    pub(crate) name: String,
    /// The superuser.
    pub(crate) owner: Client,
    /// The login role of a host application, bound to the project.
    pub(crate) host: String,
    pub(crate) project: Uuid,
    pub(crate) organization: Uuid,
}

/// A session in a database.
pub(crate) async fn connect(database: &str, user: &str) -> Client {
    let config = format!("host={} user={user} dbname={database}", folder().display());
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    client
}

impl Database {
    /// A new one. With `pgcrypto`, events are encrypted to `public_key`; without, events in plain are accepted.
    pub(crate) async fn new(public_key: Option<&[u8]>) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let (name, host) = (format!("inbox{number}"), format!("host{number}"));
        let admin = connect("postgres", "tests").await;
        admin.batch_execute(&format!("CREATE DATABASE {name} ENCODING 'UTF8' LOCALE 'C.UTF-8' TEMPLATE template0")).await.expect("made");
        let owner = connect(&name, "tests").await;
        // pgcrypto is found wherever it is.
        let extension = if public_key.is_some() { "CREATE SCHEMA \"Crypto\"; CREATE EXTENSION pgcrypto SCHEMA \"Crypto\";" } else { "" };
        owner.batch_execute(&format!("CREATE SCHEMA audit; {extension}")).await.expect("made");
        for file in SCHEMA {
            owner.batch_execute(file).await.expect("the schema is installed");
        }
        let (project, organization) = (Uuid::from_u128(u128::from(number)), Uuid::from_u128(u128::from(number) << 64));
        owner
            .batch_execute(&format!(
                "CREATE ROLE {host} LOGIN IN ROLE audit_host; GRANT ALL ON SCHEMA public TO {host};
                 INSERT INTO audit.bindings VALUES ('{host}', '{project}', '{organization}')"
            ))
            .await
            .expect("bound");
        match public_key {
            Some(key) => {
                let key = indelible_core::hex::encode(key);
                owner.batch_execute(&format!("INSERT INTO audit.inbox_keys VALUES ('{organization}', '\\x{key}')")).await.expect("there");
            }
            None => owner.batch_execute("INSERT INTO audit.instance VALUES ('plaintext_inbox_accepted', 'true')").await.expect("accepted"),
        }
        Self { name, owner, host, project, organization }
    }

    /// A session of the host role.
    pub(crate) async fn host(&self) -> Client {
        connect(&self.name, &self.host).await
    }

    /// The events in the inbox, as JSON, by number.
    pub(crate) async fn events(&self) -> Vec<serde_json::Value> {
        let rows =
            self.owner.query("SELECT convert_from(event, 'UTF8') FROM audit.inbox WHERE NOT sealed ORDER BY n", &[]).await.expect("read");
        rows.iter().map(|row| serde_json::from_str(row.get(0)).expect("JSON")).collect()
    }
}

/// SQLSTATE, DETAIL and message of a refusal.
pub(crate) fn refusal(error: &tokio_postgres::Error) -> (String, String, String) {
    let said = error.as_db_error().expect("of the database");
    (said.code().code().to_owned(), said.detail().unwrap_or_default().to_owned(), said.message().to_owned())
}

/// Hands an event in; the refusal, if it is refused.
pub(crate) async fn append(host: &Client, event: &str) -> Result<Uuid, (String, String, String)> {
    let row = host.query_one("SELECT audit.append($1::text::jsonb)::text", &[&event]).await.map_err(|error| refusal(&error))?;
    Ok(Uuid::try_parse(row.get(0)).expect("a UUID"))
}
