//! A request whose caller is known: what a keyed handler is given.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use bytes::Bytes;
use indelible_engine::access::Caller;
use indelible_engine::query::Opening;
use indelible_engine::resource::Project;
use uuid::Uuid;

use super::app::App;
use super::problem::{Kind, Problem};
use super::query::{Parameter, Query, Values};

/// `project_id`, for keys that see several projects.
pub(super) const PROJECT_ID: Parameter =
    Parameter { name: "project_id", values: Values::Uuid, doc: "The project, for a key of the instance or of an organization." };
/// `include`
pub(super) const INCLUDE: Parameter = Parameter {
    name: "include",
    values: Values::Choice(&["content"]),
    doc: "`content` opens what was sealed; needs content:decrypt and a purpose.",
};
/// `purpose`
pub(super) const PURPOSE: Parameter =
    Parameter { name: "purpose", values: Values::Text, doc: "Why the log is read; recorded, and required with include=content." };

/// A request whose caller is known.
pub(super) struct Call {
    /// What every request shares.
    pub(super) app: Arc<App>,
    /// Who asks.
    pub(super) caller: Caller,
    /// The checked query.
    pub(super) query: Query,
    /// The variable parts of the path, decoded, as many as the route has.
    pub(super) variables: Vec<String>,
    /// The headers.
    pub(super) headers: axum::http::HeaderMap,
    /// The action under which a refusal is recorded.
    pub(super) action: &'static str,
}

impl Call {
    /// The project the request is for. One that the caller may not see is recorded before it is answered.
    pub(super) async fn project(&self) -> Result<Arc<Project>, Problem> {
        Ok(self.app.ledger.project_for(&self.caller, self.query.uuid(PROJECT_ID.name), self.action).await?)
    }

    /// Whether content is to be opened, and why.
    pub(super) fn opening(&self) -> Opening {
        let purpose = self.query.text(PURPOSE.name).filter(|purpose| !purpose.is_empty());
        Opening { content: self.query.text(INCLUDE.name).is_some(), purpose: purpose.map(str::to_owned) }
    }

    /// A variable part of the path, counted from 0.
    pub(super) fn variable(&self, n: usize) -> &str {
        self.variables.get(n).map_or("", String::as_str)
    }

    /// The first variable part of the path as a UUID; anything else is nothing's id.
    pub(super) fn id(&self, what: &str) -> Result<Uuid, Problem> {
        Uuid::try_parse(self.variable(0)).map_err(|_| Problem::new(Kind::NotFound, format!("there is no such {what}")))
    }
}

/// An answer of JSON.
pub(super) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = of_type("application/json", body);
    *response.status_mut() = status;
    response
}

/// A successful answer of a media type.
pub(super) fn of_type(media_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(body.into()));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(media_type));
    response
}
