//! Accepting that events lie in the inbox as they are, where the database has no pgcrypto to encrypt them with. It is an event, in the
//! transaction that says so to `audit.append`, and it is not taken back: what was once in plain is in backups.

use indelible_core::json::{Object, Value};

use crate::access::{Caller, Owner, Scope};
use crate::append::AppendError;
use crate::ledger::Ledger;
use crate::resource::{MutateError, Mutation};
use crate::store::StoreError;
use crate::store::sql::OptionalExtension as _;
use crate::write::Change;

const ACCEPT: &str = "plaintext_inbox.accept";
const INBOX: &str = "inbox";
/// The row of `audit.instance` that `audit.append` looks for.
const KEY: &str = "plaintext_inbox_accepted";

/// What is told where the ledger is in a file.
pub(super) const NO_DATABASE: MutateError = MutateError::Conflict("the ledger is not in PostgreSQL");

impl Ledger {
    /// Accepts it, for every project of the instance. Whether it was not accepted before. For keys of the instance with `audit:admin`.
    pub async fn accept_plaintext_inbox(&self, caller: &Caller) -> Result<bool, MutateError> {
        let subject = || (ACCEPT, INBOX, "plaintext".to_owned());
        let _control = self.control().await?;
        let caller = &self.caller_now(caller, subject()).await?;
        if !caller.has(Scope::AuditAdmin) || caller.owner != Owner::Instance {
            let lacking = if caller.has(Scope::AuditAdmin) { "the instance" } else { Scope::AuditAdmin.as_str() };
            return Err(self.refuse(caller, None, subject(), MutateError::Forbidden(lacking.to_owned())).await);
        }
        match self.is_plaintext_accepted().map_err(|error| unreadable(&error))? {
            None => return Err(self.refuse(caller, None, subject(), NO_DATABASE).await),
            Some(true) => return Ok(false),
            Some(false) => {}
        }
        let mut after = Object::new();
        after.insert("accepted", Value::Bool(true));
        let (home, changes) = (self.home_of(Owner::Instance)?, vec![Change::Instance { key: KEY, value: "true".to_owned() }]);
        let (action, kind, id) = subject();
        self.mutate(Mutation { caller, home, action, kind, id, before: None, after: Some(Value::Object(after)), changes, root: None })
            .await?;
        Ok(true)
    }

    /// `None` where the ledger is in a file.
    fn is_plaintext_accepted(&self) -> Result<Option<bool>, StoreError> {
        let reader = self.inner.readers.get()?;
        if reader.postgres().is_none() {
            return Ok(None);
        }
        let value: Option<String> = reader.query_row("SELECT value FROM instance WHERE key = ?1", [KEY], |row| row.get(0)).optional()?;
        Ok(Some(value.as_deref() == Some("true")))
    }
}

/// The store does not say what is there.
pub(super) fn unreadable(error: &dyn std::fmt::Display) -> AppendError {
    tracing::error!(%error, "what is bound or accepted could not be read");
    AppendError::Unavailable { reason: "the store cannot be read now".to_owned(), outcome_unknown: false }
}
