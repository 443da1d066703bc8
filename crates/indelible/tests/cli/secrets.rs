//! A secret in a log that is imported, or in what is appended, is in no file of the data folder, in no opened content, and in
//! nothing that the command prints: whatever record it stands in, wherever in the record, as value and as name.

use std::path::Path;

use serde_json::{Value, json};

use super::program::{Folder, Ran, run_with};

/// Every secret begins so.
const MARK: &str = "zQ7sEcReT";
/// Every text that is none begins so.
const SAID: &str = "xSaIdAlOuD";

/// Records of every format: format and lines. `@@` stands for a number that tells records apart.
const RECORDS: &[(&str, &[&str])] = &[
    (
        "cloudtrail",
        &[
            r#"{"eventVersion":"1.08","eventID":"e@@","eventName":"PutParameter","eventSource":"ssm.amazonaws.com","eventTime":"2024-05-01T10:00:00Z","awsRegion":"eu-1","sourceIPAddress":"10.0.0.1","userAgent":"agent/1","recipientAccountId":"1","errorCode":"AccessDenied","errorMessage":"refused","requestID":"r","userIdentity":{"type":"AssumedRole","principalId":"AROA:s","arn":"arn:aws:sts::1:assumed-role/r/s","accessKeyId":"ASIA1","userName":"u","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::1:role/r"}}},"requestParameters":{"name":"xSaIdAlOuD","bucketName":"b","key":"k"},"responseElements":{"list":[{"x":"y"}]},"resources":[]}"#,
        ],
    ),
    (
        "kubernetes",
        &[
            r#"{"kind":"Event","verb":"create","auditID":"a@@","stage":"ResponseComplete","level":"RequestResponse","requestURI":"/api/v1/namespaces/n/secrets","user":{"username":"dev@example.com","uid":"1","groups":["g","h"]},"impersonatedUser":{"username":"other"},"objectRef":{"resource":"secrets","namespace":"n","name":"s","apiGroup":"g"},"responseStatus":{"code":403,"message":"no","reason":"Forbidden"},"sourceIPs":["10.0.0.1"],"userAgent":"agent/1","requestObject":{"said":"xSaIdAlOuD","stringData":{"a":"b"}},"responseObject":{"list":[{"x":"y"}]},"annotations":{"authorization.k8s.io/decision":"forbid","authorization.k8s.io/reason":"rule"}}"#,
        ],
    ),
    (
        "kubernetes",
        &[
            r#"{"insertId":"i@@","timestamp":"2024-05-01T10:00:00Z","logName":"l","resource":{"labels":{"cluster_name":"c","project_id":"p"}},"protoPayload":{"methodName":"io.k8s.core.v1.secrets.create","resourceName":"core/v1/secrets/s","serviceName":"k8s.io","authenticationInfo":{"principalEmail":"dev@example.com"},"authorizationInfo":[{"granted":false,"permission":"x"}],"requestMetadata":{"callerIp":"10.0.0.1","callerSuppliedUserAgent":"agent/1"},"status":{"code":7,"message":"no"},"request":{"said":"xSaIdAlOuD","a":"b"},"response":{"x":"y"}}}"#,
        ],
    ),
    (
        "kubernetes",
        &[
            r#"{"properties":{"log":{"verb":"get","auditID":"z@@","stage":"Panic","user":{"username":"system:admin"},"requestURI":"/x","requestObject":{"said":"xSaIdAlOuD","a":"b"}}},"category":"kube-audit"}"#,
        ],
    ),
    (
        "trajectories",
        &[
            r#"{"task_id":"@@","trial":0,"reward":1.0,"info":{"task":{"user_id":"mia","instruction":"do"}},"traj":[{"role":"system","content":"xSaIdAlOuD"},{"role":"assistant","content":"a","tool_calls":[{"id":"c","function":{"name":"first","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"c","name":"first","content":"Error: none"}]}"#,
        ],
    ),
    (
        "trajectories",
        &[
            r#"{"run":"1_SWE-agent_m","instance_id":"x-@@","environment":"swe_main","trajectory":[{"thought":"t","action":"find_file X","observation":"xSaIdAlOuD","response":"r","state":"{\"working_dir\":\"/x\"}"},{"thought":"t","action":"","observation":"o","response":"r","state":"{}"}],"history":[{"role":"system","content":"s"}],"info":{"exit_status":"other","submission":"diff","model_stats":{"instance_cost":3.08}}}"#,
        ],
    ),
    (
        "trajectories",
        &[
            r#"{"type":"session","id":"s-@@","timestamp":"2025-12-08T22:00:00Z","cwd":"/x","provider":"p","modelId":"m"}"#,
            r#"{"type":"message","timestamp":"2025-12-08T22:00:01Z","message":{"role":"user","content":[{"type":"text","text":"xSaIdAlOuD"}]}}"#,
            r#"{"type":"message","timestamp":"2025-12-08T22:00:02Z","message":{"role":"assistant","model":"m","stopReason":"error","errorMessage":"e","content":[{"type":"toolCall","id":"c","name":"bash","arguments":{"command":"ls"}}]}}"#,
            r#"{"type":"message","timestamp":"2025-12-08T22:00:03Z","message":{"role":"toolResult","toolCallId":"c","toolName":"bash","isError":true,"content":[{"type":"text","text":"none"}],"details":{"a":"b"}}}"#,
            r#"{"type":"message","timestamp":"2025-12-08T22:00:04Z","message":{"role":"bashExecution","command":"ls","output":"o","exitCode":2}}"#,
            r#"{"type":"compaction","timestamp":"2025-12-08T22:00:05Z","summary":"s"}"#,
            r#"{"type":"branchSummary","timestamp":"2025-12-08T22:00:06Z","summary":"s"}"#,
        ],
    ),
    (
        "trajectories",
        &[
            r#"{"spans":[{"name":"invoke","context":{"trace_id":"1@@","span_id":"7"},"parent":null,"start_time":1000000,"end_time":9000000,"status":{"status_code":"ERROR","description":"d"},"attributes":{"gen_ai.operation.name":"invoke_agent","gen_ai.agent.name":"a","gen_ai.request.model":"p/m","any_agent.version":"1"}},{"name":"call","context":{"trace_id":"1@@","span_id":"8"},"parent":{"span_id":"7"},"start_time":2000000,"end_time":3000000,"status":{"status_code":"OK"},"attributes":{"gen_ai.operation.name":"call_llm","gen_ai.request.model":"p/m","gen_ai.input.messages":"[{\"role\":\"user\",\"content\":\"xSaIdAlOuD\"}]","gen_ai.output":"o"}},{"name":"tool","context":{"trace_id":"1@@","span_id":"9"},"parent":{"span_id":"7"},"start_time":4000000,"end_time":5000000,"status":{"status_code":"OK"},"attributes":{"gen_ai.operation.name":"execute_tool","gen_ai.tool.name":"t","gen_ai.tool.args":"{}","gen_ai.output":"o"}},{"name":"other","context":{"trace_id":"1@@","span_id":"10"},"parent":{"span_id":"7"},"start_time":4000000,"end_time":5000000,"status":{"status_code":"OK"},"attributes":{}},{"name":"sub","context":{"trace_id":"1@@","span_id":"11"},"parent":{"span_id":"7"},"start_time":6000000,"end_time":7000000,"status":{"status_code":"OK"},"attributes":{"gen_ai.operation.name":"invoke_agent"}}],"final_output":"f"}"#,
        ],
    ),
    ("ndjson", &[SUBMISSION]),
];

