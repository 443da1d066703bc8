//! Every URL, in one table.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::Response;
use axum::routing::{MethodFilter, on};

use super::app::App;
use super::call::Call;
use super::exchange::Origin;
use super::problem::{Kind, Problem};
use super::query::Query;
use super::route::{Audit, Handler, Keyed, Route, Verb};
use super::{api_keys, body, clock, conversations, enter, events, process, projects, runs, verify};

/// Every URL and method.
pub(super) static ROUTES: &[&Route] = &[
    &events::submit::ROUTE,
    &events::list::ROUTE,
    &events::show::ROUTE,
    &events::verify::ROUTE,
    &runs::ROUTE,
    &conversations::ROUTE,
    &verify::ROUTE,
    &clock::ROUTE,
    &api_keys::create::ROUTE,
    &api_keys::list::ROUTE,
    &api_keys::revoke::ROUTE,
    &projects::create::ROUTE,
    &projects::list::ROUTE,
    &process::healthz::ROUTE,
    &process::readyz::ROUTE,
    &process::openapi::ROUTE,
];

/// A route as others see it.
#[derive(Debug, Clone, Copy)]
pub struct Listed {
    /// Method.
    pub method: &'static str,
    /// Path.
    pub path: &'static str,
    /// Whether a key is needed.
    pub keyed: bool,
    /// How it is audited.
    pub audit: Audit,
}

/// The table, for tests and documentation.
pub fn list() -> Vec<Listed> {
    let listed = |route: &&Route| Listed {
        method: route.verb.as_str(),
        path: route.path,
        keyed: matches!(route.handler, Handler::Keyed(_)),
        audit: route.audit,
    };
    ROUTES.iter().map(listed).collect()
}

/// The template of the route that answered, for the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered(pub(super) &'static str);

/// The router of the whole table.
pub(super) fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let filter = match route.verb {
            Verb::Get => MethodFilter::GET,
            Verb::Post => MethodFilter::POST,
            Verb::Delete => MethodFilter::DELETE,
        };
        let app = Arc::clone(app);
        router = router.route(route.path, on(filter, move |request: Request| answer(app, route, request)));
    }
    router.fallback(nowhere).method_not_allowed_fallback(wrong_method)
}

async fn nowhere() -> Response<Body> {
    Problem::new(Kind::NotFound, "there is no such URL").into_response()
}

async fn wrong_method() -> Response<Body> {
    Problem::new(Kind::MethodNotAllowed, "this URL does not take that method").into_response()
}

async fn answer(app: Arc<App>, route: &'static Route, request: Request) -> Response<Body> {
    let mut response = match &route.handler {
        Handler::Open(handler) => handler(app).await.unwrap_or_else(Problem::into_response),
        Handler::Keyed(handler) => keyed(app, route, *handler, request).await,
    };
    response.extensions_mut().insert(Answered(route.path));
    response
}

/// Authenticates, checks the query, runs the handler.
async fn keyed(app: Arc<App>, route: &'static Route, handler: Keyed, request: Request) -> Response<Body> {
    let (mut parts, mut unread) = request.into_parts();
    let Some(origin) = parts.extensions.remove::<Origin>() else {
        return Problem::new(Kind::Internal, "a request without an origin").into_response();
    };
    let (caller, standing) = match enter::enter(&app, &parts.headers, &origin).await {
        Ok(entered) => entered,
        Err(problem) => {
            body::drain(&mut unread, body::COURTESY_BYTES).await;
            return problem.into_response();
        }
    };
    let variable = if route.variable.is_some() { variable(&mut parts).await } else { Ok(String::new()) };
    let result = match variable.and_then(|variable| Ok((variable, Query::read(parts.uri.query(), route.parameters)?))) {
        Ok((variable, query)) => handler(Call { app, caller, query, variable, headers: parts.headers }, unread).await,
        Err(problem) => {
            body::drain(&mut unread, body::COURTESY_BYTES).await;
            Err(problem)
        }
    };
    let mut response = result.unwrap_or_else(Problem::into_response);
    standing.write(response.headers_mut());
    response
}

async fn variable(parts: &mut axum::http::request::Parts) -> Result<String, Problem> {
    use axum::extract::FromRequestParts;
    let path = Path::<String>::from_request_parts(parts, &()).await;
    path.map(|Path(variable)| variable).map_err(|_| Problem::new(Kind::NotFound, "there is no such URL"))
}
