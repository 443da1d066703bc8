//! Making, changing and ending resources of every kind: the one path, whatever the kind. Event and document are written in one
//! transaction; a refusal is an event of its own before it is answered.

use std::sync::Arc;

use indelible_core::fault::{Fault, FaultKind};
use uuid::Uuid;

use super::answers::Once;
use super::kept::Kept;
use super::kind::{Admission, Kind, Level, Number};
use super::mutate::Mutation;
use super::{MutateError, Project};
use crate::access::{Caller, Owner};
use crate::ledger::Ledger;

/// A resource after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// As it is now; as it was last, where it ended.
    pub kept: Arc<Kept>,
    /// Whether this repeats the answer to a request that was made before, and nothing was changed.
    pub replayed: bool,
}

impl Ledger {
    /// Makes a resource from a JSON object. It belongs to `owner`, or to what the caller's key belongs to.
    pub async fn create_resource(
        &self,
        caller: &Caller,
        kind: &'static Kind,
        owner: Option<Owner>,
        document: &str,
        once: Option<&Once>,
    ) -> Result<Done, MutateError> {
        let Some(action) = kind.actions.create else { return Err(MutateError::NotFound(kind.noun)) };
        let _control = self.inner.control.lock().await;
        let owner = owner.unwrap_or(caller.owner);
        let refusal = (action, kind.noun, String::new());
        let home = match self.check_owner(caller, kind, owner) {
            Ok(home) => home,
            Err(error) => return Err(self.refuse(caller, None, refusal, error).await),
        };
        // Before the document is looked at: what it made may be in its own way now.
        let asked = once.and_then(|once| self.asked(caller, &home, once));
        let before = asked.as_ref().map_or(Ok(None), |asked| self.made_before(asked, kind));
        let kept = match before {
            Ok(Some(kept)) => return Ok(Done { kept, replayed: true }),
            Ok(None) => self.check_new(kind, &home, owner, document),
            Err(error) => Err(error),
        };
        let kept = match kept {
            Ok(kept) => kept,
            Err(error) => return Err(self.refuse(caller, Some(home), refusal, error).await),
        };
        let mut changes = vec![kept.row(kind, home.id, false)];
        changes.extend(asked.map(|asked| asked.answered_with(kind, &kept, self.inner.clock.now())));
        self.mutate(Mutation {
            caller,
            home,
            action,
            kind: kind.noun,
            id: kept.id.to_string(),
            before: None,
            after: Some(kept.state()),
            changes,
        })
        .await?;
        let kept = Arc::new(kept);
        self.inner.registry.keep(kind, &kept);
        Ok(Done { kept, replayed: false })
    }

    /// Whether the caller may make one of a kind there; returns the chain that will tell of it.
    fn check_owner(&self, caller: &Caller, kind: &'static Kind, owner: Owner) -> Result<Arc<Project>, MutateError> {
        check_scope(caller, kind)?;
        if !kind.levels.contains(&Level::of(owner)) {
            let levels: Vec<&str> = kind.levels.iter().map(|level| level.as_str()).collect();
            let message = format!("a {} belongs to: {}", kind.noun, levels.join(", "));
            return Err(Fault::new(FaultKind::Invalid, "/owner", message).into());
        }
        self.visible_home(caller, owner)
    }

    fn check_new(&self, kind: &'static Kind, home: &Project, owner: Owner, document: &str) -> Result<Kept, MutateError> {
        let document = self.read_document(kind, home, document)?;
        let now = self.inner.clock.now();
        let kept = Kept { id: self.new_id(), owner, version: 1, created_at: now, updated_at: now, document };
        self.admit(kind, owner, Some(&kept))?;
        Ok(kept)
    }

    /// Changes a resource by a merge patch (RFC 7396), if it is still at the version `expected`, where one is given.
    pub async fn update_resource(
        &self,
        caller: &Caller,
        kind: &'static Kind,
        id: Uuid,
        expected: Option<u64>,
        patch: &str,
    ) -> Result<Done, MutateError> {
        let Some(action) = kind.actions.update else { return Err(MutateError::NotFound(kind.noun)) };
        self.change(caller, kind, (action, id), expected, Some(patch)).await
    }

