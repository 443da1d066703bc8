//! Every URL, in one table.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::Response;
use axum::routing::{MethodFilter, on};
use indelible_engine::access::Caller;
use uuid::Uuid;

use super::app::App;
use super::call::{Call, PROJECT_ID};
use super::exchange::Origin;
use super::problem::{Kind, Problem};
use super::query::Query;
use super::route::{Answer, Audit, Handler, Route, Verb};
use super::{
    anchors, body, chain_keys, checkpoints, clock, consistency, conversations, decisions, enter, events, export_jobs, exports, invitations,
    keys, openapi, process, redaction, resources, rewrap, rotation, runs, spending, status, streams, tlog, verify,
};

/// URLs of their own.
static ROUTES: &[&Route] = &[
    &events::submit::ROUTE,
    &events::check::ROUTE,
    &events::list::ROUTE,
    &events::explore::ROUTE,
    &events::stream::ROUTE,
    &events::show::ROUTE,
    &events::verify::ROUTE,
    &events::proof::ROUTE,
    &runs::ROUTE,
    &conversations::ROUTE,
    &verify::ROUTE,
    &status::ROUTE,
    &anchors::list::ROUTE,
    &anchors::latest::ROUTE,
    &anchors::seal::ROUTE,
    &keys::ROUTE,
    &consistency::ROUTE,
    &tlog::checkpoint::ROUTE,
    &tlog::tile::ROUTE,
    &exports::ROUTE,
    &export_jobs::create::ROUTE,
    &export_jobs::list::ROUTE,
    &export_jobs::show::ROUTE,
    &export_jobs::file::ROUTE,
    &export_jobs::remove::ROUTE,
    &clock::ROUTE,
    &rotation::ROUTE,
    &rewrap::ROUTE,
    &chain_keys::ROUTE,
    &checkpoints::ROUTE,
    &decisions::evaluation::ROUTE,
    &decisions::evaluations::ROUTE,
    &decisions::configuration::ROUTE,
    &spending::ROUTE,
    &streams::status::ROUTE,
    &streams::deliveries::ROUTE,
    &streams::delivery::ROUTE,
    &streams::test::ROUTE,
    &streams::replay::ROUTE,
    &redaction::ROUTE,
    &invitations::ROUTE,
    &process::healthz::ROUTE,
    &process::readyz::ROUTE,
    &process::openapi::ROUTE,
];

/// Every URL and method: those of their own, and those of every kind of resource.
pub(super) fn all() -> &'static [&'static Route] {
    static ALL: LazyLock<Vec<&'static Route>> = LazyLock::new(|| {
        let of_kinds = indelible_engine::resource::KINDS.iter().flat_map(|kind| resources::routes(kind));
        ROUTES.iter().copied().chain(of_kinds).collect()
    });
    &ALL
}

/// A route as others see it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Method.
    pub method: &'static str,
    /// Path, as OpenAPI writes it.
    pub path: String,
    /// Whether a key is needed.
    pub keyed: bool,
    /// The kind of resource that it is about, where all kinds have one.
    pub kind: Option<&'static str>,
    /// How it is audited.
    pub audit: Audit,
}

/// The table, for tests and documentation.
pub fn list() -> Vec<Listed> {
    let listed = |route: &&Route| Listed {
        method: route.verb.as_str(),
        path: openapi::template(route.path),
        keyed: route.is_keyed(),
        kind: route.kind().map(|kind| kind.noun),
        audit: route.audit,
    };
    all().iter().map(listed).collect()
}

/// The template of the route that answered, for the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered(pub(super) &'static str);

/// The router of the whole table.
pub(super) fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new();
    for route in all() {
        let filter = match route.verb {
            Verb::Get => MethodFilter::GET,
            Verb::Post => MethodFilter::POST,
            Verb::Patch => MethodFilter::PATCH,
            Verb::Delete => MethodFilter::DELETE,
        };
        let app = Arc::clone(app);
        router = router.route(route.path, on(filter, move |request: Request| to_its_end(app, route, request)));
    }
    router.fallback(nowhere).method_not_allowed_fallback(wrong_method)
}

