//! A database with a host role that is bound, the data folders of its servers, and the few calls that every test makes.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use indelible_engine::access::{Caller, Envelope};
use indelible_engine::database::bind::Purpose;
use indelible_engine::query::{Opening, Search};
use indelible_engine::resource::Project;
use indelible_engine::verify::{Request, verify_folder};
use indelible_engine::{Database, Ledger, Options};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row};
use uuid::Uuid;

/// Serves the sessions of the tests.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime"));

/// Waits for a future on the spot.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(future)
}

/// A session, used from threads that are no runtime's.
pub(crate) struct Session(Client);

impl Session {
    pub(crate) fn run(&self, sql: &str) {
        wait(self.0.batch_execute(sql)).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    pub(crate) fn rows(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Vec<Row> {
        wait(self.0.query(sql, params)).unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.rows(sql, &[])[0].get(0)
    }

    /// Appends an event; its id, or the SQLSTATE and message of the refusal.
    pub(crate) fn append(&self, event: &str) -> Result<Uuid, String> {
        let row = wait(self.0.query_one("SELECT audit.append($1::text::jsonb)::text", &[&event]));
        let row = row.map_err(|error| {
            error.as_db_error().map_or_else(|| error.to_string(), |said| format!("{} {}", said.code().code(), said.message()))
        })?;
        Ok(Uuid::try_parse(row.get(0)).expect("a UUID"))
    }

    pub(crate) const fn client(&mut self) -> &mut Client {
        &mut self.0
    }
}

/// Everything of one test.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    address: String,
    /// The login role of a host application.
    pub(crate) role: String,
    /// The owner of the tables, a superuser.
    pub(crate) owner: Session,
}

impl Place {
    /// With pgcrypto, and a ledger that has been started once, whose default project the role is bound to.
    pub(crate) fn new() -> (Self, Ledger) {
        let place = Self::empty();
        place.owner.run("CREATE EXTENSION pgcrypto");
        let ledger = place.open("a");
        place.bind(&ledger, ledger.default_project_id());
        place.until("there is an inbox key", || place.owner.number("SELECT count(*) FROM audit.inbox_keys") == 1);
        (place, ledger)
    }

    /// Without anything.
    pub(crate) fn empty() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let (n, folder) = (NUMBER.fetch_add(1, Ordering::Relaxed), crate::postgres::folder());
        crate::postgres::say(folder, "postgres", &format!("CREATE DATABASE place{n}"));
        let (address, role) = (format!("postgres:///place{n}?host={}&user=tests", folder.display()), format!("host{n}"));
        let owner = session(&address, None);
        owner.run(&format!("CREATE ROLE {role} LOGIN"));
        Self { folder: tempfile::tempdir().expect("a folder"), address, role, owner }
    }

    /// The address, for a login role.
    pub(crate) fn address_of(&self, role: &str) -> String {
        self.address.replace("user=tests", &format!("user={role}"))
    }

    pub(crate) fn database(&self) -> Arc<Database> {
        Arc::new(Database::parse(&self.address, None, None).expect("an address"))
    }

    /// A server of this name, which shares everything but its data folder.
    pub(crate) fn open(&self, name: &str) -> Ledger {
        self.open_with(name, |_| {})
    }

    pub(crate) fn open_with(&self, name: &str, change: impl FnOnce(&mut Options)) -> Ledger {
        let mut options = Options::new(self.folder.path().join(name));
        options.disk_reserve_bytes = 0;
        options.anchor_interval = Duration::from_hours(1);
        options.database = Some(self.database());
        options.keys = Some(self.keys());
        options.checkpoints = self.folder.path().join("checkpoints").into();
        change(&mut options);
        Ledger::open(options).expect("it opens").ledger
    }

    /// A server whose login is a member of `audit_server` and owns nothing; the owner makes partitions for it.
    pub(crate) fn open_as_server(&self, name: &str) -> Ledger {
        let role = format!("server_of_{}", self.role);
        self.owner.run(&format!("CREATE ROLE {role} LOGIN IN ROLE audit_server"));
        let address = self.address_of(&role);
        self.open_with(name, |options| {
            options.database_maintenance = options.database.take();
            options.database = Some(Arc::new(Database::parse(&address, None, None).expect("an address")));
        })
    }

    /// The key store.
    pub(crate) fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    /// Binds the role, in the order that is asked for.
    pub(crate) fn bind(&self, ledger: &Ledger, project_id: Uuid) {
        assert!(wait(ledger.bind_role(&self.instance(ledger), Purpose::Host, &self.role, project_id)).expect("bound"));
        let mut owner = session(&self.address, None);
        let bound = indelible_engine::database::bind::bind(owner.client(), Purpose::Host, &self.role, project_id);
        wait(bound).expect("a member");
    }

    /// A session of the host role.
    pub(crate) fn host(&self) -> Session {
        session(&self.address, Some(&self.role))
    }

    /// Another session of the owner.
    pub(crate) fn another_owner(&self) -> Session {
        session(&self.address, None)
    }

    fn known(&self, ledger: &Ledger, file: &str) -> Caller {
        let text = std::fs::read_to_string(self.folder.path().join("a").join(file)).expect("a key file");
        wait(ledger.recognise(Some(text.trim()), Envelope::default())).expect("a key")
    }

