//! Where the ledger is: in the data folder, or in a PostgreSQL database that servers share; and where its keys are.

use std::path::PathBuf;
use std::sync::Arc;

use indelible_engine::{Database, NoDatabase, Options};

/// The options that name it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LedgerDatabase {
    /// Keep the ledger in this PostgreSQL database, which any number of servers may share: postgres://USER@HOST/DATABASE, with the password
    /// in PGPASSWORD. What lies in the data folder can then be made anew, but for the keys.
    #[arg(long, value_name = "postgres://…", env = "INDELIBLE_DATABASE")]
    database: Option<String>,
    /// The same database as the owner of its tables, who brings them forward and makes partitions; by default --database. Its password is in
    /// INDELIBLE_MAINTENANCE_PGPASSWORD, else in PGPASSWORD
    #[arg(long, value_name = "postgres://…", env = "INDELIBLE_DATABASE_MAINTENANCE")]
    database_maintenance: Option<String>,
    /// The folder of the key store, which all servers reach that share a database; by default `keys` in the data folder
    #[arg(long, value_name = "DIR", env = "INDELIBLE_KEYS")]
    keys: Option<PathBuf>,
}

impl LedgerDatabase {
    /// Whether the ledger is in a database.
    pub const fn is_named(&self) -> bool {
        self.database.is_some()
    }

    /// The database.
    pub fn database(&self) -> Result<Option<Arc<Database>>, NoDatabase> {
        self.database.as_deref().map(|named| parse(named, &["PGPASSWORD"])).transpose()
    }

    /// The database, as the owner of its tables.
    pub fn maintenance(&self) -> Result<Option<Arc<Database>>, NoDatabase> {
        match &self.database_maintenance {
            Some(named) => parse(named, &["INDELIBLE_MAINTENANCE_PGPASSWORD", "PGPASSWORD"]).map(Some),
            None => self.database(),
        }
    }

    /// The folder of the key store, where it is named.
    pub fn keys(&self) -> Option<&std::path::Path> {
        self.keys.as_deref()
    }

    /// Says so to the engine.
    pub fn choose(&self, options: &mut Options) -> Result<(), NoDatabase> {
        options.database = self.database()?;
        options.database_maintenance = self.maintenance()?;
        options.keys.clone_from(&self.keys);
        Ok(())
    }
}

fn parse(named: &str, passwords: &[&str]) -> Result<Arc<Database>, NoDatabase> {
    let password = passwords.iter().find_map(|name| std::env::var(name).ok());
    let certificates = std::env::var("PGSSLROOTCERT").ok();
    Database::parse(named, password.as_deref(), certificates.as_deref()).map(Arc::new)
}
