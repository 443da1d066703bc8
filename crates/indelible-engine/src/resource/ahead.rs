//! Reading a document before the lock is taken under which resources change: policies and schemas take long to validate, and nobody
//! else is to wait for that.

use indelible_core::fault::Fault;
use uuid::Uuid;

use super::keep::{Deed, check_own};
use super::kind::Kind;
use crate::access::Caller;
use crate::apart::apart;
use crate::append::AppendError;
use crate::ledger::Ledger;
use crate::sharing::ControlGuard;

/// How often a document is read anew because another change came first. Then it is read under the lock.
const TRIES_MAX: usize = 4;

/// A document that was read before its turn.
pub(super) struct Ahead {
    text: String,
    read: Result<String, Fault>,
}

impl Ahead {
    /// What reading this text gave, if it is the text that was read.
    pub(super) fn of(self, text: &str) -> Option<Result<String, Fault>> {
        (self.text == text).then_some(self.read)
    }
}

/// Reads a new document. Of who may make none it is not looked at: he is refused whatever it says.
pub(super) fn read_new(caller: &Caller, kind: &'static Kind, document: &str) -> Result<String, Fault> {
    let may = caller.has(kind.scope) || kind.rare.is_begun();
    if may { apart(true, || check_own(kind, document).and_then(|()| (kind.read)(document))) } else { Ok(String::new()) }
}

impl Ledger {
    /// Takes the lock for a change, with the document read that the change leads to.
    pub(super) async fn locked(
        &self,
        caller: &Caller,
        kind: &'static Kind,
        id: Uuid,
        deed: Deed<'_>,
    ) -> Result<(ControlGuard<'_>, Option<Ahead>), AppendError> {
        let mut ahead = None;
        for _ in 0..TRIES_MAX {
            let Some(text) = self.becoming(caller, kind, id, deed) else { break };
            let read = apart(true, || (kind.read)(&text));
            let control = self.control().await?;
            let is_first = self.becoming(caller, kind, id, deed).is_none_or(|now| now == text);
            ahead = Some(Ahead { text, read });
            if is_first {
                return Ok((control, ahead));
            }
        }
        Ok((self.control().await?, ahead))
    }

    /// What the document of a resource would become, as it is now. `None` where the change is refused before it is read.
    fn becoming(&self, caller: &Caller, kind: &'static Kind, id: Uuid, deed: Deed<'_>) -> Option<String> {
        let (_, before) = self.look_up(caller, kind, id).ok().filter(|_| caller.has(kind.scope))?;
        deed.document(&before.document).ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::super::kinds::halts;
    use super::*;
    use crate::access::Owner;
    use crate::ledger::Options;

    static READS: AtomicUsize = AtomicUsize::new(0);

    fn counted(text: &str) -> Result<String, Fault> {
        READS.fetch_add(1, Ordering::SeqCst);
        (halts::KIND.read)(text)
    }

    #[test]
    fn documents_are_read_before_anybody_is_kept_waiting() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut options = Options::new(folder.path().join("data"));
        options.disk_reserve_bytes = 0;
        options.anchor_interval = Duration::from_hours(1);
        let ledger = Ledger::open(options).expect("it opens").ledger;
        let Kind { noun, plural, doc, levels, number, scope, actions, schema, example, read: _, admit, rare } = halts::KIND;
        let update = Some("halt.issue");
        let actions = super::super::Actions { update, ..actions };
        let kind = Kind { noun, plural, doc, levels, number, scope, actions, schema, example, read: counted, admit, rare };
        let (kind, caller): (&'static Kind, _) = (Box::leak(Box::new(kind)), ledger.operator());
        let owner = Some(Owner::Project(ledger.default_project_id()));
        // A runtime of several threads, for the work is done beside them.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let reads_while_locked = |change: &mut dyn FnMut() -> tokio::task::JoinHandle<Uuid>| {
            runtime.block_on(async {
                let before = READS.load(Ordering::SeqCst);
                let control = ledger.control().await.expect("the lock");
                let task = change();
                for _ in 0..2_000 {
                    if READS.load(Ordering::SeqCst) == before {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
                assert_eq!(READS.load(Ordering::SeqCst), before + 1, "it is read while somebody else has the lock");
                drop(control);
                let id = task.await.expect("changed");
                assert_eq!(READS.load(Ordering::SeqCst), before + 1, "and once");
                id
            })
        };
        let id = reads_while_locked(&mut || {
            let (ledger, caller) = (ledger.clone(), caller.clone());
            tokio::spawn(async move { ledger.create_resource(&caller, kind, owner, kind.example, None).await.expect("made").kept.id })
        });
        reads_while_locked(&mut || {
            let (ledger, caller) = (ledger.clone(), caller.clone());
            tokio::spawn(async move {
                ledger.update_resource(&caller, kind, id, None, r#"{"reason":"another"}"#).await.expect("changed").kept.id
            })
        });
        // Who may not make one has nothing read.
        let nobody = Caller::engine();
        let (before, may) = (READS.load(Ordering::SeqCst), nobody.has(kind.scope));
        let refused = runtime.block_on(ledger.create_resource(&nobody, kind, owner, kind.example, None));
        assert_eq!((refused.is_ok(), READS.load(Ordering::SeqCst) > before), (may, may));
    }
}
