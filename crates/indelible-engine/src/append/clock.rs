//! Confirming the clock, which belongs to the instance.

use indelible_core::time::Timestamp;

use super::EngineEvent;
use crate::access::{Caller, Owner, Scope};
use crate::ledger::Ledger;
use crate::resource::MutateError;
use crate::write::{Privilege, Work};

const CONFIRM_CLOCK: &str = "clock.confirm";

impl Ledger {
    /// Takes the clock as it is now for right, after a jump stopped appends. Recorded in the instance's system project.
    /// For keys of the instance with `audit:admin`.
    pub async fn confirm_clock(&self, caller: &Caller) -> Result<Timestamp, MutateError> {
        let lacking = if caller.has(Scope::AuditAdmin) { "the instance" } else { Scope::AuditAdmin.as_str() };
        if !caller.has(Scope::AuditAdmin) || caller.owner != Owner::Instance {
            let error = MutateError::Forbidden(lacking.to_owned());
            return Err(self.refuse(caller, None, (CONFIRM_CLOCK, "clock", "system".to_owned()), error).await);
        }
        let home = self.home_of(Owner::Instance)?;
        let events = self.prepare_all(vec![EngineEvent::new(caller, &home, CONFIRM_CLOCK, "allow")])?;
        let receipts = self.inner.writer.submit(Work::new(events, Privilege::ConfirmClock)).await?;
        Ok(receipts.first().map_or_else(|| self.inner.clock.now(), |receipt| receipt.recorded_at))
    }
}
