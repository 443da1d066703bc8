//! A secret that is handed in, under any default name, in any spelling, in any place, by any way, is in no file of the data
//! folder and in no opened content; and what people said is in no file readable.

use std::path::Path;
use std::sync::LazyLock;

use indelible_core::event::members::{ENTRY, Member, Owner, Shape};
use serde_json::{Map, Value, json};

use crate::events::forms::{gzip, zstd};
use crate::server::{EVENTS, House, encode, event};

/// Names that are secret by default; those of `redact::rule`, written down once more for the tests.
static FIELDS: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("../../../../indelible-core/testdata/secret-names.txt").lines().collect());
/// Every secret begins so.
const MARK: &str = "zQ7sEcReT";
/// Every plain text of content begins so.
const SAID: &str = "xSaIdAlOuD";

/// Secrets that are all different, so that one that is left can be named.
#[derive(Default)]
struct Mint(usize);

impl Mint {
    fn next(&mut self) -> String {
        self.0 += 1;
        format!("{MARK}{:05}", self.0)
    }
}

fn spellings(field: &str) -> Vec<String> {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    let pascal: String = field.split('_').map(capital).collect();
    let camel = pascal[..1].to_lowercase() + &pascal[1..];
    vec![field.to_owned(), field.to_uppercase(), field.replace('_', "-"), field.replace('_', "."), camel, pascal]
}

/// Every way in which one name can hold a secret, as contents of events.
fn contents(name: &str, mint: &mut Mint) -> Vec<Value> {
    let text = |inner: &Value| Value::String(inner.to_string());
    let mut secret = || mint.next();
    let deep = (0..20).fold(json!({name: secret()}), |inner, n| if n % 2 == 0 { json!([inner]) } else { json!({"d": inner}) });
    let quoted = text(&json!({name: secret()}));
    let twice = text(&json!({"inner": text(&json!({"x": {name: secret()}}))}));
    vec![
        json!({"arguments": {name: secret(), "said": format!("{SAID} arguments")}}),
        json!({"before_state": {name: secret()}, "after_state": {name: secret(), "n": [{name: {"deep": [secret()]}}]}}),
        json!({"output": deep, "extra": {name: [secret(), {"x": secret()}]}}),
        json!({"result": quoted, "error": twice}),
        json!({"output": format!("a=b&{name}={}&c=d", secret())}),
        json!({"output": format!("see https://host/path?x=1&{name}={} for more", secret())}),
        json!({"output": format!("https://user:{}@host/", secret())}),
        json!({"messages": [{"role": "user", "content": [{"type": "text", "text": json!({name: secret()}).to_string()}]}]}),
        json!({"request": {"body": format!("{name}={}&a=b", secret()), "headers": {name: secret()}}}),
        json!({"response": {"body": {"list": [{name: secret()}]}, "headers": {"content-type": "application/json"}}}),
        json!({"response": {"body": json!({"filler": "f".repeat(11_000), name: secret()}).to_string()}}),
    ]
}

/// What is secret by its place: headers, and bare `key` and `value` at the top of states.
fn places(mint: &mut Mint) -> Vec<Value> {
    let headers = [
        "Authorization",
        "authorization",
        "Cookie",
        "Set-Cookie",
        "Proxy-Authorization",
        "x-api-key",
        "X-Api-Key",
        "x-amz-security-token",
        "X-Amz-Signature",
        "X-Amz-Credential",
    ];
    let mut contents: Vec<Value> = Vec::new();
    for name in headers {
        contents.push(json!({"request": {"headers": {name: format!("Bearer {}", mint.next())}}}));
        contents.push(json!({"response": {"headers": {name: [format!("a={}; Path=/", mint.next()), mint.next()]}}}));
    }
    for name in ["key", "value", "Key", "VALUE"] {
        contents.push(json!({"before_state": {name: mint.next()}, "after_state": {name: {"x": mint.next()}}}));
    }
    contents
}

