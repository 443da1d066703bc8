//! The pages of the API say what the server does.

use indelible::http::{ProblemKind, action_reference, problem_reference, resource_reference, routes};

fn page(name: &str) -> String {
    let path = format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn every_problem_is_on_its_page() {
    assert_eq!(page("problems.md"), problem_reference(), "cargo test -p indelible with UPDATE_DOCS=1 writes it anew");
    let text = page("problems.md");
    for kind in ProblemKind::ALL {
        assert_eq!(text.matches(&format!("`{}`", kind.uri())).count(), 1, "{}", kind.name());
    }
}

#[test]
fn every_route_has_its_heading_and_an_example() {
    let text = page("http.md");
    // Those of resources are on a page of their own, which is made from the kinds.
    let routes: Vec<_> = routes().into_iter().filter(|route| route.kind.is_none()).collect();
    for route in &routes {
        let heading = format!("### {} {}\n", route.method, route.path);
        let at = text.find(&heading).unwrap_or_else(|| panic!("{heading}"));
        let section = text[at + heading.len()..].split("\n### ").next().expect("a section");
        let stem = route.path.split('{').next().expect("a path");
        assert!(section.contains("curl") && section.contains(stem), "{heading} has no example");
    }
    assert_eq!(text.matches("\n### ").count(), routes.len(), "no route that is not there");
}

#[test]
fn every_kind_of_resource_is_on_its_page() {
    compare("resources.md", &resource_reference());
}

#[test]
fn every_action_is_on_its_page() {
    compare("actions.md", &action_reference());
    for action in indelible_core::event::action::catalogue() {
        let (noun, verb) = action.split_once('.').expect("noun.verb");
        let line = page("actions.md").lines().find(|line| line.starts_with(&format!("| `{noun}` |"))).map(str::to_owned);
        assert!(line.expect("a line").contains(&format!("`{verb}`")), "{action}");
    }
}

/// That a page is what is made from the code; with `UPDATE_DOCS` it is written first.
fn compare(name: &str, made: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR")), made).expect("docs/ can be written");
    }
    assert_eq!(page(name), made, "cargo test -p indelible with UPDATE_DOCS=1 writes it anew");
}
