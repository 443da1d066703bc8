//! Links in the OpenAPI document: from the answer that made a resource to what can be done with it.

use utoipa::openapi::link::{Link, LinkBuilder};

use super::super::route::{Route, Verb};
use super::super::routes;

/// From the answer of success of a route, by the names of the operations they lead to.
pub(super) fn from(route: &Route) -> Vec<(&'static str, Link)> {
    if route.verb != Verb::Post || route.status != 201 {
        return Vec::new();
    }
    let item = format!("{}/{{id}}", route.path);
    let below = routes::all().iter().filter(|other| other.path.starts_with(&item));
    let link = |other: &&Route| {
        let link = LinkBuilder::new().operation_id(other.name).parameter("id", "$response.body#/id");
        (other.name, link.build())
    };
    below.copied().map(|other| link(&other)).collect()
}
