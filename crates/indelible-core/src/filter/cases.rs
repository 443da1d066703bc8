//! Filters as tables: what is accepted and how it is written, what matches, what is refused and where.

use super::{Filter, Plan, attributes, terms, terms_of_bytes};
use crate::json;
use crate::limits::{FILTER_BYTES_MAX, FILTER_DEPTH_MAX, FILTER_TERMS_MAX};

/// An entry with something of every shape.
const ENTRY: &str = r#"{"action":"policy.update","action_category":"policy","actor":{"chain":[{"id":"alice","type":"human"},{"id":"planner","type":"agent"}],"display":"Über \"Bot\"","id":"agent-7","on_behalf_of":"alice","type":"agent"},"changes":["/spec/limit","/spec/a~1b"],"context":{"Tool":"search","app.kubernetes.io/name":"web","my key":"é"},"duration_ms":12,"http":{"method":"GET","request_truncated":false,"status":403},"id":"0190f3a2-7c1e-7b7a-9c3e-2f1d5a6b7c8d","occurred_at":"2026-05-01T00:00:00.000000Z","outcome":"deny","recorded_at":"2026-05-01T00:00:01.000000Z","request":{"request_id":"r-1","trace_id":"0af7651916cd43dd8448eb211c80319c"},"resource":{"id":"p-1","type":"policy"},"run":{"thread_id":"t-1"},"sequence":41,"subjects":["alice","bob"]}"#;