/// An object with a secret in every text that a caller may set, in the forms in which the text holds one.
fn planted(members: &'static [Member], name: &str, mint: &mut Mint) -> Map<String, Value> {
    let mut object = Map::new();
    for member in members.iter().filter(|member| member.owner == Owner::Caller) {
        let value = match member.shape {
            Shape::Text(bytes_max) => text(name, bytes_max, mint).map(Value::String),
            Shape::Texts(_, bytes_max) => text(name, bytes_max, mint).map(|text| json!([text])),
            Shape::Object(members) => Some(Value::Object(planted(members, name, mint))),
            Shape::Objects(_, members) => Some(json!([planted(members, name, mint)])),
            Shape::Labels => Some(json!({name: mint.next(), "note": format!("see https://host/?{name}={}", mint.next())})),
            Shape::Choice(words) if member.required => Some(json!(words[0])),
            // What holds no text of anybody's own.
            Shape::Choice(_)
            | Shape::Action
            | Shape::Category
            | Shape::Uuid
            | Shape::Time
            | Shape::Integer(..)
            | Shape::Bool
            | Shape::Hex(_) => None,
        };
        if let Some(value) = value {
            object.insert(member.name.to_owned(), value);
        }
    }
    object
}

/// The longest text with secrets in it that fits; in three bytes none does.
fn text(name: &str, bytes_max: usize, mint: &mut Mint) -> Option<String> {
    let url = format!("https://u:{}@host/p?{name}={}&x=1#{name}={}", mint.next(), mint.next(), mint.next());
    let whole = format!("see {url} or {}", json!({name: mint.next()}));
    let texts = [whole, format!("{name}={}", mint.next()), format!("token={}", mint.next())];
    texts.into_iter().find(|text| text.len() <= bytes_max)
}

fn events(mint: &mut Mint) -> Vec<Value> {
    let mut events = Vec::new();
    let with = |content: Value| {
        let mut event = event("secret.handed_in");
        event["content"] = content;
        event
    };
    for field in FIELDS.iter() {
        for name in spellings(field) {
            events.extend(contents(&name, mint).into_iter().map(with));
            let mut envelope = Value::Object(planted(ENTRY, &name, mint));
            envelope["action"] = json!("secret.handed_in");
            envelope["outcome"] = json!("allow");
            events.push(envelope);
        }
    }
    let signed = ["X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token"];
    for name in signed {
        let mut envelope = event("secret.handed_in");
        envelope["http"] = json!({"url": format!("https://bucket.host/o?{name}={}", mint.next())});
        events.push(envelope);
    }
    events.extend(places(mint).into_iter().map(with));
    events
}

/// A name that is a secret's in one of three forms.
fn secret_name(form: u8, mint: &mut Mint) -> String {
    match form {
        0 => format!("https://u:{}@h/?token={}", mint.next(), mint.next()),
        1 => json!({"password": mint.next()}).to_string(),
        _ => format!("token={}&x=1", mint.next()),
    }
}

fn each_file(folder: &Path, see: &mut impl FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { each_file(&path, see) } else { see(&path, &std::fs::read(&path).expect("a file")) }
    }
}

fn find(bytes: &[u8], text: &str) -> Option<String> {
    let at = bytes.windows(text.len()).position(|window| window.eq_ignore_ascii_case(text.as_bytes()))?;
    Some(String::from_utf8_lossy(&bytes[at.saturating_sub(80)..(at + 30).min(bytes.len())]).into_owned())
}

/// Each event by another way, and each way with every sort of event.
fn hand_in(house: &House, events: &[Value]) {
    let ways = |way: usize, chunk: &[Value]| {
        let array = json!(chunk).to_string().into_bytes();
        let lines: String = chunk.iter().map(|event| event.to_string() + "\n").collect();
        let (content_type, coding, body) = match way % 5 {
            0 => ("application/json", "identity", array),
            1 => ("application/x-ndjson", "identity", lines.into_bytes()),
            2 => ("application/json", "gzip", gzip(&array)),
            3 => ("application/x-ndjson", "gzip", gzip(lines.as_bytes())),
            _ => ("application/x-ndjson", "zstd", zstd(lines.as_bytes())),
        };
        house.ask("POST", EVENTS).header("content-type", content_type).header("content-encoding", coding).body(body).send().is(201);
    };
    for (n, chunk) in events.chunks(101).enumerate() {
        ways(n, chunk);
    }
    for event in events.iter().step_by(37) {
        house.post(EVENTS, &event).send().is(201);
    }
}

