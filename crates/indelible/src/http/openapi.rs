//! The OpenAPI 3.1 document, made from the route table.
//!
//! Every route that is not a GET says under `x-audit-action` which event it appends, or under `x-audit-exempt` why none. Where only a
//! refusal has that event, `x-audit-success-exempt` says what success leaves instead.

mod headers;
mod links;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn, PathItem, PathsBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApiBuilder, Ref, RefOr, Required, ResponseBuilder, Schema,
};

use super::problem::Kind;
use super::query::{Parameter, Values};
use super::route::{Audit, Handler, Route, Verb};
use super::{routes, schema};

/// Problems that every keyed route may answer with.
const KEYED_PROBLEMS: &[Kind] = &[Kind::Unauthorized, Kind::RateLimited, Kind::Unavailable];
/// Problems that every route may answer with.
const COMMON_PROBLEMS: &[Kind] = &[Kind::CrossOrigin, Kind::MethodNotAllowed, Kind::Internal];

/// The document, as JSON.
pub(super) fn document() -> String {
    let mut paths = PathsBuilder::new();
    for route in routes::all() {
        let method = match route.verb {
            Verb::Get => HttpMethod::Get,
            Verb::Post => HttpMethod::Post,
            Verb::Patch => HttpMethod::Patch,
            Verb::Delete => HttpMethod::Delete,
        };
        paths = paths.path(template(route.path), PathItem::new(method, operation(route)));
    }
    let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("ind_<key id>_<43 characters>").build();
    let components = ComponentsBuilder::new().security_scheme("key", SecurityScheme::Http(key));
    let mut license = LicenseBuilder::new().name("Apache-2.0").build();
    license.identifier = Some("Apache-2.0".to_owned());
    let info = InfoBuilder::new()
        .title("Indelible")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("The audit log of AI-agent platforms."))
        .license(Some(license));
    let document = OpenApiBuilder::new().info(info.build()).paths(paths.build()).components(Some(components.build())).build();
    let mut document = serde_json::to_value(document).expect("the document holds strings and numbers only");
    // Put in as they are: the library's own type for schemas would lose keywords of JSON Schema that it does not know.
    document["components"]["schemas"] = Value::Object(schema::components().into_iter().collect());
    document.sort_all_objects();
    document.to_string()
}

fn read(value: Value) -> RefOr<Schema> {
    serde_json::from_value(value).expect("the schemas of this crate are schemas; a test makes the document")
}

fn operation(route: &Route) -> Operation {
    let mut operation = OperationBuilder::new()
        .operation_id(Some(route.name))
        .summary(Some(route.summary))
        .description(Some(route.description))
        .tag(tag(route.path));
    for (name, doc) in variables(route.path).zip(route.variables) {
        operation = operation.parameter(
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .description(Some(*doc))
                .schema(Some(read(json!({"type": "string"})))),
        );
    }
    for parameter in route.parameters {
        operation = operation.parameter(
            ParameterBuilder::new()
                .name(parameter.name)
                .parameter_in(ParameterIn::Query)
                .required(if parameter.is_needed() { Required::True } else { Required::False })
                .description(Some(parameter.doc))
                .schema(Some(read(values(parameter)))),
        );
    }
    for header in route.headers().iter().chain(headers::asked(route)) {
        operation = operation.parameter(
            ParameterBuilder::new()
                .name(header.name)
                .parameter_in(ParameterIn::Header)
                .required(if header.required { Required::True } else { Required::False })
                .description(Some(header.doc))
                .schema(Some(read(text(header.words)))),
        );
    }
    let bodies = (route.body)(route);
    if !bodies.is_empty() {
        let mut body = RequestBodyBuilder::new().required(Some(if may_be_left_out(route) { Required::False } else { Required::True }));
        for (media_type, schema) in bodies {
            let content = ContentBuilder::new()
                .schema(Some(read(schema)))
                .example(example(route).filter(|_| media_type.ends_with("json") && media_type != "application/x-ndjson"));
            body = body.content(media_type, content.build());
        }
        operation = operation.request_body(Some(body.build()));
    }
    let mut success = ResponseBuilder::new().description("Done.");
    for (media_type, schema) in (route.answers)(route) {
        success = success.content(media_type, ContentBuilder::new().schema(Some(read(schema))).build());
    }
    for (name, link) in links::from(route) {
        success = success.link(name, link);
    }
    operation = operation.response(route.status.to_string(), with_headers(success, route, route.status));
    for (status, kinds) in problems(route) {
        operation = operation.response(status.to_string(), with_headers(problem(&kinds), route, status));
    }
    if route.is_keyed() {
        operation = operation.security(SecurityRequirement::new("key", Vec::<String>::new()));
    }
    let extensions = match route.audit {
        Audit::Action(action) => ExtensionsBuilder::new().add("x-audit-action", action),
        Audit::Refusal(action, reason) => ExtensionsBuilder::new().add("x-audit-action", action).add("x-audit-success-exempt", reason),
        Audit::Exempt(reason) => ExtensionsBuilder::new().add("x-audit-exempt", reason),
    };
    operation.extensions(Some(extensions.build())).build()
}

/// Whether a request without its body is one with an empty object.
const fn may_be_left_out(route: &Route) -> bool {
    matches!(route.handler, Handler::Act(..))
}

