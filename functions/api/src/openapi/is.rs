//! What single values look like, as components of the document: the patterns and limits by which the code takes them. The
//! limits are the code's own; a pattern says its rule once more, and `functions/api/tests/edges.rs` holds the two together.

use std::str::FromStr;

use domain::{InvalidId, MAX_TAGS, Metric};
use serde_json::{Value, json};

use crate::discovery;
use crate::headers::MAX_KEY;
use crate::launch::format as ec2;
use crate::launch::{MAX_ALTERNATIVES, MAX_SECURITY_GROUPS, ROOT_VOLUME};
use crate::problem::{Kind, NAMESPACE};
use crate::routes::commands::{self, MAX_NAMED, MAX_WORKERS, PATTERN};
use crate::routes::{history, read};

const UUID: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";

/// Types that stand for a component where the code has a plain text or number.
macro_rules! components {
    ($($name:ident: $schema:expr;)+) => {
        $(
            pub(crate) struct $name;

            impl utoipa::PartialSchema for $name {
                fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                    // `all` says what it looks like: utoipa has no words for some of it.
                    utoipa::openapi::Schema::default().into()
                }
            }

            impl utoipa::ToSchema for $name {}
        )+

        /// What each looks like.
        pub(super) fn all() -> Vec<(&'static str, Value)> {
            vec![$((stringify!($name), $schema)),+]
        }
    };
}

