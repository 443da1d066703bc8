//! AWS CloudTrail records (<https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>).
//!
//! The id is made of the whole record, whatever its order and white space: so a record that CloudTrail delivers twice is one event,
//! and records that share an `eventID` and differ are several. Tools that imitate CloudTrail give many records one. Names are
//! also found in lower case, as some log pipelines write them, and `eventTime` with a space.

use indelible_core::event::derived_id;
use indelible_core::fault::Fault;
use indelible_core::json::{Object, Value};

use super::compose::{Composer, at, instant, name, snake, text, text_at, text_of, told, word};
use super::{Mapper, invalid};

/// The mapping of CloudTrail records.
pub struct CloudTrail;

impl Mapper for CloudTrail {
    fn record<'a>(&mut self, record: Value<'a>, _number: u64) -> Result<Vec<Value<'a>>, Fault> {
        Ok(vec![map(record)?])
    }
}

fn map(record: Value<'_>) -> Result<Value<'_>, Fault> {
    if record.as_object().is_none() {
        return Err(invalid("", "a CloudTrail record is an object"));
    }
    let event_name = text_of(field(&record, "eventName")).ok_or_else(|| invalid("/eventName", "a CloudTrail record has an eventName"))?;
    let source = told(text_of(field(&record, "eventSource")).unwrap_or("aws")).into_owned();
    let service = snake(source.split('.').next().unwrap_or(&source));
    let id = derived_id("cloudtrail record", &[&record.to_canonical()]);
    let mut event = Composer::new(id, format!("{service}.{}", snake(event_name)));
    // Logstash moves the time into a field of its own.
    if let Some(time) = text_of(field(&record, "eventTime").or_else(|| record.get("@timestamp"))) {
        let time = instant(time).ok_or_else(|| invalid("/eventTime", "a time of RFC 3339 was expected"))?;
        event.put("occurred_at", Some(Value::string(time.to_string())));
    }
    identity(&mut event, &record);
    outcome(&mut event, &record);
    resource(&mut event, &record);
    event
        .put_in("request", "request_id", name(text_of(field(&record, "requestID"))))
        .put_in("request", "source_ip", name(text_of(field(&record, "sourceIPAddress"))))
        .put_in("request", "user_agent", text(text_of(field(&record, "userAgent"))));
    let from_console = text_of(field(&record, "sessionCredentialFromConsole")) == Some("true")
        || matches!(field(&record, "sessionCredentialFromConsole"), Some(Value::Bool(true)));
    event.put("channel", word(if from_console { "console" } else { "api" }));
    context(&mut event, &record, event_name, &source);
    content(&mut event, record);
    Ok(event.finish())
}

/// A member by its name, or by the same in lower case.
fn field<'v, 'a>(record: &'v Value<'a>, name: &str) -> Option<&'v Value<'a>> {
    record.get(name).or_else(|| record.get(&name.to_ascii_lowercase()))
}

/// Who did it, with whose authority, and on whose behalf.
fn identity(event: &mut Composer<'_>, record: &Value<'_>) {
    let nobody = Value::Object(Object::new());
    let identity = field(record, "userIdentity").unwrap_or(&nobody);
    let get = |path: &[&str]| text_at(identity, path);
    let arn = get(&["arn"]);
    let issuer = get(&["sessionContext", "sessionIssuer", "arn"]);
    let who = arn.or(get(&["principalId"])).or(get(&["userName"]));
    let service = get(&["invokedBy"]).or(text_of(field(record, "sourceIPAddress")).filter(|source| source.ends_with(".amazonaws.com")));
    let (actor_type, id) = match get(&["type"]) {
        Some("IAMUser" | "Root" | "FederatedUser" | "SAMLUser" | "WebIdentityUser" | "IdentityCenterUser" | "Directory") => ("human", who),
        Some("AssumedRole" | "Role" | "AWSAccount" | "Unknown") => ("service_account", who.or(get(&["accountId"]))),
        Some("AWSService") => ("system", service),
        _ if who.is_some() => ("service_account", who),
        _ => ("system", service.or(get(&["accountId"]))),
    };
    let id = id.unwrap_or("unknown");
    let session = arn.filter(|_| issuer.is_some()).map(told);
    let session = session.as_deref().and_then(|arn| arn.rsplit('/').next());
    event
        .put_in("actor", "type", word(actor_type))
        .put_in("actor", "id", name(Some(id)))
        .put_in("actor", "display", text(get(&["userName"]).or(session)))
        .put_in("actor", "on_behalf_of", name(issuer));
    let (principal_type, principal) = match actor_type {
        "human" => ("user", Some(id)),
        _ => ("system", issuer.or(arn).or(Some(id))),
    };
    event.put_in("principal", "type", word(principal_type)).put_in("principal", "id", name(principal));
    let mfa = get(&["sessionContext", "attributes", "mfaAuthenticated"]) == Some("true");
    let method = match get(&["accessKeyId"]) {
        Some(_) if mfa => Some("access_key_mfa"),
        Some(_) => Some("access_key"),
        None => None,
    };
    event.put_in("request", "auth_method", method.and_then(word)).label("invoked_by", get(&["invokedBy"]));
}

fn outcome(event: &mut Composer<'_>, record: &Value<'_>) {
    let code = text_of(field(record, "errorCode"));
    let refused = ["AccessDenied", "Unauthorized", "NotAuthorized", "Forbidden", "AuthFailure", "Failed authentication"];
    let signed_in = text_at(record, &["responseElements", "ConsoleLogin"]);
    let (outcome, detail) = match code {
        Some(code) if refused.iter().any(|word| code.contains(word)) => ("deny", "policy_denial"),
        Some(code) if code.contains("Timeout") => ("error", "timeout"),
        Some(code) if code.contains("DryRunOperation") => ("allow", "no_op"),
        Some(_) => ("error", "provider_error"),
        None if signed_in == Some("Failure") => ("deny", "policy_denial"),
        None => ("allow", "success"),
    };
    let message = text_of(field(record, "errorMessage")).or(code);
    event.put("outcome", word(outcome)).put("outcome_detail", word(detail)).put("reason", text(message));
    event.label("error_code", code);
}

/// Request parameters that name what a call is about, the narrowest first: (parameter, sort of resource).
const PARAMETERS: &[(&str, &str)] = &[
    ("secretId", "secret"),
    ("bucketName", "bucket"),
    ("functionName", "function"),
    ("instanceId", "instance"),
    ("dBInstanceIdentifier", "db_instance"),
    ("dBSnapshotIdentifier", "db_snapshot"),
    ("accessKeyId", "access_key"),
    ("userName", "user"),
    ("roleName", "role"),
    ("roleArn", "role"),
    ("groupName", "group"),
    ("instanceProfileName", "instance_profile"),
    ("policyArn", "policy"),
    ("policyName", "policy"),
    ("keyId", "key"),
    ("tableName", "table"),
    ("groupId", "security_group"),
    ("snapshotId", "snapshot"),
    ("volumeId", "volume"),
    ("imageId", "image"),
    ("routeTableId", "route_table"),
    ("subnetId", "subnet"),
    ("vpcId", "vpc"),
    ("topicArn", "topic"),
    ("queueUrl", "queue"),
    ("trailName", "trail"),
    ("repositoryName", "repository"),
    ("clusterName", "cluster"),
    ("resourceArn", "resource"),
    ("resourceId", "resource"),
    ("name", "resource"),
];

/// What it was done to: the first of `resources`, the second being what it is part of; otherwise what the request names.
fn resource(event: &mut Composer<'_>, record: &Value<'_>) {
    let listed = field(record, "resources").and_then(Value::as_array).unwrap_or_default();
    let arn = |item: Option<&Value<'_>>| item.and_then(|item| text_at(item, &["ARN"]).or(text_at(item, &["arn"]))).map(str::to_owned);
    if let Some(id) = arn(listed.first()) {
        let sort = text_at(&listed[0], &["type"]).unwrap_or("resource");
        event.put_in("resource", "type", name(Some(sort))).put_in("resource", "id", name(Some(&id))).put_in(
            "resource",
            "parent",
            name(arn(listed.get(1)).as_deref()),
        );
        return;
    }
    let Some(request) = field(record, "requestParameters") else { return };
    if let (Some(bucket), Some(key)) = (text_at(request, &["bucketName"]), text_at(request, &["key"])) {
        event
            .put_in("resource", "type", word("object"))
            .put_in("resource", "id", name(Some(&format!("{}/{}", told(bucket), told(key)))))
            .put_in("resource", "parent", name(Some(bucket)));
        return;
    }
    let named = PARAMETERS.iter().find_map(|(parameter, sort)| Some((*sort, text_at(request, &[parameter])?)));
    let first_instance = || {
        let items = at(request, &["instancesSet", "items"])?.as_array()?;
        Some(("instance", text_at(items.first()?, &["instanceId"])?))
    };
    if let Some((sort, id)) = named.or_else(first_instance) {
        event.put_in("resource", "type", word(sort)).put_in("resource", "id", name(Some(id)));
    }
}

fn context(event: &mut Composer<'_>, record: &Value<'_>, event_name: &str, source: &str) {
    let get = |name: &str| text_of(field(record, name));
    let read_only = match field(record, "readOnly") {
        Some(Value::Bool(true)) => Some("true"),
        Some(Value::Bool(false)) => Some("false"),
        other => text_of(other),
    };
    event
        .label("source", Some("cloudtrail"))
        .label("event_name", Some(event_name))
        .label("event_source", Some(source))
        .label("event_id", get("eventID"))
        .label("event_type", get("eventType"))
        .label("event_category", get("eventCategory"))
        .label("aws_region", get("awsRegion"))
        .label("account_id", get("recipientAccountId").or(text_at(record, &["userIdentity", "accountId"])))
        .label("read_only", read_only)
        .label("identity_type", text_at(record, &["userIdentity", "type"]))
        .label("principal_id", text_at(record, &["userIdentity", "principalId"]))
        .label("vpc_endpoint_id", get("vpcEndpointId"))
        .label("shared_event_id", get("sharedEventID"));
}

/// Parameters and response by name, and everything else of the record beside them.
fn content<'a>(event: &mut Composer<'a>, record: Value<'a>) {
    let Value::Object(mut record) = record else { return };
    let mut take = |name: &str| record.remove(name).or_else(|| record.remove(&name.to_ascii_lowercase()));
    event.content("arguments", take("requestParameters")).content("result", take("responseElements"));
    let code = record.get("errorCode").or_else(|| record.get("errorcode")).cloned();
    if let Some(code) = code {
        let mut error = Object::new();
        error.insert("code", code);
        if let Some(message) = record.get("errorMessage").or_else(|| record.get("errormessage")).cloned() {
            error.insert("message", message);
        }
        event.content("error", Some(Value::Object(error)));
    }
    event.content("extra", Some(Value::Object(record)));
}