async fn nowhere() -> Response<Body> {
    Problem::new(Kind::NotFound, "there is no such URL").into_response()
}

async fn wrong_method() -> Response<Body> {
    Problem::new(Kind::MethodNotAllowed, "this URL does not take that method").into_response()
}

/// What may change something comes to its end though the client goes away meanwhile, when the server drops the request: else a change
/// could be committed that is not in force before the next start.
async fn to_its_end(app: Arc<App>, route: &'static Route, request: Request) -> Response<Body> {
    if route.verb == Verb::Get {
        return answer(app, route, request).await;
    }
    let answered = tokio::spawn(answer(app, route, request)).await;
    answered.unwrap_or_else(|_| Problem::new(Kind::Internal, "the request came to no end").into_response())
}

async fn answer(app: Arc<App>, route: &'static Route, request: Request) -> Response<Body> {
    let mut response = match &route.handler {
        Handler::Open(handler) => handler(app).await.unwrap_or_else(Problem::into_response),
        Handler::Named(handler) => handler(request.headers()).await.unwrap_or_else(Problem::into_response),
        Handler::Keyed(handler) => keyed(app, route, move |call, unread| handler(call, unread), request).await,
        Handler::Kept(kind, handler) => keyed(app, route, move |call, unread| handler(kind, call, unread), request).await,
        Handler::Act(kind, verb, handler) => keyed(app, route, move |call, unread| handler(kind, verb, call, unread), request).await,
    };
    response.extensions_mut().insert(Answered(route.path));
    response
}

/// Authenticates, checks the query, runs the handler.
async fn keyed(app: Arc<App>, route: &'static Route, handler: impl FnOnce(Call, Body) -> Answer, request: Request) -> Response<Body> {
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
    let action = match route.audit {
        Audit::Action(action) | Audit::Refusal(action, _) => Some(action),
        Audit::Exempt(_) => None,
    };
    let query = Query::read(parts.uri.query(), route.parameters);
    let asked = query.as_ref().ok().and_then(|query| query.uuid(PROJECT_ID.name));
    let variables = variables(&mut parts, route).await;
    let result = match query.and_then(|query| Ok((query, variables?))) {
        Ok((query, variables)) => {
            let call = Call {
                app: Arc::clone(&app),
                caller: caller.clone(),
                query,
                variables,
                headers: parts.headers,
                action: action.unwrap_or("audit.read"),
            };
            handler(call, unread).await
        }
        Err(problem) => {
            body::drain(&mut unread, body::COURTESY_BYTES).await;
            Err(problem)
        }
    };
    let result = match (result, action) {
        (Err(problem), Some(action)) => Err(recorded(&app, &caller, asked, action, problem).await),
        (result, _) => result,
    };
    let mut response = result.unwrap_or_else(Problem::into_response);
    standing.write(response.headers_mut());
    response
}

/// Records a refusal of the HTTP side itself, of which the engine knows nothing yet. So no refusal of a known caller stays out
/// of the log, but those of a full queue, and those of a server that cannot. Those of rate are counted at the door.
async fn recorded(app: &App, caller: &Caller, asked: Option<Uuid>, action: &'static str, problem: Problem) -> Problem {
    if problem.recorded || problem.kind.status() >= 500 || problem.kind.status() == 429 {
        return problem;
    }
    match app.ledger.refused(caller, asked, action, problem.kind.name()).await {
        Ok(()) => problem.recorded(),
        Err(error) => error.into(),
    }
}

/// The variable parts of the path, decoded, as many as the route has.
async fn variables(parts: &mut axum::http::request::Parts, route: &Route) -> Result<Vec<String>, Problem> {
    use axum::extract::FromRequestParts;
    if route.variables.is_empty() {
        return Ok(Vec::new());
    }
    let nowhere = || Problem::new(Kind::NotFound, "there is no such URL");
    let path = Path::<Vec<(String, String)>>::from_request_parts(parts, &()).await;
    let Path(pairs) = path.map_err(|_| nowhere())?;
    let values: Vec<String> = pairs.into_iter().map(|(_, value)| value).collect();
    (values.len() == route.variables.len()).then_some(values).ok_or_else(nowhere)
}