    /// The administrator of the default project.
    pub(crate) fn admin(&self, ledger: &Ledger) -> Caller {
        self.known(ledger, "admin.key")
    }

    /// The key of the instance.
    pub(crate) fn instance(&self, ledger: &Ledger) -> Caller {
        self.known(ledger, "instance.key")
    }

    pub(crate) fn project(&self, ledger: &Ledger, id: Uuid) -> Arc<Project> {
        ledger.project_of(&self.instance(ledger), Some(id)).expect("a project")
    }

    /// That of an organization.
    pub(crate) fn system_project(&self, ledger: &Ledger, organization_id: Uuid) -> Arc<Project> {
        let select = "SELECT project_id FROM audit.ledgers WHERE organization_id = $1";
        let rows = self.owner.rows(select, &[&organization_id.to_string()]);
        let mut all = rows.iter().map(|row| self.project(ledger, Uuid::try_parse(row.get(0)).expect("a UUID")));
        all.find(|project| project.system).expect("every organization has one")
    }

    /// The events of a project, opened.
    pub(crate) fn events(&self, ledger: &Ledger, project_id: Uuid, filter: &str) -> Vec<Value> {
        let (caller, project) = (self.instance(ledger), self.project(ledger, project_id));
        let opening = Opening { content: true, purpose: Some("a test".to_owned()) };
        let search = Search { filter: Some(filter.to_owned()), limit: Some(1_000), opening, ..Search::default() };
        let page = wait(ledger.search(&caller, &project, search)).expect("a page");
        let mut events: Vec<Value> = page.records.iter().map(|record| serde_json::from_slice(record).expect("JSON")).collect();
        events.reverse();
        events
    }

    /// The entries of a project, as they are stored, without the engine's own.
    pub(crate) fn entries(&self, project_id: Uuid) -> Vec<Value> {
        let select = "SELECT entry FROM audit.events WHERE project_id = $1::text::uuid AND entry::jsonb -> 'recorder' ->> 'path' <> 'engine' ORDER BY sequence";
        let rows = self.owner.rows(select, &[&project_id.to_string()]);
        rows.iter().map(|row| serde_json::from_str(row.get(0)).expect("JSON")).collect()
    }

    /// Rows in the inbox.
    pub(crate) fn waiting(&self) -> i64 {
        self.owner.number("SELECT count(*) FROM audit.inbox")
    }

    /// Waits until the inbox is empty.
    pub(crate) fn drained(&self) {
        self.until("the inbox is empty", || self.waiting() == 0);
    }

    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_mins(1);
        while !is_so() {
            assert!(Instant::now() < end, "{what}: not within a minute, {} rows wait", self.waiting());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Every row of every chain verifies, and all that the database holds agrees with it.
    pub(crate) fn verify(&self) {
        let (data, database, keys) = (self.folder.path().join("a"), self.database(), self.keys());
        let checkpoints = self.folder.path().join("checkpoints").into();
        let mut request = Request::new(&data, &checkpoints);
        (request.database, request.keys) = (Some(&database), Some(keys.as_path()));
        let reports = verify_folder(&request, &mut |_| {}).expect("it can be verified").projects;
        for report in &reports {
            assert!(report.findings.is_empty(), "{report:?}");
        }
        let dense = "SELECT count(*) FROM (SELECT row - row_number() OVER (ORDER BY row) AS gap FROM audit.events) AS g WHERE gap <> 0";
        assert_eq!(self.owner.number(dense), 0, "rows are dense");
    }

    /// All of the database, as a dump has it.
    pub(crate) fn dump(&self) -> String {
        let dumped = Command::new("pg_dump").arg(self.address.replace("postgres:///", "postgresql:///")).output().expect("pg_dump runs");
        assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
        String::from_utf8(dumped.stdout).expect("UTF-8")
    }

    /// Nothing of these texts is in the database, as it is or in hex.
    pub(crate) fn holds_none_of(&self, secrets: &[&str]) {
        let dump = self.dump();
        assert!(dump.contains("account.transfer") || dump.contains("audit.append_rejected"), "it has the events");
        for secret in secrets {
            assert!(
                !dump.contains(secret) && !dump.contains(&indelible_core::hex::encode(secret.as_bytes())),
                "{secret} is in the database"
            );
        }
    }
}

fn session(address: &str, user: Option<&str>) -> Session {
    let mut config: Config = address.parse().expect("an address");
    if let Some(user) = user {
        config.user(user);
    }
    let (client, connection) = wait(config.connect(NoTls)).expect("the server answers");
    RUNTIME.spawn(connection);
    Session(client)
}

/// An event with a text in its content.
pub(crate) fn event(n: u64, text: &str) -> String {
    let members = format!(r#""resource":{{"type":"account","id":"{n}"}},"content":{{"arguments":{{"text":"{text}"}}}}"#);
    format!(r#"{{"id":"{}","action":"account.transfer","outcome":"allow","actor":{{"type":"human","id":"alice"}},{members}}}"#, id(n))
}

pub(crate) fn id(n: u64) -> String {
    Uuid::from_u128(0x4000_8000_0000_0000_0000 | u128::from(n)).to_string()
}