components! {
    // Identities
    WorkerId: text(UUID, rule::<domain::WorkerId>());
    CommandId: text(UUID, rule::<domain::CommandId>());
    Name: text("^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$", rule::<domain::Name>());
    AccountId: text("^[0-9]{12}$", rule::<domain::AccountId>());
    InstanceId: text(&id_pattern("i-"), rule::<domain::InstanceId>());
    Region: limited(25, text("^[a-z]+(?:-[a-z]+){1,2}-[0-9]$", "An AWS region, one of this deployment's"));

    // What may be asked for
    HoldReason: limited(200, text(&hold_pattern(), rule::<domain::HoldReason>()));
    Tags: json!({
        "type": "object", "description": "Tags of the worker's own",
        "propertyNames": tag_key(), "additionalProperties": tag_value(), "maxProperties": MAX_TAGS,
    });
    TagsPatch: json!({
        "type": "object",
        "description": format!("Tags to set, and with null to remove; a worker has at most {MAX_TAGS} of its own"),
        "propertyNames": tag_key(), "additionalProperties": { "oneOf": [tag_value(), { "type": "null" }] },
    });
    InstanceIds: json!({
        "type": "array", "items": { "$ref": "#/components/schemas/InstanceId" },
        "minItems": 1, "maxItems": discovery::MAX_NAMED,
    });
    SoughtTags: json!({
        "type": "object", "description": "Tags that an instance carries, all of them, with exactly these values",
        "propertyNames": limited(128, text(&format!("^{TAG_CHAR}+$"), rule::<domain::AnyTagKey>())),
        "additionalProperties": text_of_tag(discovery::LONGEST_VALUE), "maxProperties": discovery::MAX_TAGS,
    });
    Regions: json!({
        "type": "array", "items": { "$ref": "#/components/schemas/Region" }, "minItems": 1,
        "description": "All of this deployment unless some are named",
    });
    ImportLimit: limit(discovery::DEFAULT_LIMIT, discovery::MAX_LIMIT);
    Percent: number(domain::Percent::MIN, domain::Percent::MAX, "Percent");
    PollInterval: number(domain::PollInterval::MIN, domain::PollInterval::MAX, "Seconds between two looks");
    AlertDuration: number(
        domain::AlertDuration::MIN,
        domain::AlertDuration::MAX,
        "Seconds a threshold must be exceeded before it is an alert"
    );
    Image: json!({ "oneOf": [
        text(&id_pattern("ami-"), ec2::IMAGE.allowed),
        { "$ref": "#/components/schemas/NewestImage" },
    ] });
    ImageName: limited(128, text(
        "^(?:[*?]*[A-Za-z0-9 ()\\[\\]./'@_-]){3}[A-Za-z0-9 ()\\[\\]./'@_*?-]*$",
        ec2::IMAGE_NAME.allowed
    ));
    ImageOwner: text("^(?:self|amazon|aws-marketplace|[0-9]{12})$", rule::<domain::ImageOwner>());
    InstanceType: limited(40, text("^[a-z][a-z0-9-]*\\.[a-z0-9-]+$", ec2::INSTANCE_TYPE.allowed));
    TemplateId: text(&id_pattern("lt-"), ec2::TEMPLATE_ID.allowed);
    TemplateName: text("^[A-Za-z0-9()./_-]{3,128}$", ec2::TEMPLATE_NAME.allowed);
    TemplateVersion: json!({ "oneOf": [
        text("^(?:[1-9][0-9]{0,9}|\\$Latest|\\$Default)$", ec2::TEMPLATE_VERSION.allowed),
        { "type": "integer", "minimum": 1, "maximum": 9_999_999_999_u64 },
    ] });
    Subnet: text(&id_pattern("subnet-"), ec2::SUBNET.allowed);
    SecurityGroups: json!({
        "type": "array", "items": text(&id_pattern("sg-"), ec2::SECURITY_GROUP.allowed),
        "maxItems": MAX_SECURITY_GROUPS, "uniqueItems": true,
    });
    KeyName: limited(255, text("^[!-~](?:[ -~]*[!-~])?$", ec2::KEY_NAME.allowed));
    InstanceProfile: text("^[A-Za-z0-9_+=,.@-]{1,128}$", ec2::INSTANCE_PROFILE.allowed);
    RootVolumeSize: number(ROOT_VOLUME.min, ROOT_VOLUME.max, "GiB");
    UserData: json!({
        "type": "string", "minLength": 1, "maxLength": domain::UserData::MAX_BYTES, "writeOnly": true,
        "description": "1 to 16384 bytes of text, before it is base64. It is not shown again, and not logged",
    });

    WorkerIds: json!({
        "type": "array", "items": { "$ref": "#/components/schemas/WorkerId" },
        "minItems": 1, "maxItems": MAX_NAMED, "uniqueItems": true,
    });
    NamePattern: limited(63, text("^[A-Za-z0-9._*?-]+$", PATTERN));
    Confirmation: number(1, MAX_WORKERS as u32, "How many workers are to be ended, where that is many");

    // Parameters
    LivingStatus: json!({ "type": "string", "enum": living() });
    WorkersLimit: limit(read::DEFAULT_LIMIT, read::MAX_LIMIT);
    CommandWorkersLimit: limit(commands::DEFAULT_LIMIT, commands::MAX_LIMIT);
    EventsLimit: limit(history::DEFAULT_EVENTS, history::MAX_EVENTS);
    PointsLimit: limit(history::DEFAULT_POINTS, history::MAX_POINTS);
    Cursor: text("^[A-Za-z0-9_-]+$", "The `next` of an earlier page of the same query, unchanged");
    Instant: json!({ "type": "string", "format": "date-time" });

    // Words
    Status: words(domain::Status::ALL, domain::Status::as_str);
    Desired: words(domain::Desired::ALL, domain::Desired::as_str);
    Observed: words(domain::Observed::ALL, domain::Observed::as_str);
    Source: words(domain::Source::ALL, domain::Source::as_str);
    CheckStatus: words(domain::CheckStatus::ALL, domain::CheckStatus::as_str);
    DriftPolicy: words(domain::DriftPolicy::ALL, domain::DriftPolicy::as_str);
    ActionKind: words(domain::ActionKind::ALL, domain::ActionKind::as_str);
    FailureKind: words(domain::FailureKind::ALL, domain::FailureKind::as_str);
    AlertKind: words(domain::AlertKind::ALL, domain::AlertKind::as_str);
    VolumeType: words(domain::VolumeType::ALL, domain::VolumeType::as_str);
    BulkKind: words(domain::BulkKind::ALL, domain::BulkKind::as_str);
    BulkOutcome: words(domain::BulkOutcome::ALL, domain::BulkOutcome::as_str);
    Progress: words(domain::Progress::ALL, domain::Progress::as_str);
    RefusalCode: words(domain::BulkRefusal::ALL, domain::BulkRefusal::as_str);
    CommandStatus: words(&commands::Standing::ALL, commands::Standing::as_str);
    Origin: json!({ "type": "string", "enum": ["created", "imported"] });
    ProblemType: json!({ "type": "string", "enum": problem_types(Kind::ALL) });

    // What is shown
    Time: json!({ "type": "string", "format": "date-time", "description": "UTC, with milliseconds" });
    Fact: json!({
        "type": "object", "required": ["fact"], "properties": { "fact": { "type": "string", "enum": facts() } },
        "description": "What happened: its name, and its particulars as further members. What is not known is absent",
        "additionalProperties": true,
    });
    Point: point();
}