/// A body that is taken.
fn example(route: &Route) -> Option<Value> {
    let thing = json!({"type": "invoice", "id": "inv-1042"});
    let who = json!({"type": "agent", "id": "agent-7"});
    match route.name {
        "submit_events" | "check_events" => {
            return Some(json!({"action": "invoice.approve", "outcome": "allow", "actor": who, "resource": thing}));
        }
        "evaluate" | "evaluate_many" => return Some(json!({"subject": who, "action": {"name": "approve"}, "resource": thing})),
        _ => {}
    }
    let kind = route.kind().filter(|_| !matches!(route.handler, Handler::Act(..)))?;
    serde_json::from_str(kind.example).ok()
}

/// The problems of a route, by status.
fn problems(route: &Route) -> BTreeMap<u16, Vec<Kind>> {
    let keyed = if route.is_keyed() { KEYED_PROBLEMS } else { &[] };
    let mut by_status: BTreeMap<u16, Vec<Kind>> = BTreeMap::new();
    for kind in COMMON_PROBLEMS.iter().chain(keyed).chain(route.problems) {
        let kinds = by_status.entry(kind.status()).or_default();
        if !kinds.contains(kind) {
            kinds.push(*kind);
        }
    }
    by_status
}

fn problem(kinds: &[Kind]) -> ResponseBuilder {
    let description = kinds.iter().map(|kind| format!("`{}`: {}.", kind.uri(), kind.title())).collect::<Vec<_>>().join("\n\n");
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(description).content("application/problem+json", content)
}

fn with_headers(response: ResponseBuilder, route: &Route, status: u16) -> ResponseBuilder {
    headers::answered(route, status).fold(response, |response, (name, header)| response.header(name, header))
}

fn values(parameter: &Parameter) -> Value {
    match parameter.values {
        Values::Text => json!({"type": "string"}),
        Values::Uuid => json!({"type": "string", "format": "uuid"}),
        Values::Integer(low, high) | Values::Needed(low, high) => json!({"type": "integer", "minimum": low, "maximum": high}),
        Values::Choice(words) => text(words),
    }
}

/// Any text, or one of these words.
fn text(words: &[&str]) -> Value {
    if words.is_empty() { json!({"type": "string"}) } else { json!({"type": "string", "enum": words}) }
}

/// The path as OpenAPI writes it, which has no mark for a variable that takes the rest.
pub(super) fn template(path: &str) -> String {
    path.replace("{*", "{")
}

/// The names in braces.
fn variables(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|part| part.split('}').next()).map(|name| name.trim_start_matches('*'))
}

fn tag(path: &str) -> &str {
    match path.strip_prefix("/v1/") {
        Some(rest) => rest.split('/').next().unwrap_or(rest),
        None if path.starts_with("/access/") || path.starts_with("/.well-known/authzen") => "access",
        None => "process",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ways: every route is described, and nothing else is.
    #[test]
    fn the_document_is_the_route_table() {
        let document: Value = serde_json::from_str(&document()).expect("JSON");
        assert_eq!(document["openapi"], "3.1.0");
        let mut described = Vec::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("an item") {
                described.push((method.to_uppercase(), path.clone()));
                let audited = operation.get("x-audit-action").is_some() != operation.get("x-audit-exempt").is_some();
                assert!(audited, "{method} {path} says how it is audited, once");
                let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
                let variables: Vec<_> = parameters.iter().filter(|parameter| parameter["in"] == "path").collect();
                assert_eq!(variables.len(), path.matches('{').count(), "{path}");
                assert!(variables.iter().all(|v| path.contains(&format!("{{{}}}", v["name"].as_str().unwrap_or("?")))), "{path}");
            }
        }
        let mut listed: Vec<_> = routes::all().iter().map(|route| (route.verb.as_str().to_owned(), template(route.path))).collect();
        described.sort();
        listed.sort();
        assert_eq!(described, listed);
        assert!(listed.windows(2).all(|pair| pair[0] != pair[1]), "a route stands twice in the table");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(members) => members.iter().for_each(|(name, value)| match value {
                    Value::String(to) if name == "$ref" => found.push(to.clone()),
                    other => references(other, found),
                }),
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                _ => {}
            }
        }
        let text = document();
        let document: Value = serde_json::from_str(&text).expect("JSON");
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for to in found {
            assert!(document.pointer(to.trim_start_matches('#')).is_some(), "{to}");
        }
        for route in routes::all() {
            let pointer = format!("/paths/{}/{}", template(route.path).replace('/', "~1"), route.verb.as_str().to_lowercase());
            for (media_type, schema) in (route.answers)(route) {
                let answer = &document.pointer(&pointer).expect(route.path)["responses"][route.status.to_string()]["content"][media_type];
                assert_eq!(answer["schema"], schema, "{}", route.path);
            }
            for (media_type, schema) in (route.body)(route) {
                let body = &document.pointer(&pointer).expect(route.path)["requestBody"]["content"][media_type];
                assert_eq!(body["schema"], schema, "{}", route.path);
            }
        }
    }

    #[test]
    fn every_kind_of_problem_is_documented_on_some_route() {
        let document = document();
        for kind in Kind::ALL {
            assert!(document.contains(&kind.uri()), "{}", kind.uri());
        }
    }
}
