//! Databases for ledgers on the server of this process: each is a copy of one that is installed once, and a ledger that nobody has open is
//! copied as a whole. Making one takes far longer than most tests, so one that nobody broke anything in is emptied and used again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use indelible_engine::database::install::install;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::postgres;

/// What every database of a ledger is a copy of.
const TEMPLATE: &str = "ledger";

/// Made when the first ledger is. These are its partitions, for the months from now; a ledger with a clock of its own makes others.
static INSTALLED: LazyLock<Vec<String>> = LazyLock::new(|| {
    Session::to("postgres").run(&format!("CREATE DATABASE {TEMPLATE}")).expect("made");
    let mut session = Session::to(TEMPLATE);
    let Session { runtime, client, .. } = &mut session;
    let installed = runtime.block_on(install(client)).expect("installed");
    assert!(installed.event_triggers, "a superuser installs");
    session.rows(PARTITIONS).into_iter().flatten().collect()
});

const PARTITIONS: &str = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit.events'::regclass";

/// Databases in which nothing is but what is installed.
static EMPTY: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// Databases in which somebody did what no ledger does.
static BROKEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// With more rows than this it is quicker to make another.
const EMPTIED_ROWS_MAX: i64 = 5_000;

/// A database in which nothing is but what is installed, by its address.
pub(crate) fn installed() -> String {
    LazyLock::force(&INSTALLED);
    let empty = EMPTY.lock().expect("not poisoned").pop();
    empty.map_or_else(|| copy_of(TEMPLATE), |name| address(&name))
}

/// Takes back a database whose ledger is closed.
pub(crate) fn give_back(address: &str) {
    let name = name(address).to_owned();
    if BROKEN.lock().expect("not poisoned").contains(&name) || !is_left(&Session::to("postgres"), &name) {
        return;
    }
    let session = Session::to(&name);
    let rows: i64 = session.rows("SELECT last_row FROM audit.turn")[0][0].parse().expect("a number");
    if rows > EMPTIED_ROWS_MAX {
        return;
    }
    let tables = session.rows(
        "SELECT format('DELETE FROM audit.%I', relname) FROM pg_class
         WHERE relnamespace = 'audit'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition AND relname NOT IN ('turn', 'migrations')",
    );
    // The triggers are as they were when the transaction ends: nobody else ever sees them disabled, and this session not before it has
    // used the tables.
    let triggers = |state: char| {
        format!(
            "UPDATE pg_trigger SET tgenabled = '{state}' FROM pg_class
                 WHERE pg_class.oid = tgrelid AND relnamespace = 'audit'::regnamespace AND starts_with(tgname, 'refuse_')"
        )
    };
    let mut statements = vec![triggers('D')];
    statements.extend(tables.into_iter().flatten());
    // A ledger has to make its partitions itself.
    let made: Vec<_> = session.rows(PARTITIONS).into_iter().flatten().filter(|partition| !INSTALLED.contains(partition)).collect();
    if !made.is_empty() {
        let guards = session.rows("SELECT evtname FROM pg_event_trigger").into_iter().flatten().collect::<Vec<_>>();
        statements.extend(guards.iter().map(|guard| format!("ALTER EVENT TRIGGER {guard} DISABLE")));
        statements.extend(made.iter().map(|partition| format!("DROP TABLE {partition}")));
        statements.extend(guards.iter().map(|guard| format!("ALTER EVENT TRIGGER {guard} ENABLE ALWAYS")));
    }
    statements.push("UPDATE audit.turn SET last_row = 0, recorded_at = 0, control_epoch = 0".to_owned());
    statements.push(triggers('A'));
    session.run(&format!("SET synchronous_commit TO off; {}", statements.join("; "))).expect("emptied");
    EMPTY.lock().expect("not poisoned").push(name);
}

/// Whether nobody has a database open, or is about to be gone.
fn is_left(session: &Session, name: &str) -> bool {
    // Sessions that were closed end a little later.
    let others = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND backend_type = 'client backend'");
    let end = Instant::now() + Duration::from_secs(10);
    while session.rows(&others)[0][0] != "0" {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// A copy of what another holds, by its address. Nobody has that open.
pub(crate) fn copy(address: &str) -> String {
    copy_of(name(address))
}

fn copy_of(name: &str) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let copy = format!("ledger{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let session = Session::to("postgres");
    // The server itself looks for that ten times a second.
    assert!(is_left(&session, name), "somebody has {name} open");
    session.run(&format!("CREATE DATABASE {copy} TEMPLATE {name}")).expect("copied");
    address(&copy)
}

fn address(name: &str) -> String {
    format!("postgres:///{name}?host={}&user=tests", postgres::folder().display())
}

/// The name in an address.
fn name(address: &str) -> &str {
    address.strip_prefix("postgres:///").and_then(|rest| rest.split_once('?')).expect("an address of ours").0
}

/// Lets nobody in, and sends away who is; or lets everybody in again.
pub(crate) fn shut(address: &str, is_shut: bool) {
    let (session, name) = (Session::to("postgres"), name(address));
    BROKEN.lock().expect("not poisoned").push(name.to_owned());
    session.run(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {}", !is_shut)).expect("said");
    if is_shut {
        session.run(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")).expect("sent away");
    }
}

/// Puts another database in the place of one that lets nobody in.
pub(crate) fn replace(address: &str, by: &str) {
    let (session, name, by) = (Session::to("postgres"), name(address), name(by));
    assert!(is_left(&session, name), "somebody has {name} open");
    session.run(&format!("ALTER DATABASE {name} RENAME TO {name}_replaced")).expect("renamed");
    session.run(&format!("ALTER DATABASE {by} RENAME TO {name}")).expect("renamed");
}

/// A session of a superuser.
pub(crate) struct Session {
    name: String,
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Session {
    /// With the ledger of an address.
    pub(crate) fn with(address: &str) -> Self {
        let session = Self::to(name(address));
        session.run("SET search_path TO audit, pg_temp; SET TimeZone TO 'UTC'").expect("set");
        session
    }

    fn to(name: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = runtime.block_on(async {
            let mut config = Config::new();
            config.host_path(postgres::folder()).user("tests").dbname(name);
            let (client, connection) = config.connect(NoTls).await.expect("connects");
            // Driven while somebody waits for an answer.
            tokio::spawn(async move { connection.await.ok() });
            client
        });
        Self { name: name.to_owned(), runtime, client }
    }

    /// What is done from here on is nothing that a ledger does: the database is not used again.
    pub(crate) fn breaks(&self) {
        BROKEN.lock().expect("not poisoned").push(self.name.clone());
    }

    /// Has statements carried out as one transaction; the rows that the last of them changed.
    pub(crate) fn run(&self, sql: &str) -> Result<u64, String> {
        let said = self.runtime.block_on(self.client.simple_query(sql)).map_err(|error| match error.as_db_error() {
            Some(said) => said.message().to_owned(),
            None => error.to_string(),
        })?;
        let counts = said.iter().filter_map(|message| match message {
            SimpleQueryMessage::CommandComplete(count) => Some(*count),
            _ => None,
        });
        Ok(counts.last().unwrap_or_default())
    }

    /// Rows as text; NULL is empty.
    pub(crate) fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let said = self.runtime.block_on(self.client.simple_query(sql)).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let rows = said.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.map(|row| (0..row.len()).map(|at| row.get(at).unwrap_or_default().to_owned()).collect()).collect()
    }
}