#[test]
fn filters_match_or_do_not() {
    // RFC 7644, figure 2, on our attributes, then each rule of docs/filter.md.
    let cases: &[(&str, bool)] = &[
        (r#"action Eq "policy.update""#, true),
        (r#"actor.id co "gent""#, true),
        (r#"ACTOR_ID sw "agent""#, true),
        (r"actor.display pr", true),
        (r#"occurred_at gt "2026-04-30T23:59:59Z""#, true),
        (r#"occurred_at ge "2026-05-01T02:00:00+02:00""#, true),
        (r#"occurred_at lt "2026-05-01T02:00:00+02:00""#, false),
        (r#"occurred_at le "2026-05-01T02:00:00+02:00""#, true),
        (r#"occurred_at eq "2026-05-01t01:00:00.000+01:00""#, true),
        (r#"occurred_at ne "2026-05-01T00:00:00Z""#, false),
        (r#"occurred_at sw "2026-05""#, true),
        (r#"ingested_at co "00:00:01""#, true),
        (r#"actor.type eq "agent" and outcome eq "deny""#, true),
        (r#"actor.type eq "agent" or outcome eq "allow""#, true),
        (r#"actor.type eq "human" and (resource.id eq "p-1" or resource.type eq "policy")"#, false),
        (r#"actor.type ne "human" and not (resource.id co "q" or reason pr)"#, true),
        (r#"actor.type eq "agent" and not(outcome eq "allow")"#, true),
        (r#"actor.chain[type eq "agent" and id eq "planner"]"#, true),
        (r#"actor.chain[type eq "agent" and id eq "alice"]"#, false),
        (r#"actor.chain.type eq "agent" and actor.chain.id eq "alice""#, true),
        (r#"actor.chain[not (type eq "agent")]"#, true),
        (r#"not (actor.chain[type eq "system"])"#, true),
        (r#"subjects[value sw "al" and value ew "ob"]"#, false),
        (r#"subjects sw "al" and subjects ew "ob""#, true),
        (r#"actor[id eq "agent-7" and on_behalf_of eq "alice"]"#, true),
        (r#"principal[not (id eq "x")]"#, false),
        // Precedence: not, and, or.
        (r#"outcome eq "deny" or outcome eq "x" and outcome eq "y""#, true),
        (r#"(outcome eq "deny" or outcome eq "x") and outcome eq "y""#, false),
        (r#"not (outcome eq "deny") and outcome eq "y" or sequence eq 41"#, true),
        // Names.
        (r#"request_id eq "r-1" and thread_id eq "t-1" and resource_type eq "policy""#, true),
        (r#"tool eq "search""#, true),
        (r#"context.TOOL eq "search" and context_tool eq "search""#, true),
        (r#"context.tool eq "Search""#, false),
        (r#"context.app.kubernetes.io/name eq "web""#, true),
        (r#"context["My Key"] eq "\u00e9""#, true),
        (r#"context.absent eq """#, false),
        // Values.
        (r#"actor.display co "\"bot""#, false),
        (r#"actor.display co "\"Bot\"""#, true),
        (r#"actor.id eq "Agent-7""#, false),
        (r#"changes eq "/spec/limit""#, true),
        (r#"changes sw "/spec/a~1""#, true),
        (r"http_status eq 403", true),
        (r"http.status ge 400 and http.status lt 500", true),
        (r"http.status gt 403 or duration_ms le 11", false),
        (r"http.status ne 403", false),
        (r"sequence gt -1", true),
        (r"http.request_truncated eq false", true),
        (r"http.request_truncated ne false", false),
        (r#"id eq "0190F3A2-7C1E-7B7A-9C3E-2F1D5A6B7C8D""#, true),
        (r#"id sw "0190F3""#, true),
        (r#"trace_id eq "0AF7651916CD43DD8448EB211C80319C""#, true),
        (r#"outcome eq "denied""#, false),
        (r#"actor.id gt "agent-10" and actor.id lt "agent-é""#, true),
        // Absent: ne and not hold, nothing else does.
        (r#"reason ne "x""#, true),
        (r#"reason eq "x" or reason gt "" or reason co "" or reason sw "" or reason lt "z" or reason pr"#, false),
        (r"not (reason pr)", true),
        (r#"subjects ne "alice""#, false),
        (r#"subjects ne "carol""#, true),
        (r#"subjects gt "alice""#, true),
        (r"context pr and actor.chain pr and subjects pr and not (sealed pr)", true),
    ];
    let entry = json::parse(ENTRY.as_bytes()).expect("valid");
    assert_eq!(entry.to_canonical(), ENTRY.as_bytes());
    for (text, expected) in cases {
        let filter = Filter::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(filter.matches(&entry), *expected, "{text}");
        let again = Filter::parse(&filter.normalised()).expect(text);
        assert_eq!(again, filter, "{text} -> {}", filter.normalised());
    }
}

#[test]
fn empty_values_are_not_present() {
    let entry = json::parse(br#"{"subjects":[],"context":{},"actor":{"chain":[],"id":"a"},"reason":null}"#).expect("valid");
    for text in ["subjects pr", "context pr", "actor.chain pr", "actor.chain.id pr", "reason pr", "subjects[value pr]"] {
        assert!(!Filter::parse(text).expect(text).matches(&entry), "{text}");
    }
    assert!(Filter::parse("actor pr").expect("valid").matches(&entry));
    // What is no entry at all matches only what absence satisfies.
    for (text, expected) in [("actor pr", false), (r#"actor.id ne "a""#, true)] {
        for other in ["null", "[]", "1", r#"[{"actor":{"id":"b"}}]"#, r#""a""#, r#"{"actor":1}"#, r#"{"actor":null}"#] {
            let expected = expected || (text == "actor pr" && other == r#"{"actor":1}"#);
            assert_eq!(Filter::parse(text).expect(text).matches(&json::parse(other.as_bytes()).expect(other)), expected, "{text} {other}");
        }
    }
}

#[test]
fn one_meaning_and_shape_is_written_one_way() {
    let cases = [
        (" ACTOR_ID\tEQ \"a\\u0041\\/\"\n", r#"actor.id eq "aA/""#),
        (r#"((outcome eq "deny"))"#, r#"outcome eq "deny""#),
        (r"(sequence eq 1 and (sequence eq 2)) and sequence eq -0", "sequence eq 1 and sequence eq 2 and sequence eq 0"),
        (r"sequence eq 1 OR (sequence eq 2 and sequence eq 3)", "sequence eq 1 or sequence eq 2 and sequence eq 3"),
        (r"(sequence eq 1 or sequence eq 2) AND NOT((sequence eq 3))", "(sequence eq 1 or sequence eq 2) and not (sequence eq 3)"),
        (r#"occurred_at ge "2026-05-01T02:00:00.1234567+02:00""#, r#"occurred_at ge "2026-05-01T00:00:00.123456Z""#),
        (r#"occurred_at sw "2026-05""#, r#"occurred_at sw "2026-05""#),
        (r#"TRACE_ID sw "AB""#, r#"request.trace_id sw "ab""#),
        (r"Tool_Call_Id PR", "context.tool_call_id pr"),
        (r#"context["a.B"] pr and context["a b\n"] pr"#, r#"context.a.b pr and context["a b\n"] pr"#),
        (r#"ACTOR_CHAIN[ (ID eq "a") ]"#, r#"actor.chain[id eq "a"]"#),
        (r#"subjects[VALUE eq "a"]"#, r#"subjects[value eq "a"]"#),
        (r"http.request_truncated ne true", "http.request_truncated ne true"),
        (r#"conversation_id eq "t""#, r#"run.thread_id eq "t""#),
    ];
    for (text, expected) in cases {
        let filter = Filter::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(filter.normalised(), expected);
        assert_eq!(Filter::parse(expected), Ok(filter), "{text}");
    }
}

#[test]
fn what_is_refused_says_where_and_what() {
    let cases = [
        ("", 0, "empty"),
        ("  ", 0, "empty"),
        ("outcome", 7, "operator"),
        ("outcome =", 8, "operator"),
        ("outcome is \"deny\"", 8, "operator"),
        ("outcome eq", 10, "value"),
        ("outcome eq deny", 11, "double quotes"),
        ("outcome eq 'deny'", 11, "double quotes"),
        ("outcome eq “deny”", 11, "straight"),
        ("outcome eq \"deny", 11, "closing"),
        ("outcome eq \"\\ud800\"", 11, "surrogate"),
        ("outcome eq \"\\q\"", 11, "escape"),
        ("outcome eq null", 11, "never null"),
        ("outcome eq 1", 11, "double quotes"),
        ("outcome eq \"deny\" outcome pr", 18, "`and` or `or`"),
        ("outcome pr and", 14, "attribute"),
        ("and outcome pr", 0, "no such attribute"),
        ("(outcome pr", 11, "`)`"),
        ("outcome pr)", 10, "closes nothing"),
        ("outcome pr]", 10, "closes nothing"),
        ("()", 1, "attribute"),
        ("not outcome pr", 4, "not (…)"),
        ("\"outcome\" eq \"deny\"", 0, "without quotes"),
        ("http.status eq \"403\"", 15, "without quotes"),
        ("http.status eq 403.5", 15, "integer"),
        ("http.status eq 4e2", 15, "integer"),
        ("http.status eq 0403", 15, "integer"),
        ("http.status eq 99999999999999999999", 15, "64 bits"),
        ("http.status eq -", 15, "integer"),
        ("http.status co 4", 12, "text only"),
        ("http.request_truncated eq \"true\"", 26, "without quotes"),
        ("http.request_truncated eq True", 26, "lower case"),
        ("http.request_truncated gt true", 23, "eq, ne and pr"),
        ("occurred_at gt \"2026-05-01\"", 15, "RFC 3339"),
        ("occurred_at gt 1", 15, "double quotes"),
        ("id eq \"x\"", 6, "UUID"),
        ("actor eq \"x\"", 6, "actor.id"),
        ("context eq \"x\"", 8, "context.tool"),
        ("actor.chain[id eq \"x\"", 21, "`]`"),
        ("actor.chain[]", 12, "attribute"),
        ("actor.chain[id[value pr]]", 14, "inside brackets"),
        ("outcome[value pr]", 7, "several values"),
        ("context[tool eq \"x\"]", 8, "key in double quotes"),
        ("context[\"a\" eq \"x\"]", 12, "`]`"),
    ];
    for (text, at, message) in cases {
        let error = Filter::parse(text).expect_err(text);
        assert!(error.at == at && error.message.contains(message), "{text}: {error}");
    }
}

#[test]
fn unknown_attributes_get_a_suggestion() {
    let cases = [
        ("actr.id", Some("actor.id")),
        ("actorId", Some("actor.id")),
        ("actor.idd", Some("actor.id")),
        ("occured_at", Some("occurred_at")),
        ("resource.tpye", Some("resource.type")),
        ("htpp_status", Some("http.status")),
        ("theread_id", Some("run.thread_id")),
        ("tol", Some("context.tool")),
        ("favourite_colour", None),
        ("urn:ietf:params:scim:schemas:core:2.0:User:userName", None),
    ];
    for (name, suggestion) in cases {
        let error = Filter::parse(&format!("outcome pr and {name} eq \"x\"")).expect_err(name);
        assert!(error.unknown_attribute && error.at == 15, "{name}: {error}");
        let suggested = error.message.split("did you mean ").nth(1).map(|rest| rest.trim_end_matches('?'));
        assert_eq!(suggested, suggestion, "{name}");
    }
    for (text, suggested) in
        [("actor.chain[idd eq \"x\"]", "id?"), ("subjects[name eq \"x\"]", "value?"), ("actor[chain_id pr]", "chain.id?")]
    {
        let error = Filter::parse(text).expect_err(text);
        assert!(error.unknown_attribute && error.message.ends_with(&format!("did you mean {suggested}")), "{text}: {error}");
    }
    assert!(!Filter::parse("outcome eq 1").expect_err("wrong type").unknown_attribute);
    let all = attributes();
    assert!(
        all.len() > 100 && all.iter().all(|name| Filter::parse(&format!("{name} pr")).expect(name).normalised() == format!("{name} pr"))
    );
}

#[test]
fn limits_are_inclusive() {
    let nested = |depth: usize| format!("{}outcome pr{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Filter::parse(&nested(FILTER_DEPTH_MAX)).is_ok());
    assert_eq!(Filter::parse(&nested(FILTER_DEPTH_MAX + 1)).expect_err("too deep").at, FILTER_DEPTH_MAX);
    let negated = |depth: usize| format!("{}outcome pr{}", "not (".repeat(depth), ")".repeat(depth));
    assert!(Filter::parse(&negated(FILTER_DEPTH_MAX)).is_ok());
    assert!(Filter::parse(&negated(FILTER_DEPTH_MAX + 1)).is_err());
    assert!(Filter::parse(&"(".repeat(FILTER_BYTES_MAX)).is_err());
    assert!(Filter::parse(&"not ".repeat(FILTER_BYTES_MAX / 4)).is_err());

    let many = |tests: usize| vec!["id pr"; tests].join(" or ");
    assert!(Filter::parse(&many(FILTER_TERMS_MAX)).is_ok());
    assert!(Filter::parse(&many(FILTER_TERMS_MAX + 1)).expect_err("too many").message.contains("512"));

    let long = |bytes: usize| format!("reason eq \"{}\"", "x".repeat(bytes - 12));
    assert!(Filter::parse(&long(FILTER_BYTES_MAX)).is_ok());
    assert_eq!(Filter::parse(&long(FILTER_BYTES_MAX + 1)).expect_err("too long").at, FILTER_BYTES_MAX);
}

/// A plan as text: `attribute=value`, `&`, `|`, `*` for all.
fn written(plan: &Plan) -> String {
    let join = |parts: &[Plan], mark| format!("({})", parts.iter().map(written).collect::<Vec<_>>().join(mark));
    match plan {
        Plan::All => "*".to_owned(),
        Plan::Term(term) => format!("{}={}", term.attribute, term.value),
        Plan::And(parts) => join(parts, "&"),
        Plan::Or(parts) => join(parts, "|"),
    }
}

#[test]
fn plans_ask_the_index_for_what_is_certain() {
    let cases = [
        (r#"actor_id eq "a""#, "actor.id=a"),
        (r#"actor.id eq "a" and outcome eq "deny" and reason co "x""#, "(actor.id=a&outcome=deny)"),
        (r#"actor.id eq "a" or outcome eq "deny""#, "(actor.id=a|outcome=deny)"),
        (r#"actor.id eq "a" or reason co "x""#, "*"),
        (r#"(actor.id eq "a" or actor.id eq "b") and http.status eq 403"#, "((actor.id=a|actor.id=b)&http.status=403)"),
        (r#"actor.id eq "a" or actor.id eq "a""#, "actor.id=a"),
        (r#"actor.id ne "a""#, "*"),
        (r#"not (actor.id ne "a")"#, "actor.id=a"),
        (r#"not (actor.id eq "a")"#, "*"),
        (r#"not (actor.id ne "a" or outcome ne "b")"#, "(actor.id=a&outcome=b)"),
        (r#"not (actor.id ne "a" and outcome ne "b")"#, "(actor.id=a|outcome=b)"),
        (r#"actor.id pr or actor.id sw "a""#, "*"),
        (r#"TOOL eq "x""#, "context.tool=x"),
        (r#"context["My Key"] eq "X""#, "context.my key=X"),
        (r#"actor.chain[type eq "agent" and id eq "x"]"#, "actor.chain.id=x"),
        (r#"not (actor.chain[id ne "x"])"#, "*"),
        (r#"subjects[value eq "a"] and changes eq "/x""#, "(subjects=a&changes=/x)"),
        (r#"trace_id eq "AB""#, "request.trace_id=ab"),
        (r#"occurred_at eq "2026-05-01T00:00:00Z" and id eq "0190f3a2-7c1e-7b7a-9c3e-2f1d5a6b7c8d""#, "*"),
    ];
    for (text, expected) in cases {
        assert_eq!(written(&Filter::parse(text).expect(text).plan()), expected, "{text}");
    }
}

#[test]
fn bounds_and_ids_come_from_conjunctions() {
    let bound = |text: &str| {
        let filter = Filter::parse(text).expect(text);
        let times = [filter.occurred_at_bounds(), filter.recorded_at_bounds()].map(|(a, b)| [a, b].map(|t| t.map(|t| t.to_string())));
        format!(
            "{:?} {:?}",
            times.concat().into_iter().map(std::option::Option::unwrap_or_default).collect::<Vec<_>>(),
            filter.sequence_bounds()
        )
    };
    let cases = [
        (r"outcome pr", r#"["", "", "", ""] (None, None)"#),
        (
            r#"occurred_at ge "2026-05-01T00:00:00Z" and occurred_at lt "2026-06-01T00:00:00Z" and occurred_at gt "2026-05-02T00:00:00Z""#,
            r#"["2026-05-02T00:00:00.000001Z", "2026-05-31T23:59:59.999999Z", "", ""] (None, None)"#,
        ),
        (
            r#"recorded_at eq "2026-05-01T00:00:00Z" and sequence gt 4 and sequence le 9"#,
            r#"["", "", "2026-05-01T00:00:00.000000Z", "2026-05-01T00:00:00.000000Z"] (Some(5), Some(9))"#,
        ),
        (r#"sequence lt 0 and occurred_at lt "0001-01-01T00:00:00Z""#, r#"["", "0001-01-01T00:00:00.000000Z", "", ""] (None, Some(-1))"#),
        (r"sequence gt 1 or sequence lt 9 or not (sequence eq 3)", r#"["", "", "", ""] (None, None)"#),
        (r#"sequence ne 3 and sequence pr and occurred_at sw "2026""#, r#"["", "", "", ""] (None, None)"#),
    ];
    for (text, expected) in cases {
        assert_eq!(bound(text), expected, "{text}");
    }
    let id = "0190f3a2-7c1e-7b7a-9c3e-2f1d5a6b7c8d";
    let cases = [
        (format!(r#"id eq "{}" and outcome pr"#, id.to_uppercase()), true),
        (format!(r#"id ne "{id}""#), false),
        (format!(r#"id eq "{id}" or outcome pr"#), false),
        (format!(r#"not (id eq "{id}")"#), false),
        (format!(r#"organization_id eq "{id}""#), false),
    ];
    for (text, found) in cases {
        assert_eq!(Filter::parse(&text).expect(&text).id_equals().map(|id| id.to_string()), found.then(|| id.to_owned()), "{text}");
    }
}

#[test]
fn necessary_bytes_are_the_longest_that_are_certain() {
    let cases: &[(&str, Option<&str>)] = &[
        (r#"actor.id eq "a""#, Some(r#""id":"a""#)),
        (r#"actor.id sw "a\"""#, Some(r#""id":"a\""#)),
        (r#"reason co "a\n\u001f\u00e9/""#, Some(r"a\n\u001fé/")),
        (r#"reason ew "z""#, Some(r#"z""#)),
        (r#"subjects eq "a""#, Some(r#""a""#)),
        (r#"context.Tool eq "a""#, Some(r#""a""#)),
        (r#"subjects[value co "abc" and value co "ab"]"#, Some("abc")),
        (r#"subjects eq "a" and not (reason co "longer")"#, Some(r#""a""#)),
        (r#"subjects eq "a" or reason co "longer""#, None),
        (r#"reason co """#, None),
        (r#"reason ne "x" and reason pr and reason gt "longer""#, None),
        (r#"occurred_at ge "2026-05-01T00:00:00Z" and http.status eq 403"#, None),
    ];
    for (text, expected) in cases {
        let bytes = Filter::parse(text).expect(text).necessary_bytes();
        assert_eq!(bytes.map(|bytes| String::from_utf8(bytes).expect("UTF-8")).as_deref(), *expected, "{text}");
    }
}

#[test]
fn terms_of_an_entry() {
    let collect = |text: &str| {
        let (mut found, mut scanned) = (Vec::new(), Vec::new());
        terms(&json::parse(text.as_bytes()).expect("valid"), &mut |attribute, value| found.push(format!("{attribute}={value}")));
        let complete = terms_of_bytes(text.as_bytes(), &mut |attribute, value| scanned.push(format!("{attribute}={value}")));
        assert_eq!((complete, &scanned), (text.starts_with('{'), &found), "{text}");
        found
    };
    let expected = "action=policy.update action_category=policy actor.chain.id=alice actor.chain.id=planner actor.id=agent-7 \
         actor.on_behalf_of=alice actor.type=agent changes=/spec/limit changes=/spec/a~1b context.tool=search \
         context.app.kubernetes.io/name=web context.my_key=é http.method=GET http.status=403 outcome=deny \
         request.request_id=r-1 request.trace_id=0af7651916cd43dd8448eb211c80319c resource.id=p-1 resource.type=policy \
         run.thread_id=t-1 subjects=alice subjects=bob";
    assert_eq!(collect(ENTRY).join(" ").replace("my key", "my_key"), expected);
    // Members out of order are found all the same.
    assert_eq!(
        collect(r#"{"subjects":["b"],"resource":{"type":"t","id":"i"},"action":"a.b"}"#),
        ["subjects=b", "resource.type=t", "resource.id=i", "action=a.b"]
    );
    // Names that begin alike are not one.
    assert_eq!(
        collect(r#"{"action_categories":"no","action_category":"yes","resource":{"id":"r"},"resources":{"id":"no"}}"#),
        ["action_category=yes", "resource.id=r"]
    );
    assert!(collect("[1]").is_empty() && collect(r#"{"actor":1,"action":{},"context":["x"],"run":null}"#).is_empty());
}

/// The user's reference names every attribute.
#[test]
fn the_reference_is_complete() {
    let page = include_str!("../../../../docs/filter.md");
    for name in attributes() {
        assert!(page.contains(&format!("`{name}`")), "docs/filter.md lacks {name}");
    }
    for (alias, target) in super::attribute::ALIASES {
        assert!(page.contains(&format!("`{alias}` = `{target}`")), "docs/filter.md lacks `{alias}` = `{target}`");
    }
}

#[test]
fn bytes_that_are_no_entry_are_given_up() {
    let deep = |levels: usize| format!("{{\"subjects\":{}\"a\"{}}}", "[".repeat(levels), "]".repeat(levels));
    let deep_skipped = format!("{{\"x\":{}{}}}", "[".repeat(60_000), "]".repeat(60_000));
    let (shallow, deep) = (deep(100), deep(60_000));
    let cases: &[(&[u8], bool)] = &[
        (b"{}", true),
        (br#"{"action":"a\u001fb"}"#, true),
        (br#"{"action":null,"context":{"k":1,"l":{}},"x":[{"y":"]"},"\"}"]}"#, true),
        (shallow.as_bytes(), true),
        (deep_skipped.as_bytes(), true),
        (deep.as_bytes(), false),
        (b"", false),
        (b"[]", false),
        (b"{} ", false),
        (br#"{ "action":"a"}"#, false),
        (br#"{"action": "a"}"#, false),
        (br#"{"action":"a"#, false),
        (br#"{"action":"a\"#, false),
        (br#"{"action":"\ud800"}"#, false),
        (br#"{"action"}"#, false),
        (br#"{"action":}"#, false),
        (br#"{"action":"a",}"#, false),
        (br#"{"subjects":["a"}"#, false),
        (br#"{"x":]}"#, false),
        (b"{\"action\":\"\xff\"}", false),
    ];
    for (bytes, expected) in cases {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]);
        assert_eq!(terms_of_bytes(bytes, &mut |_, _| {}), *expected, "{shown}");
    }
}
