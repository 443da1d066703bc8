//! Resources of every kind, through a server.

use anyhow::Context as _;
use indelible_engine::access::Owner;
use indelible_engine::resource::{Kind, Level, Verb};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, Failure, Online, Sent};
use crate::http::render_owner;

impl Online {
    pub(in super::super) fn create_resource(&self, kind: &'static Kind, owner: Option<Owner>, document: &Value) -> anyhow::Result<Vec<u8>> {
        let mut body = document.clone();
        let owner = owner.or_else(|| self.project.filter(|_| kind.levels.contains(&Level::Project)).map(Owner::Project));
        if let (Some(owner), Some(members)) = (owner, body.as_object_mut()) {
            members.insert("owner".to_owned(), serde_json::from_slice(&render_owner(owner))?);
        }
        self.post(&format!("/v1/{}", kind.plural), &body)
    }

    pub(in super::super) fn resource(&self, kind: &'static Kind, id: Uuid) -> anyhow::Result<Vec<u8>> {
        self.get(&format!("/v1/{}/{id}", kind.plural), &[])
    }

    pub(in super::super) fn resources(&self, kind: &'static Kind) -> anyhow::Result<Vec<Vec<u8>>> {
        let (path, project) = (format!("/v1/{}", kind.plural), self.project_text());
        let (mut found, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut query: Vec<(&str, &str)> = project.as_deref().map(|project| ("project_id", project)).into_iter().collect();
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page: Answer = serde_json::from_slice(&self.get(&path, &query)?).context("the server's answer is not a list")?;
            found.extend(page.data.iter().map(|item| item.get().as_bytes().to_vec()));
            let Some(next) = page.next_cursor else { return Ok(found) };
            cursor = Some(next);
        }
    }

    pub(in super::super) fn update_resource(&self, kind: &'static Kind, id: Uuid, version: u64, patch: &Value) -> anyhow::Result<Vec<u8>> {
        Ok(self.change("PATCH", &self.url(&format!("/v1/{}/{id}", kind.plural), &[]), &patch.to_string(), Some(version))?)
    }

    pub(in super::super) fn act_on_resource(
        &self,
        kind: &'static Kind,
        verb: &'static Verb,
        id: Uuid,
        version: Option<u64>,
        said: &Value,
    ) -> anyhow::Result<Vec<u8>> {
        Ok(self.change("POST", &self.url(&format!("/v1/{}/{id}/{}", kind.plural, verb.name), &[]), &said.to_string(), version)?)
    }

    pub(in super::super) fn delete_resource(&self, kind: &'static Kind, id: Uuid, version: Option<u64>) -> anyhow::Result<()> {
        self.change("DELETE", &self.url(&format!("/v1/{}/{id}", kind.plural), &[]), "", version)?;
        Ok(())
    }

    pub(in super::super) fn test_redaction(&self, sample: &Value, rule: Option<&Value>) -> anyhow::Result<Vec<u8>> {
        let mut body = json!({"sample": sample});
        if let Some(rule) = rule {
            body["rule"] = rule.clone();
        }
        let body = body.to_string();
        let sent = Sent { sort: "application/json", bytes: body.as_bytes(), import: false };
        Ok(self.ask("POST", &self.project_url("/v1/redaction_rules/test"), Some(sent))?)
    }

    pub(in super::super) fn budget_spending(&self, id: Uuid) -> anyhow::Result<Vec<u8>> {
        self.get(&format!("/v1/budgets/{id}/spending"), &[])
    }

    pub(in super::super) fn decide(&self, request: &Value) -> anyhow::Result<Vec<u8>> {
        let body = request.to_string();
        let sent = Sent { sort: "application/json", bytes: body.as_bytes(), import: false };
        Ok(self.ask("POST", &self.project_url("/access/v1/evaluations"), Some(sent))?)
    }

    /// Changes or ends a resource that is at a version.
    fn change(&self, method: &str, url: &str, body: &str, version: Option<u64>) -> Result<Vec<u8>, Failure> {
        let request = ureq::http::Request::builder().method(method).uri(url).header("authorization", &self.authorization);
        let request = match version {
            Some(version) => request.header("if-match", format!("\"{version}\"")),
            None => request,
        };
        let request = if body.is_empty() {
            request
        } else {
            request.header("content-type", if method == "POST" { "application/json" } else { "application/merge-patch+json" })
        };
        let request = request.body(body.to_owned()).map_err(|error| Failure::Other(error.into()))?;
        self.settle(self.agent.run(request))
    }
}
