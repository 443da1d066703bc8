//! The first start of a data folder: instance, default organization and project, system projects, two keys.
//!
//! One transaction makes all of it. The key files are written before: a crash in between leaves keys that open
//! nothing, and the next start draws new ones over them.

use std::path::Path;
use std::sync::Arc;

use indelible_core::hex;
use indelible_core::json::Value;
use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::credential::Credential;
use super::kept::Kept;
use super::kind::Kind;
use super::kinds::projects::{self, ProjectSpec};
use super::kinds::{api_keys, organizations};
use super::mutate::Mutation;
use super::registry::Registry;
use super::tenancy::numbered;
use super::{NewApiKey, Project};
use crate::access::{Caller, KeyKind, Owner, Scope};
use crate::append::{AppendError, Desk, Prepared};
use crate::keystore::{KeyError, random_bytes, signing_state};
use crate::kms::KeyArn;
use crate::ledger::{FirstStart, OpenError};
use crate::store::sql::{Connection, OptionalExtension};
use crate::store::{StoreError, write_private};
use crate::write::{Change, Privilege, Work, Writer};

const SYSTEM: i64 = 1;
const ORGANIZATION_SYSTEM: i64 = 2;
const DEFAULT: i64 = 3;
/// File of the administrator's key.
const ADMIN_KEY: &str = "admin.key";
/// File of the instance's key.
const INSTANCE_KEY: &str = "instance.key";
/// The key that signs first.
const SIGNING_KEY: u64 = 1;

/// What the instance is called, and what it made first.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) name: String,
    pub(crate) organization_id: Uuid,
    pub(crate) project_id: Uuid,
    pub(crate) system_project_id: Uuid,
}

impl Instance {
    /// Reads it; `None` before the first start.
    pub(crate) fn load(connection: &Connection) -> Result<Option<Self>, StoreError> {
        let value = |key: &str| -> Result<Option<String>, StoreError> {
            Ok(connection.query_row("SELECT value FROM instance WHERE key = ?1", [key], |row| row.get(0)).optional()?)
        };
        let Some(name) = value("name")? else { return Ok(None) };
        let id = |key: &'static str| {
            let text = value(key)?.unwrap_or_default();
            Uuid::try_parse(&text).map_err(|_| StoreError::Corrupt(format!("instance.{key} is not a UUID")))
        };
        Ok(Some(Self {
            name,
            organization_id: id("organization_id")?,
            project_id: id("project_id")?,
            system_project_id: id("system_project_id")?,
        }))
    }

    fn rows(&self) -> Vec<Change> {
        let row = |key, value: String| Change::Instance { key, value };
        vec![
            row("name", self.name.clone()),
            row("organization_id", self.organization_id.to_string()),
            row("project_id", self.project_id.to_string()),
            row("system_project_id", self.system_project_id.to_string()),
        ]
    }
}

/// The name of an instance: the origin of its notes, so no white space and no `+` (C2SP signed notes).
fn instance_name(wanted: Option<&str>) -> Result<String, OpenError> {
    match wanted {
        Some(name) if name.is_empty() || name.len() > 128 || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+') => {
            Err(OpenError::Store(format!("{name:?} cannot be an instance name: 1 to 128 bytes without white space and without `+`")))
        }
        Some(name) => Ok(name.to_owned()),
        None => Ok(format!("indelible-{}", hex::encode(&random_bytes::<4>().map_err(key_error)?))),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn key_error(error: KeyError) -> OpenError {
    OpenError::Key(error.to_string())
}

/// The administrator's key of a project and the instance's, each written to its file before anything says that it works.
fn draw_keys(data: &Path, desk: &Desk, project_id: Uuid, now: Timestamp) -> Result<(Kept, Kept), OpenError> {
    let make = |name: &str, owner, file: &str| {
        let new = NewApiKey { name: name.to_owned(), owner, kind: KeyKind::Application, scopes: Scope::ALL.to_vec(), expires_at: None };
        let mut key = Kept::first(desk.new_id().map_err(key_error)?, owner, now, new.document());
        let (credential, text) = Credential::draw(key.id).map_err(key_error)?;
        key.credentials.push(credential);
        let file = data.join(file);
        write_private(&file, format!("{text}\n").as_bytes()).map_err(|error| OpenError::Store(format!("{}: {error}", file.display())))?;
        Ok::<_, OpenError>(key)
    };
    Ok((make("administrator", Owner::Project(project_id), ADMIN_KEY)?, make("instance", Owner::Instance, INSTANCE_KEY)?))
}

/// What the first start is told.
pub(crate) struct Wishes<'a> {
    /// The name of the instance.
    pub(crate) instance_name: Option<&'a str>,
    /// The KMS key that signs first.
    pub(crate) signing_kms: Option<&'a KeyArn>,
    /// The KMS key that wraps the organizations' keys.
    pub(crate) organization_kms: Option<&'a KeyArn>,
}