#[test]
fn no_secret_is_in_any_file_or_any_opened_content() {
    let mut house = House::start();
    let mut mint = Mint::default();
    let events = events(&mut mint);
    assert!(mint.0 > 1_500);
    hand_in(&house, &events);
    // A reader may have a secret in its questions.
    for field in FIELDS.iter() {
        let question = format!("https://host/?{field}={}", mint.next());
        let filter = format!("reason co \"{question}\" or context.{field} eq \"{}\"", mint.next());
        let path = format!("{EVENTS}?purpose={}&filter={}", encode(&question), encode(&filter));
        house.get(&path).header("user-agent", &question).send().is(200);
        house.get(&format!("{EVENTS}?{field}={}", mint.next())).send().problem(400, "invalid-query");
    }
    // A conflict and a refusal carry secrets too.
    let mut refused = events[0].clone();
    refused["colour"] = json!(mint.next());
    house.post(EVENTS, &refused).send().problem(422, "invalid-event");
    // So may the names of members, which a refusal tells.
    for form in 0..3 {
        let name = secret_name(form, &mut mint);
        for member in [json!({&name: 1}), json!({"context": {&name: 1}}), json!({"content": {&name: 1}}), json!({"actor": {&name: {}}})] {
            let mut refused = event("secret.refused");
            refused.as_object_mut().expect("an object").extend(member.as_object().expect("an object").clone());
            let answer = house.post(EVENTS, &refused).send();
            answer.problem(422, "invalid-event");
            assert_eq!(find(&answer.body, MARK), None, "in a refusal");
        }
    }
    // Everything that can be read.
    let (mut opened, mut said) = (0, 0);
    let mut after = String::new();
    loop {
        let path =
            format!("{EVENTS}?order=asc&limit=200&include=content&purpose=test{after}&filter={}", encode("action eq \"secret.handed_in\""));
        let answer = house.get(&path).send();
        assert_eq!(find(&answer.body, MARK), None, "in an answer");
        said += answer.text().matches(SAID).count();
        let page = answer.is(200);
        let data = page["data"].as_array().expect("data");
        opened += data.iter().filter(|event| event.get("content").is_some()).count();
        if data.is_empty() {
            break;
        }
        after = format!("&after_sequence={}", page["next_after_sequence"]);
    }
    assert!(opened > events.len() / 2, "{opened}");
    assert!(said >= FIELDS.len() * 6, "what is no secret is there: {said}");
    each_file(&house.data(), &mut |path, bytes| {
        assert_eq!(find(bytes, MARK), None, "while running, {}", path.display());
        assert_eq!(find(bytes, SAID), None, "content is readable in {}", path.display());
    });
    house.close();
    let mut files = Vec::new();
    each_file(&house.data(), &mut |path, bytes| {
        assert_eq!(find(bytes, MARK), None, "after closing, {}", path.display());
        assert_eq!(find(bytes, SAID), None, "content is readable in {}", path.display());
        files.push((path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(), bytes.len()));
    });
    assert!(files.iter().any(|(name, bytes)| name == "ledger.db" && *bytes > 100_000), "{files:?}");
}

/// Resources are documents that lie in the ledger readable.
#[test]
fn a_secret_in_the_name_of_a_resource_is_refused_and_in_no_file() {
    let mut house = House::start();
    let mut mint = Mint::default();
    let mut names = |form: u8| secret_name(form, &mut mint);
    for form in 0..3 {
        for (path, body) in [
            ("/v1/organizations", json!({"name": names(form)})),
            ("/v1/projects", json!({"name": names(form)})),
            ("/v1/api_keys", json!({"name": names(form), "scopes": ["audit:read"]})),
        ] {
            let answer = house.post(path, &body).key(&house.instance).send();
            answer.problem(422, "invalid-resource");
            assert_eq!(find(&answer.body, MARK), None, "{}", answer.text());
        }
    }
    house.close();
    each_file(&house.data(), &mut |path, bytes| assert_eq!(find(bytes, MARK), None, "{}", path.display()));
}

#[test]
fn what_was_said_is_opened_whole_and_in_no_file() {
    let mut house = House::start();
    let mut said = event("plain.said");
    said["content"] = json!({
        "messages": [{"role": "user", "content": format!("{SAID} one, with an umlaut: ä")}],
        "before_state": {"note": format!("{SAID} two")}, "after_state": {"note": format!("{SAID} three")},
        "request": {"headers": {"accept": format!("{SAID}/four")}},
    });
    let id = house.post(EVENTS, &said).send().is(201)["id"].as_str().expect("an id").to_owned();
    let opened = house.get(&format!("{EVENTS}/{id}?include=content&purpose=test")).send().is(200);
    assert_eq!(opened["content"]["messages"], said["content"]["messages"]);
    assert_eq!(opened["content"]["after_state"], said["content"]["after_state"]);
    house.close();
    each_file(&house.data(), &mut |path, bytes| assert_eq!(find(bytes, SAID), None, "{}", path.display()));
}
