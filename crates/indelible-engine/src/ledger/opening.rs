//! Opening a ledger: what lies there is read, what is not there is made, and everything that runs is started, the writer first.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

use super::{FirstStart, Inner, Ledger, OpenError, Opened, Options};
use crate::access::TurnedAway;
use crate::anchor::{self, Anchoring};
use crate::append::Desk;
use crate::cosigning::{self, Cosigning};
use crate::decide::Books;
use crate::inbox::{self, Drain};
use crate::index::Index;
use crate::keystore::{DataKeys, KeyStore};
use crate::kms::KeyArn;
use crate::patrol::{self, Patrol};
use crate::resource::registry::Registry;
use crate::resource::{Instance, Wishes, first_start, load};
use crate::sharing::{Control, Held, Lease, Sharing};
use crate::spending::Spending;
use crate::store::postgres::{Opening, Turn, look_over};
use crate::store::sql::{Connection, OptionalExtension as _};
use crate::store::{Database, Folder, Readers, Source, StoreError};
use crate::stream;
use crate::write::{Parts, Writer, start};

/// How much longer the lease of sealing lasts than two passes take.
const LEASE_SPARE: Duration = Duration::from_secs(10);
/// The row of `instance` that says since when there is a ledger in a database.
const BEGUN: &str = "begun_at";

/// What lies in a data folder when it is opened.
struct Read {
    last_row: i64,
    rows_anchored: u64,
    keystore: Arc<KeyStore>,
    registry: Arc<Registry>,
    data_keys: Arc<DataKeys>,
    /// `None` before the first start.
    known: Option<Instance>,
}

impl Read {
    fn from(folder: &Folder, source: &Source, options: &Options) -> Result<Self, OpenError> {
        // Nothing is written over this connection but the tables of a new file, and that a ledger is begun in a database.
        let ledger = source.open_writer(&Arc::default())?;
        if let Some(database) = source.database() {
            begin_in(database, &ledger, options)?;
        }
        let last_row = last_row(&ledger)?;
        // So that after a power cut there are never keys without the file.
        folder.sync()?;
        let key = |error: crate::keystore::KeyError| OpenError::Key(error.to_string());
        let master = options.master_key_file.as_deref();
        let keystore = Arc::new(KeyStore::open(&options.keys(), master, options.mode, last_row == 0).map_err(key)?);
        keystore.check_built().map_err(key)?;
        keystore.load_serving(&ledger).map_err(key)?;
        if let Some(wanted) = options.signing_kms.as_ref().filter(|_| last_row > 0) {
            compare(wanted, &keystore, &ledger)?;
        }
        let registry = Arc::<Registry>::default();
        let epoch = match ledger.postgres() {
            Some(session) => Turn::look(session)?.control_epoch,
            None => 0,
        };
        load(&ledger, &registry, None)?;
        registry.came_to(epoch);
        Ok(Self {
            last_row,
            rows_anchored: crate::anchor::rows_anchored(&ledger)?,
            data_keys: Arc::new(DataKeys::load(Arc::clone(&keystore), &ledger)?),
            known: Instance::load(&ledger)?,
            keystore,
            registry,
        })
    }
}

/// Says in a database that a ledger is begun there, before its first key is made. Keys that are there while nothing was ever begun belong to
/// another database: one in its place would look as if there had been none.
fn begin_in(database: &Database, ledger: &Connection, options: &Options) -> Result<(), OpenError> {
    // One that was carried over from elsewhere has its name.
    let find = "SELECT value FROM instance WHERE key IN (?1, 'name') LIMIT 1";
    let begun = ledger.prepare(find).and_then(|mut begun| begun.query_row([BEGUN], |_| Ok(())).optional());
    if begun.map_err(StoreError::from)?.is_some() {
        return Ok(());
    }
    if KeyStore::is_begun(&options.keys()) {
        return Err(OpenError::MissingInDatabase(database.to_string(), options.keys()));
    }
    let insert = "INSERT INTO instance (key, value) VALUES (?1, ?2)";
    ledger.execute(insert, (BEGUN, options.clock.now().to_string())).map_err(StoreError::from)?;
    Ok(())
}