/// How the code words a rule that the empty text breaks.
fn rule<T: FromStr<Err = InvalidId>>() -> &'static str {
    "".parse::<T>().err().expect("the empty text is none").rule
}

fn text(pattern: &str, description: &str) -> Value {
    let description = description.strip_prefix("the ").unwrap_or(description);
    let mut letters = description.chars();
    let description: String =
        letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
    json!({ "type": "string", "pattern": pattern, "description": description })
}

fn limited(max: usize, mut text: Value) -> Value {
    text["maxLength"] = max.into();
    text
}

/// What EC2 gives as an id (`is_resource_id`).
fn id_pattern(prefix: &str) -> String {
    format!("^{prefix}(?:[0-9a-f]{{8}}|[0-9a-f]{{17}})$")
}

/// Characters on one line that can be seen, no space at the ends.
fn hold_pattern() -> String {
    const NOT: &str = "\\u0000-\\u001f\\u007f-\\u00a0\\u061c\\u1680\\u2000-\\u200f\\u2028-\\u202f\\u205f-\\u206f\\u3000\\ufeff";
    format!("^[^ {NOT}](?:[^{NOT}]*[^ {NOT}])?$")
}

const TAG_CHAR: &str = "[\\p{Alpha}\\p{N} _.:/=+@-]";

fn tag_key() -> Value {
    let ours = "(?![aA][wW][sS]:|[cC][mM][lL]-[fF][lL][eE][eE][tT]:|Name$)";
    limited(128, text(&format!("^{ours}{TAG_CHAR}+$"), rule::<domain::TagKey>()))
}

fn tag_value() -> Value {
    text_of_tag(256)
}

fn text_of_tag(longest: usize) -> Value {
    let description = format!("At most {longest} letters, digits, spaces or _.:/=+-@");
    limited(longest, text(&format!("^{TAG_CHAR}*$"), &description))
}

fn number(min: u32, max: u32, description: &str) -> Value {
    json!({ "type": "integer", "minimum": min, "maximum": max, "description": description })
}

fn limit(default: u32, max: u32) -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": max, "default": default })
}

fn words<T: Copy>(all: &[T], word: fn(T) -> &'static str) -> Value {
    json!({ "type": "string", "enum": all.iter().map(|one| word(*one)).collect::<Vec<_>>() })
}

fn living() -> Vec<&'static str> {
    let all = domain::Status::ALL.iter().filter(|status| **status != domain::Status::Terminated);
    all.map(|status| status.as_str()).collect()
}

/// The `type` of each of these problems.
pub(super) fn problem_types(kinds: &[Kind]) -> Vec<String> {
    kinds.iter().map(|kind| format!("{NAMESPACE}{}", kind.slug())).collect()
}

