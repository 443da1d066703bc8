//! `GET /.well-known/authzen-configuration`: where decisions are asked for.
//!
//! The server speaks plain HTTP behind whoever terminates TLS, and does not know its own address: what it says is made of the name by
//! which it was asked. For a name of this machine that is `http`, for every other `https`, as the specification demands.

use std::future::ready;

use axum::body::Body;
use axum::http::header::{HOST, HeaderMap};
use axum::http::{Response, StatusCode};
use serde_json::json;

use super::super::call;
use super::super::json::Document;
use super::super::problem::{Kind, Problem};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};
use super::{evaluation, evaluations};

pub(in super::super) static ROUTE: Route = Route {
    name: "authzen_configuration",
    verb: Verb::Get,
    path: "/.well-known/authzen-configuration",
    summary: "Where decisions are asked for",
    description: "The metadata of a policy decision point (OpenID AuthZEN, Authorization API 1.0), made of the `Host` of the request.",
    variables: &[],
    parameters: &[],
    body: bodiless,
    status: 200,
    answers: |_| {
        let url = json!({"type": "string", "format": "uri"});
        let names = ["policy_decision_point", "access_evaluation_endpoint", "access_evaluations_endpoint"];
        let properties: serde_json::Map<String, serde_json::Value> = names.iter().map(|name| ((*name).to_owned(), url.clone())).collect();
        vec![("application/json", json!({"type": "object", "required": names, "properties": properties}))]
    },
    problems: &[Kind::NotFound],
    audit: Audit::Exempt("says nothing of anybody's data"),
    handler: Handler::Named(|headers| Box::pin(ready(answer(headers)))),
};

fn answer(headers: &HeaderMap) -> Result<Response<Body>, Problem> {
    let named = headers.get(HOST).and_then(|host| host.to_str().ok()).and_then(base);
    let base = named.ok_or_else(|| Problem::new(Kind::NotFound, "Host is not the name of a server"))?;
    let document = Document::new()
        .text("policy_decision_point", &base)
        .text("access_evaluation_endpoint", &format!("{base}{}", evaluation::ROUTE.path))
        .text("access_evaluations_endpoint", &format!("{base}{}", evaluations::ROUTE.path));
    Ok(call::json(StatusCode::OK, document.end()))
}

/// The URL of a host.
fn base(host: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    if host.is_empty() || host.len() > 255 || !host.bytes().all(plain) {
        return None;
    }
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let loopback = name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let scheme = if loopback || name.eq_ignore_ascii_case("localhost") { "http" } else { "https" };
    Some(format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_this_machine_is_plain_and_every_other_is_not() {
        let cases = [
            ("127.0.0.1:4680", Some("http://127.0.0.1:4680")),
            ("localhost", Some("http://localhost")),
            ("[::1]:4680", Some("http://[::1]:4680")),
            ("pdp.example.com", Some("https://pdp.example.com")),
            ("pdp.example.com:8443", Some("https://pdp.example.com:8443")),
            ("localhost.evil.example", Some("https://localhost.evil.example")),
            ("a/b", None),
            ("a\"b", None),
            ("", None),
        ];
        for (host, expected) in cases {
            assert_eq!(base(host).as_deref(), expected, "{host}");
        }
    }
}