const SUBMISSION: &str = r#"{"action":"secret.test","outcome":"allow","reason":"r","actor":{"type":"agent","id":"a@@","display":"d","on_behalf_of":"o","chain":[{"type":"human","id":"h","display":"d"}]},"context":{"tool":"t"},"http":{"url":"/x"},"provisioning":{"path":"scim","sync_run_id":"s"},"resource":{"type":"t","id":"i","parent":"p"},"run":{"id":"r","thread_id":"t","procedure_id":"p"},"decision":{"decision":"allow","rules":["r"]},"subjects":["s"],"content":{"before_state":{"a":"b"},"after_state":{"a":"c"},"arguments":{"said":"xSaIdAlOuD","list":[{"x":"y"}]},"messages":[{"role":"user","content":"m"}],"request":{"headers":{"accept":"x"},"body":"b"},"output":"o"}}"#;

/// Secrets that are all different, so that one that is left can be named.
#[derive(Default)]
struct Mint(usize);

impl Mint {
    fn next(&mut self) -> String {
        self.0 += 1;
        format!("{MARK}{:05}", self.0)
    }

    /// The forms in which a text holds a secret. The last is longer than any member that is cut, wherever that is.
    fn texts(&mut self) -> [String; 4] {
        let mut next = || self.next();
        [
            format!("see https://u:{}@host/p?token={} or {}", next(), next(), json!({"password": next()})),
            format!("token={}&a=1", next()),
            format!("https://u:{}@host", next()),
            format!("https://u:{}@host/", (0..250).map(|_| next()).collect::<String>()),
        ]
    }
}