    /// Ends a resource, if it is still at the version `expected`, where one is given.
    pub async fn delete_resource(
        &self,
        caller: &Caller,
        kind: &'static Kind,
        id: Uuid,
        expected: Option<u64>,
    ) -> Result<Done, MutateError> {
        let Some(action) = kind.actions.delete else { return Err(MutateError::NotFound(kind.noun)) };
        self.change(caller, kind, (action, id), expected, None).await
    }

    async fn change(
        &self,
        caller: &Caller,
        kind: &'static Kind,
        (action, id): (&'static str, Uuid),
        expected: Option<u64>,
        patch: Option<&str>,
    ) -> Result<Done, MutateError> {
        let _control = self.inner.control.lock().await;
        let looked = self.look_up(caller, kind, id);
        let home = looked.as_ref().ok().map(|(home, _)| Arc::clone(home));
        let changed = looked.and_then(|(home, before)| {
            let after = self.changed(caller, kind, (&home, &before), expected, patch)?;
            Ok((home, before, after))
        });
        let (home, before, after) = match changed {
            Ok(changed) => changed,
            Err(error) => return Err(self.refuse(caller, home, (action, kind.noun, id.to_string()), error).await),
        };
        let ended = patch.is_none();
        self.mutate(Mutation {
            caller,
            action,
            kind: kind.noun,
            id: id.to_string(),
            before: Some(before.state()),
            after: (!ended).then(|| after.state()),
            changes: vec![after.row(kind, home.id, ended)],
            home,
        })
        .await?;
        let after = Arc::new(after);
        if ended {
            self.inner.registry.end(kind, id);
            return Ok(Done { kept: before, replayed: false });
        }
        self.inner.registry.keep(kind, &after);
        Ok(Done { kept: after, replayed: false })
    }

    /// A resource that the caller may see, and the chain that tells of it.
    pub(super) fn look_up(&self, caller: &Caller, kind: &'static Kind, id: Uuid) -> Result<(Arc<Project>, Arc<Kept>), MutateError> {
        let registry = &self.inner.registry;
        let kept = match registry.kept(kind, id) {
            Some(kept) => kept,
            None => Arc::new(self.first_version(kind, id).ok_or(MutateError::NotFound(kind.noun))?),
        };
        let home = self.visible_home(caller, kept.owner).map_err(|_| MutateError::NotFound(kind.noun))?;
        Ok((home, kept))
    }

    /// What there is of a kind of which there is always one, before anybody changed it.
    fn first_version(&self, kind: &'static Kind, id: Uuid) -> Option<Kept> {
        let project = self.inner.registry.project(id).filter(|_| kind.number == Number::One)?;
        let document = (kind.read)("{}").ok()?;
        let (created_at, owner) = (project.created_at, Owner::Project(id));
        Some(Kept { id, owner, version: 0, created_at, updated_at: created_at, document })
    }

    fn changed(
        &self,
        caller: &Caller,
        kind: &'static Kind,
        (home, before): (&Arc<Project>, &Kept),
        expected: Option<u64>,
        patch: Option<&str>,
    ) -> Result<Kept, MutateError> {
        check_scope(caller, kind)?;
        if let Some(expected) = expected.filter(|expected| *expected != before.version) {
            return Err(MutateError::Stale { expected, current: before.version });
        }
        let mut after = Kept { version: before.version + 1, updated_at: self.inner.clock.now(), ..before.clone() };
        if let Some(patch) = patch {
            after.document = self.read_document(kind, home, &merged(&before.document, patch)?)?;
        }
        self.admit(kind, before.owner, patch.is_some().then_some(&after))?;
        Ok(after)
    }

    fn admit(&self, kind: &'static Kind, owner: Owner, after: Option<&Kept>) -> Result<(), MutateError> {
        let admission = Admission { registry: &self.inner.registry, owner, after };
        kind.admit.map_or(Ok(()), |admit| admit(&admission))
    }

    /// The chain of what `owner` is, if the caller's key reaches so far.
    fn visible_home(&self, caller: &Caller, owner: Owner) -> Result<Arc<Project>, MutateError> {
        let missing = match owner {
            Owner::Instance => return self.instance_home(caller),
            Owner::Organization(_) => MutateError::NotFound("organization"),
            Owner::Project(_) => MutateError::NotFound("project"),
        };
        if !self.inner.registry.is_within(owner, caller.owner) {
            return Err(missing);
        }
        self.home_of(owner).map_err(|_| missing)
    }

    fn instance_home(&self, caller: &Caller) -> Result<Arc<Project>, MutateError> {
        if caller.owner != Owner::Instance {
            return Err(MutateError::Forbidden("the instance".to_owned()));
        }
        Ok(self.home_of(Owner::Instance)?)
    }

    /// Reads a document strictly. Documents lie in the ledger readable, so one that holds a credential is refused rather than
    /// stored without it.
    fn read_document(&self, kind: &'static Kind, home: &Project, text: &str) -> Result<String, MutateError> {
        let document = (kind.read)(text)?;
        let value: serde_json::Value =
            serde_json::from_str(&document).map_err(|error| MutateError::Fault(Fault::new(FaultKind::Invalid, "", error.to_string())))?;
        let keystore = &self.inner.keystore;
        let Some(keys) = keystore.project_keys(home.id, keystore.newest_ring_id()) else { return Ok(document) };
        let rules = &self.inner.desk.rules;
        match secret_in(&value, &|text| rules.line(text, &keys) != text) {
            Some(fault) => Err(fault.into()),
            None => Ok(document),
        }
    }
}

fn check_scope(caller: &Caller, kind: &Kind) -> Result<(), MutateError> {
    if caller.has(kind.scope) { Ok(()) } else { Err(MutateError::Forbidden(kind.scope.as_str().to_owned())) }
}

/// The first string that redaction would change.
fn secret_in(value: &serde_json::Value, changes: &dyn Fn(&str) -> bool) -> Option<Fault> {
    match value {
        serde_json::Value::String(text) if changes(text) => {
            Some(Fault::new(FaultKind::Invalid, "", "holds what looks like a credential, which is stored nowhere"))
        }
        serde_json::Value::Array(items) => {
            items.iter().enumerate().find_map(|(n, item)| secret_in(item, changes).map(|fault| fault.within(&n.to_string())))
        }
        serde_json::Value::Object(members) => {
            members.iter().find_map(|(name, value)| secret_in(value, changes).map(|fault| fault.within(name)))
        }
        _ => None,
    }
}

/// A document with a merge patch applied (RFC 7396): null takes a member away.
fn merged(document: &str, patch: &str) -> Result<String, Fault> {
    let invalid = |error: serde_json::Error| Fault::new(FaultKind::Invalid, "", error.to_string());
    let mut target: serde_json::Value = serde_json::from_str(document).map_err(invalid)?;
    let patch: serde_json::Value = serde_json::from_str(patch).map_err(invalid)?;
    if !patch.is_object() {
        return Err(Fault::new(FaultKind::Invalid, "", "a merge patch of a resource is an object"));
    }
    merge(&mut target, patch);
    Ok(target.to_string())
}

fn merge(target: &mut serde_json::Value, patch: serde_json::Value) {
    let serde_json::Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = serde_json::Value::Object(serde_json::Map::new());
    }
    let Some(members) = target.as_object_mut() else { return };
    for (name, value) in patch {
        if value.is_null() {
            members.remove(&name);
        } else {
            merge(members.entry(name).or_insert(serde_json::Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_those_of_the_rfc() {
        // RFC 7396, appendix A, those whose patch is an object.
        let cases = [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#),
            ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ];
        for (document, patch, expected) in cases {
            let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
            assert_eq!(read(&merged(document, patch).expect("an object")), read(expected), "{document} {patch}");
        }
        assert!(merged("{}", "[]").is_err() && merged("{}", "null").is_err());
    }
}