/// The ledger's own keys: those of the organizations, the ring key and the one that signs. What tells of the latter, and its number.
fn make_own_keys(
    desk: &Desk,
    instance: &Instance,
    wishes: &Wishes<'_>,
    now: Timestamp,
) -> Result<(u64, Value<'static>, Vec<Change>), OpenError> {
    for owner in [Uuid::nil(), instance.organization_id] {
        desk.keystore.make_organization_key(owner, &instance.name, wishes.organization_kms).map_err(key_error)?;
    }
    let (id, public_key) = desk.keystore.make_signing_key(SIGNING_KEY, wishes.signing_kms, &[]).map_err(key_error)?;
    let ring = Change::RingKey { id: desk.keystore.newest_ring_id(), since: now };
    let state = Value::Object(signing_state(&public_key, wishes.signing_kms));
    Ok((id, state, vec![ring, Change::SigningKey { id, public_key, since: now }]))
}

/// Makes everything.
pub(crate) fn first_start(
    data: &Path,
    wishes: &Wishes<'_>,
    desk: &Desk,
    registry: &Registry,
    writer: &Writer,
) -> Result<(Instance, FirstStart), OpenError> {
    let now = desk.clock.now();
    let fresh = |owner, document| Ok::<_, OpenError>(Kept::first(desk.new_id().map_err(key_error)?, owner, now, document));
    let organization = fresh(Owner::Instance, r#"{"name":"default"}"#.to_owned())?;
    let within = Owner::Organization(organization.id);
    let system = fresh(Owner::Instance, ProjectSpec::document("system", true))?;
    let organization_system = fresh(within, ProjectSpec::document("system", true))?;
    let default = fresh(within, ProjectSpec::document("default", false))?;
    let instance = Instance {
        name: instance_name(wishes.instance_name)?,
        organization_id: organization.id,
        project_id: default.id,
        system_project_id: system.id,
    };

    let (admin, root) = draw_keys(data, desk, default.id, now)?;
    let (signing_id, signing, own_keys) = make_own_keys(desk, &instance, wishes, now)?;
    let engine = Caller::engine();
    let told = |home: &Kept, action, kind, id: String, after: Value<'static>, changes| Mutation {
        caller: &engine,
        home: self::home(home),
        action,
        kind,
        id,
        before: None,
        after: Some(after),
        changes,
        root: None,
    };
    let made = |home: &Kept, action, kind: &'static Kind, kept: &Kept, mut changes: Vec<Change>| {
        changes.push(kept.row(kind, home.id));
        told(home, action, kind.noun, kept.id.to_string(), kept.told(kind), changes)
    };
    let project =
        |home: &Kept, kept: &Kept, number| made(home, "project.create", &projects::KIND, kept, vec![numbered(&self::home(kept), number)]);
    let keyed = |home: &Kept, key: &Kept| made(home, "api_key.create", &api_keys::KIND, key, Vec::new());
    let story = [
        (SYSTEM, project(&system, &system, SYSTEM)),
        (SYSTEM, told(&system, "key.create", "signing_key", signing_id.to_string(), signing, own_keys)),
        (SYSTEM, made(&system, "organization.create", &organizations::KIND, &organization, Vec::new())),
        (ORGANIZATION_SYSTEM, project(&organization_system, &organization_system, ORGANIZATION_SYSTEM)),
        (ORGANIZATION_SYSTEM, project(&organization_system, &default, DEFAULT)),
        (DEFAULT, keyed(&default, &admin)),
        (SYSTEM, keyed(&system, &root)),
    ];
    write(desk, writer, &instance, story)?;
    for (kept, number) in [(&system, SYSTEM), (&organization_system, ORGANIZATION_SYSTEM), (&default, DEFAULT)] {
        registry.number(kept.id, number);
    }
    let first = FirstStart {
        organization_id: organization.id,
        project_id: instance.project_id,
        admin_key_file: data.join(ADMIN_KEY),
        instance_key_file: data.join(INSTANCE_KEY),
    };
    let all: [(&'static Kind, Kept); 6] = [
        (&organizations::KIND, organization),
        (&projects::KIND, system),
        (&projects::KIND, organization_system),
        (&projects::KIND, default),
        (&api_keys::KIND, admin),
        (&api_keys::KIND, root),
    ];
    for (kind, kept) in all {
        registry.keep(kind, &Arc::new(kept));
    }
    Ok((instance, first))
}

/// The chain that a project is.
fn home(kept: &Kept) -> Arc<Project> {
    Arc::new(Project::of(kept).expect("a project that was just made"))
}

fn write(desk: &Desk, writer: &Writer, instance: &Instance, story: [(i64, Mutation<'_>); 7]) -> Result<(), OpenError> {
    let mut changes = instance.rows();
    let mut events: Vec<Prepared> = Vec::new();
    for (number, mut mutation) in story {
        let prepared = desk.prepare_numbered(mutation.event(&desk.keystore), number);
        changes.append(&mut mutation.changes);
        events.push(prepared.map_err(|fault| OpenError::Store(format!("the first start cannot be recorded: {fault}")))?);
    }
    let told = writer.submit_blocking(Work::with_changes(events, changes, Privilege::Engine));
    told.map(|_| ()).map_err(|error: AppendError| OpenError::Store(format!("the first start cannot be recorded: {error}")))
}