/// Each line with a secret in one of its places, each of its texts and each of its objects in turn.
fn planted(line: &str, mint: &mut Mint) -> Vec<String> {
    fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.push(at.to_owned());
                members
                    .iter()
                    .for_each(|(name, value)| pointers(value, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found));
            }
            Value::Array(items) => items.iter().enumerate().for_each(|(n, item)| pointers(item, &format!("{at}/{n}"), found)),
            Value::String(_) => found.push(at.to_owned()),
            _ => {}
        }
    }
    let record: Value = serde_json::from_str(line).expect("JSON");
    let (mut places, mut lines) = (Vec::new(), Vec::new());
    pointers(&record, "", &mut places);
    for place in places {
        let mut with = |change: &mut dyn FnMut(&mut Value)| {
            let mut record = record.clone();
            change(record.pointer_mut(&place).expect("a place"));
            lines.push(record.to_string());
        };
        if record.pointer(&place).is_some_and(Value::is_object) {
            for name in ["password", "apiKey"] {
                with(&mut |object| object[name] = json!(mint.next()));
            }
            mint.texts().into_iter().for_each(|name| with(&mut |object| object[&name] = json!("x")));
        } else {
            mint.texts().into_iter().for_each(|planted| with(&mut |text| *text = json!(planted)));
        }
    }
    lines
}

/// Files of records, each with a secret in one place, and how they are called.
fn files(folder: &Folder, records: &[&str], mint: &mut Mint) -> Vec<String> {
    let mut files = Vec::new();
    for (n, line) in records.iter().enumerate() {
        for planted in planted(line, mint) {
            let number = files.len().to_string();
            let lines: Vec<&str> = (0..records.len()).map(|other| if other == n { planted.as_str() } else { records[other] }).collect();
            files.push(folder.file(&format!("{number}.json"), lines.join("\n").replace("@@", &number)));
        }
    }
    files
}

fn find(text: &[u8]) -> Option<String> {
    let at = text.windows(MARK.len()).position(|window| window.eq_ignore_ascii_case(MARK.as_bytes()))?;
    Some(String::from_utf8_lossy(&text[at.saturating_sub(120)..(at + 40).min(text.len())]).into_owned())
}

fn each_file(folder: &Path, see: &mut impl FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { each_file(&path, see) } else { see(&path, &std::fs::read(&path).expect("a file")) }
    }
}

fn with(folder: &Folder, arguments: &[&str], input: &str) -> Ran {
    let target = folder.target();
    let all: Vec<&str> = arguments.iter().copied().chain(target.iter().map(String::as_str)).collect();
    let ran = run_with(&all, input.as_bytes());
    assert_eq!((find(ran.out.as_bytes()), find(ran.err.as_bytes())), (None, None), "printed by {}", arguments[0]);
    ran
}

/// That no secret is in a file or a content, and that what is none is there to be opened.
fn check(folder: &Folder, what: &str) {
    let opened = with(folder, &["events", "--all", "--json", "--content", "--purpose", "test"], "").ok();
    assert!(opened.out.matches(SAID).count() > 20, "{what}: what is no secret is there");
    each_file(&folder.path(), &mut |path, bytes| {
        assert_eq!(find(bytes), None, "{what}: {}", path.display());
        assert!(!bytes.windows(SAID.len()).any(|window| window == SAID.as_bytes()), "{what}: content is readable in {}", path.display());
    });
}

#[test]
fn a_secret_in_an_imported_record_is_in_no_file_and_nothing_that_is_printed() {
    for (format, records) in RECORDS {
        let (folder, mut mint) = (Folder::new(), Mint::default());
        let files = files(&folder, records, &mut mint);
        let what = format!("{format}: {}", &records[0][..40]);
        let names: Vec<&str> = files.iter().map(String::as_str).collect();
        let summary = with(&folder, &[&["import", format, "--json"], &names[..]].concat(), "").json();
        with(&folder, &[&["import", format], &names[..]].concat(), "");
        let good = summary[0]["files"].as_array().expect("files").iter().filter(|file| file["rejected"] == 0).count();
        assert!(good * 4 > files.len(), "{what}: {good} of {} files went in", files.len());
        check(&folder, &what);
    }
}

#[test]
fn a_secret_in_what_is_appended_is_in_no_file_and_nothing_that_is_printed() {
    let (folder, mut mint) = (Folder::new(), Mint::default());
    let files = files(&folder, &[SUBMISSION], &mut mint);
    let names: Vec<&str> = files.iter().map(String::as_str).collect();
    // Of another project's making, to tell which are events.
    let judge = Folder::new();
    let judged = with(&judge, &[&["import", "ndjson", "--json"], &names[..]].concat(), "").json();
    let (good, bad): (Vec<_>, Vec<_>) = judged[0]["files"].as_array().expect("files").iter().partition(|file| file["rejected"] == json!(0));
    let batch = |files: &[&Value]| {
        let read = |file: &&Value| std::fs::read_to_string(file["file"].as_str().expect("a name")).expect("reads");
        files.iter().map(read).collect::<Vec<_>>().join("\n")
    };
    with(&folder, &["append"], &batch(&good)).ok();
    // Refused for all of them, and each alone for its own.
    assert_eq!(with(&folder, &["append"], &batch(&bad)).code, 1);
    for file in bad.iter().step_by(7) {
        assert_eq!(with(&folder, &["append"], &batch(&[*file])).code, 1);
    }
    check(&folder, "append");
}