/// The first start of an empty folder.
fn begin(
    folder: &Folder,
    options: &Options,
    desk: &Desk,
    registry: &Registry,
    writer: &Writer,
) -> Result<(Instance, Option<FirstStart>), OpenError> {
    let wishes = Wishes {
        instance_name: options.instance_name.as_deref(),
        signing_kms: options.signing_kms.as_ref(),
        organization_kms: options.organization_kms.as_ref(),
    };
    let (instance, first) = first_start(folder.root(), &wishes, desk, registry, writer)?;
    Ok((instance, Some(first)))
}

/// Where a ledger is opened.
struct Ground {
    folder: Folder,
    source: Source,
    options: Options,
    /// Of servers that begin at once, one makes what is made once, and the others find it.
    opening: Option<Opening>,
}

impl Ground {
    /// Takes the lock of the folder, and has a database made ready.
    fn take(options: Options) -> Result<Self, OpenError> {
        let folder = Folder::open(&options.data)?;
        let source = options.database.clone().map_or_else(|| Source::File(folder.ledger_db()), Source::Database);
        let Some(database) = source.database().cloned() else {
            if KeyStore::is_begun(&options.keys()) && !folder.has_ledger() {
                return Err(OpenError::Missing(folder.root().to_owned()));
            }
            return Ok(Self { folder, source, options, opening: None });
        };
        if let Some(maintenance) = options.maintenance() {
            maintenance.prepare(options.clock.now())?;
        }
        look_over(&database, options.clock.now());
        let opening = Some(Opening::wait(&database)?);
        Ok(Self { folder, source, options, opening })
    }

    fn writer(&self, noted_row: i64, held: Held, turned_away: &Arc<TurnedAway>) -> Result<Arc<Writer>, StoreError> {
        let writer = start(Parts {
            source: self.source.clone(),
            folder: self.folder.root().to_owned(),
            disk_reserve_bytes: self.options.disk_reserve_bytes,
            queue_bytes_max: self.options.queue_bytes_max,
            clock: Arc::clone(&self.options.clock),
            faults: self.options.faults.clone(),
            keystore: Arc::clone(&held.desk.keystore),
            held,
            noted_row,
            maintenance: self.options.maintenance(),
            turned_away: Arc::clone(turned_away),
        });
        writer.map(Arc::new)
    }

    /// Who asks the witnesses, where there are any.
    fn cosigning(&self, instance: &Instance, readers: &Arc<Readers>, writer: &Arc<Writer>) -> Result<Option<Arc<Cosigning>>, OpenError> {
        let parts = self.options.witnesses.clone().map(|witnesses| cosigning::Parts {
            witnesses,
            instance: instance.name.clone(),
            readers: Arc::clone(readers),
            writer: Arc::clone(writer),
            clock: Arc::clone(&self.options.clock),
            is_shared: self.source.database().is_some(),
        });
        Ok(parts.map(Cosigning::start).transpose()?.map(Arc::new))
    }

    fn anchoring(
        &self,
        instance: &Instance,
        (desk, writer): (&Desk, &Arc<Writer>),
        cosigning: Option<Arc<Cosigning>>,
        rows_anchored: u64,
        server: Uuid,
    ) -> Result<Anchoring, OpenError> {
        let parts = anchor::Parts {
            source: self.source.clone(),
            checkpoints: self.options.checkpoints.clone(),
            instance: instance.name.clone(),
            keystore: Arc::clone(&desk.keystore),
            writer: Arc::clone(writer),
            clock: Arc::clone(&self.options.clock),
            faults: self.options.faults.clone(),
            cosigning,
            lease: self.lease("seal", server, 2 * self.options.anchor_interval + LEASE_SPARE),
        };
        let started = Anchoring::start(parts, self.options.anchor_interval, rows_anchored);
        started.map_err(|error| OpenError::Store(format!("the sealing thread cannot be started: {error}")))
    }

    /// A lease, where several servers may want to do the same. `server` is this one's id, drawn now. It lasts longer than the time between two
    /// uses, so that it stays where it is.
    fn lease(&self, work: &'static str, server: Uuid, lasts: Duration) -> Option<Lease> {
        self.source.database().map(|database| Lease::new(Arc::clone(database), work, server, lasts))
    }