#[cfg(test)]
mod tests {
    use super::super::Mapper;
    use super::*;
    use indelible_core::json::parse;

    fn mapped(text: &str) -> Result<Value<'_>, Fault> {
        let mut made = CloudTrail.record(parse(text.as_bytes()).expect("JSON"), 0)?;
        Ok(made.remove(0))
    }

    /// An identity, the rest of a record, and the members that are to come of them; empty for none.
    type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

    const USER: &str = r#"{"type":"IAMUser","principalId":"AIDA1","arn":"arn:aws:iam::123837392027:user/bert-jan","accountId":"123837392027","accessKeyId":"AKIA1","userName":"bert-jan"}"#;
    const ROLE: &str = r#"{"type":"AssumedRole","principalId":"AROA1:s1","arn":"arn:aws:sts::123837392027:assumed-role/r/s1","sessionContext":{"sessionIssuer":{"type":"Role","arn":"arn:aws:iam::123837392027:role/r"},"attributes":{"mfaAuthenticated":"true"}},"accessKeyId":"ASIA1"}"#;

    /// Records of invictus-ir/aws_dataset (MIT, see `demo/SOURCES.md`), cut down to what each is about.
    const CASES: &[Case] = &[
        (
            USER,
            r#""eventName":"AssumeRole","eventSource":"sts.amazonaws.com","errorCode":"AccessDenied","errorMessage":"no","requestParameters":null"#,
            &[
                ("action", "sts.assume_role"),
                ("actor.type", "human"),
                ("actor.id", "arn:aws:iam::123837392027:user/bert-jan"),
                ("actor.display", "bert-jan"),
                ("actor.on_behalf_of", ""),
                ("principal.type", "user"),
                ("outcome", "deny"),
                ("outcome_detail", "policy_denial"),
                ("reason", "no"),
                ("context.error_code", "AccessDenied"),
                ("content.error.code", "AccessDenied"),
                ("content.arguments", ""),
                ("request.auth_method", "access_key"),
            ],
        ),
        (
            ROLE,
            r#""eventName":"GetPasswordData","eventSource":"ec2.amazonaws.com","errorCode":"Client.UnauthorizedOperation","requestParameters":{"instanceId":"i-1"}"#,
            &[
                ("actor.type", "service_account"),
                ("actor.id", "arn:aws:sts::123837392027:assumed-role/r/s1"),
                ("actor.display", "s1"),
                ("actor.on_behalf_of", "arn:aws:iam::123837392027:role/r"),
                ("principal.type", "system"),
                ("principal.id", "arn:aws:iam::123837392027:role/r"),
                ("outcome", "deny"),
                ("reason", "Client.UnauthorizedOperation"),
                ("resource.type", "instance"),
                ("resource.id", "i-1"),
                ("content.arguments.instanceId", "i-1"),
                ("request.auth_method", "access_key_mfa"),
            ],
        ),
        (
            r#"{"type":"AWSService","invokedBy":"cloudtrail.amazonaws.com"}"#,
            r#""eventName":"PutObject","eventSource":"s3.amazonaws.com","eventTime":"2023-07-10T11:54:47Z","requestParameters":{"bucketName":"b","key":"k/1"},"requestID":"","userAgent":"a""#,
            &[
                ("action", "s3.put_object"),
                ("occurred_at", "2023-07-10T11:54:47.000000Z"),
                ("actor.type", "system"),
                ("actor.id", "cloudtrail.amazonaws.com"),
                ("principal.id", "cloudtrail.amazonaws.com"),
                ("outcome", "allow"),
                ("outcome_detail", "success"),
                ("resource.type", "object"),
                ("resource.id", "b/k/1"),
                ("resource.parent", "b"),
                ("request.request_id", ""),
                ("request.user_agent", "a"),
                ("context.invoked_by", "cloudtrail.amazonaws.com"),
            ],
        ),
        (
            r#"{"accountId":"123837392027","invokedBy":"ec2.amazonaws.com"}"#,
            r#""eventName":"SharedSnapshotVolumeCreated","eventSource":"ec2.amazonaws.com","resources":[{"type":"AWS::S3::Object","ARN":"arn:o"},{"type":"AWS::S3::Bucket","ARN":"arn:b"}]"#,
            &[("actor.type", "system"), ("actor.id", "ec2.amazonaws.com"), ("resource.id", "arn:o"), ("resource.parent", "arn:b")],
        ),
        (
            r#"{"type":"Root","arn":"arn:aws:iam::1:root"}"#,
            r#""eventName":"ConsoleLogin","eventSource":"signin.amazonaws.com","errorCode":"ThrottlingException","sessionCredentialFromConsole":"true","responseElements":{"ConsoleLogin":"Failure"}"#,
            &[("action", "signin.console_login"), ("outcome", "error"), ("outcome_detail", "provider_error"), ("channel", "console")],
        ),
        (
            "null",
            r#""eventName":"ConsoleLogin","eventSource":"signin.amazonaws.com","responseElements":{"ConsoleLogin":"Failure"}"#,
            &[("outcome", "deny"), ("actor.type", "system"), ("actor.id", "unknown"), ("content.result.ConsoleLogin", "Failure")],
        ),
    ];

    #[test]
    fn members_come_from_where_the_page_says() {
        for (identity, rest, expected) in CASES {
            let text = format!("{{\"userIdentity\":{identity},\"eventID\":\"e\",{rest}}}");
            let made = mapped(&text).expect(&text);
            for (path, value) in *expected {
                let path: Vec<&str> = path.split('.').collect();
                assert_eq!(text_at(&made, &path).unwrap_or_default(), *value, "{path:?} of {text}");
            }
        }
    }

    #[test]
    fn the_same_record_gets_the_same_id_and_no_other_does() {
        let id = |rest: &str| {
            let text = format!("{{\"eventName\":\"A\",{rest}}}");
            text_at(&mapped(&text).expect("maps"), &["id"]).expect("an id").to_owned()
        };
        let first = id(r#""eventID":"e","recipientAccountId":"1","n":1.0"#);
        assert_eq!(first, id("\"recipientAccountId\" : \"\\u0031\",\n\"n\":1.0, \"eventID\":\"e\""));
        assert_ne!(first, id(r#""eventID":"e","recipientAccountId":"2","n":1.0"#));
        assert_ne!(first, id(r#""eventID":"e","recipientAccountId":"1","n":2.0"#), "an id that two records have");
        assert_ne!(id(r#""eventSource":"a""#), id(r#""eventSource":"b""#));
    }

    #[test]
    fn records_that_lack_what_is_needed_are_refused_with_the_place() {
        for (text, pointer) in [("[]", ""), ("{}", "/eventName"), (r#"{"eventName":"A","eventTime":"noon"}"#, "/eventTime")] {
            assert_eq!(mapped(text).expect_err(text).pointer, pointer);
        }
    }
}