/// The names of all facts, of which each is in the contract of their form.
fn facts() -> Vec<String> {
    let contract = include_str!("../../../../shared/app/src/fact/contract.jsonl");
    let mut names: Vec<String> = Vec::new();
    for line in contract.lines() {
        let fact: Value = serde_json::from_str(line).expect("a fact");
        let name = fact["fact"].as_str().expect("its name").to_owned();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn point() -> Value {
    let mut schema = json!({
        "type": "object", "required": ["at"], "properties": { "at": { "$ref": "#/components/schemas/Time" } },
        "description": "What was measured, in percent. A metric that was not measured is absent",
    });
    for metric in Metric::ALL {
        schema["properties"][metric.as_str()] = json!({ "type": "number" });
    }
    schema
}

/// The header that makes a request the same as one before.
pub(super) fn idempotency_key() -> Value {
    let pattern = format!("^(?:[!#-~]{{1,{MAX_KEY}}}|\"(?:[ !#-\\[\\]-~]|\\\\[\"\\\\]){{1,{MAX_KEY}}}\")$");
    text(&pattern, crate::headers::KEY)
}

/// The version that a worker must be at.
pub(super) fn etag() -> Value {
    let mut etag = limited(21, text("^\"[1-9][0-9]{0,18}\"$", crate::headers::ETAG));
    etag["minLength"] = 3.into();
    etag
}

/// A command is for workers or for a filter; tags are for the action that changes them, a number for the one that ends.
fn command() -> Value {
    let (some, none) = (json!({ "not": { "type": "null" } }), json!({ "type": "null" }));
    let action = |is: &str| json!({ "required": ["action"], "properties": { "action": { "const": is } } });
    json!({
        "oneOf": [
            { "required": ["workers"], "properties": { "workers": some, "filter": none } },
            { "required": ["filter"], "properties": { "filter": some, "workers": none } },
        ],
        "allOf": [
            {
                "if": action("tag"),
                "then": { "required": ["tags"], "properties": { "tags": { "type": "object", "minProperties": 1 } } },
                "else": { "properties": { "tags": none } },
            },
            { "if": action("terminate"), "else": { "properties": { "confirm": none } } },
        ],
    })
}

/// What these must have beside what their members are.
pub(super) fn conditions() -> Vec<(&'static str, Value)> {
    let some = json!({ "not": { "type": "null" } });
    let none = json!({ "type": "null" });
    vec![
        (
            "Spec",
            json!({ "anyOf": [
            { "required": ["image", "instance_type"], "properties": { "image": some, "instance_type": some } },
            { "required": ["launch_template", "image"], "properties": { "launch_template": some, "image": some } },
            { "required": ["launch_template"], "properties": {
                "launch_template": some, "root_volume_gib": none, "root_volume_type": none,
            } },
        ] }),
        ),
        (
            "Template",
            json!({ "oneOf": [
            { "required": ["id"], "properties": { "id": some, "name": none } },
            { "required": ["name"], "properties": { "name": some, "id": none } },
        ] }),
        ),
        (
            "Alternative",
            json!({ "anyOf": [
            { "required": ["instance_type"], "properties": { "instance_type": some } },
            { "required": ["subnet"], "properties": { "subnet": some } },
        ] }),
        ),
        ("NewCommand", command()),
        (
            "Discovery",
            json!({ "oneOf": [
            { "required": ["instance_ids"], "properties": { "instance_ids": some, "find": none } },
            { "required": ["find"], "properties": { "find": some, "instance_ids": none } },
        ] }),
        ),
        (
            "Find",
            json!({ "anyOf": [
            { "required": ["tags"], "properties": { "tags": { "minProperties": 1, "not": { "type": "null" } } } },
            { "required": ["image_name"], "properties": { "image_name": some } },
        ] }),
        ),
        ("Spec", json!({ "properties": { "alternatives": { "maxItems": MAX_ALTERNATIVES } } })),
    ]
}