    /// Verification in the background, where it is asked for.
    fn patrol(
        &self,
        instance: &Instance,
        (desk, index, writer, readers): (&Arc<Desk>, &Arc<Index>, &Arc<Writer>, &Arc<Readers>),
        server: Uuid,
    ) -> Result<Option<Patrol>, OpenError> {
        let parts = || patrol::Parts {
            data: self.folder.root().to_owned(),
            source: self.source.clone(),
            checkpoints: self.options.checkpoints.clone(),
            system_project_id: instance.system_project_id,
            desk: Arc::clone(desk),
            writer: Arc::clone(writer),
            index: Arc::clone(index),
            readers: Arc::clone(readers),
            clock: Arc::clone(&self.options.clock),
            lease: self.lease("verify", server, patrol::LEASE_LASTS),
            term: None,
        };
        let patrol = self.options.patrol.map(|asked| Patrol::start(parts(), asked)).transpose();
        patrol.map_err(|error| OpenError::Store(format!("the patrol cannot be started: {error}")))
    }

    /// What takes in what host transactions appended, where there is an inbox.
    fn drain(&self, desk: &Arc<Desk>, writer: &Arc<Writer>) -> Result<Option<Drain>, OpenError> {
        let parts = |database| inbox::Parts { database: Arc::clone(database), desk: Arc::clone(desk), writer: Arc::clone(writer) };
        let drain = self.source.database().map(|database| Drain::start(parts(database))).transpose();
        drain.map_err(|error| OpenError::Store(format!("the inbox cannot be drained: {error}")))
    }
}

impl Ledger {
    /// Takes the lock, recovers, starts the writer and the index follower; makes organization, project and keys in an empty folder.
    pub fn open(options: Options) -> Result<Opened, OpenError> {
        let mut ground = Ground::take(options)?;
        let Read { last_row, rows_anchored, keystore, registry, data_keys, known } =
            Read::from(&ground.folder, &ground.source, &ground.options)?;
        let index = Arc::new(Index::open(ground.folder.root(), &ground.source));
        let spending = Arc::new(Spending::open(ground.folder.root(), &ground.source, &keystore));
        let desk = Arc::new(Desk::new((&keystore, &data_keys), &registry, &ground.options.clock));
        let turned_away = Arc::new(TurnedAway::new(Arc::clone(&registry)));
        let committed = watch::Sender::new(last_row);
        let held =
            || Held { desk: Arc::clone(&desk), index: Arc::clone(&index), spending: Arc::clone(&spending), committed: committed.clone() };
        let writer = ground.writer(last_row, held(), &turned_away)?;
        let (sharing, control) = (Sharing::start(&ground.source, held(), ground.options.look_every)?, Control::new(&ground.source));
        let (instance, first_start) = match known {
            Some(instance) => (instance, None),
            None => begin(&ground.folder, &ground.options, &desk, &registry, &writer).inspect_err(|_| writer.close())?,
        };
        drop(ground.opening.take());
        let readers = Readers::new(ground.source.clone());
        let cosigning = ground.cosigning(&instance, &readers, &writer).inspect_err(|_| writer.close())?;
        let server = desk.new_id().map_err(|error| OpenError::Key(error.to_string()))?;
        let anchoring = ground.anchoring(&instance, (&desk, &writer), cosigning.clone(), rows_anchored, server)?;
        let patrol = ground.patrol(&instance, (&desk, &index, &writer, &readers), server)?;
        let drain = ground.drain(&desk, &writer)?;
        let Options { clock, checkpoints, organization_kms, disk_reserve_bytes, .. } = ground.options;
        let inner = Inner {
            instance,
            organization_kms,
            clock,
            registry,
            keystore,
            data_keys,
            desk,
            turned_away,
            index,
            spending,
            books: Books::default(),
            readers,
            writer,
            anchoring,
            checkpoints,
            cosigning,
            patrol,
            streams: stream::Board::default(),
            drain,
            control,
            sharing,
            disk_reserve_bytes,
            folder: ground.folder,
        };
        Ok(Opened { ledger: Self { inner: Arc::new(inner) }, first_start })
    }
}

/// The option names the key that signs first. Where another does by now, that is said, and nothing is done about it.
fn compare(wanted: &KeyArn, keystore: &KeyStore, ledger: &Connection) -> Result<(), StoreError> {
    let newest: Option<i64> = ledger.query_row("SELECT max(id) FROM signing_keys", [], |row| row.get(0))?;
    if newest.and_then(|id| keystore.kms_signing_key(id.unsigned_abs())).as_ref() != Some(wanted) {
        tracing::warn!(%wanted, "this KMS key does not sign: another does since the first start; `indelible keys rotate signing --kms` lets it");
    }
    Ok(())
}

fn last_row(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row("SELECT coalesce(max(row), 0) FROM events", [], |row| row.get(0))?)
}
