//! What is deployed keeps its rules: `template.yaml`, and the templates beside it, read as data and held to the promises of ARCHITECTURE.md.
//! Each test collects everything that is wrong and says what to do about it.

#[path = "template/alarms.rs"]
mod alarms;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tests::template::{Resource, Template, list, target, texts};
use tests::{fixtures, hold, pattern, repo};

/// The longest a stream record may wait for a function, in seconds: a quarter of what the stream remembers; and all of that for the one
/// that tells, so that a backlog is told in order. How long a bad record holds its shard up is the number of tries.
const OLDEST_RECORD: u64 = 21_600;
const OLDEST_TO_TELL: u64 = 86_400;

fn capitalized(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Every trigger: the function, the trigger's name, its type, its properties.
fn triggers(template: &Template) -> Vec<(&str, &str, &str, &Value)> {
    let mut all = Vec::new();
    for function in template.functions() {
        for (name, event) in function.property("Events").as_object().into_iter().flatten() {
            all.push((
                function.name,
                name.as_str(),
                event["Type"].as_str().unwrap_or_default(),
                &event["Properties"],
            ));
        }
    }
    all
}

#[test]
fn every_function_of_the_tree_is_deployed_and_the_reverse() {
    let template = Template::read();
    let expected: BTreeSet<(String, String)> = repo::folders("functions")
        .into_iter()
        .map(|folder| (format!("{}Function", capitalized(&folder)), format!("functions/{folder}")))
        .collect();
    let actual: BTreeSet<(String, String)> = template
        .functions()
        .iter()
        .map(|f| (f.name.to_owned(), f.property("CodeUri").as_str().unwrap_or_default().to_owned()))
        .collect();
    assert_eq!(
        actual, expected,
        "functions/x is the resource XFunction with CodeUri functions/x, and nothing else is"
    );
}

#[test]
fn every_asynchronous_trigger_gives_up_in_the_end_and_says_so() {
    let template = Template::read();
    let mut faults = Vec::new();
    for (function, name, kind, properties) in triggers(&template) {
        let number = |value: &Value, least: u64, most: u64| {
            value.as_u64().is_some_and(|n| (least..=most).contains(&n))
        };
        let retry = &properties["RetryPolicy"];
        let missing: Vec<&str> = match kind {
            "Schedule" | "EventBridgeRule" => [
                ("RetryPolicy.MaximumRetryAttempts", number(&retry["MaximumRetryAttempts"], 0, 185)),
                (
                    "RetryPolicy.MaximumEventAgeInSeconds",
                    number(&retry["MaximumEventAgeInSeconds"], 60, 86_400),
                ),
                ("DeadLetterConfig.Arn", target(&properties["DeadLetterConfig"]["Arn"]).is_some()),
            ]
            .into_iter()
            .filter_map(|(what, there)| (!there).then_some(what))
            .collect(),
            "DynamoDB" => [
                ("FilterCriteria", !list(&properties["FilterCriteria"]["Filters"]).is_empty()),
                ("StartingPosition TRIM_HORIZON", properties["StartingPosition"] == json!("TRIM_HORIZON")),
                ("BisectBatchOnFunctionError", properties["BisectBatchOnFunctionError"] == json!(true)),
                ("MaximumRetryAttempts", number(&properties["MaximumRetryAttempts"], 1, 10)),
                (
                    "MaximumRecordAgeInSeconds",
                    match function {
                        "NotifyFunction" => properties["MaximumRecordAgeInSeconds"] == json!(OLDEST_TO_TELL),
                        _ => number(&properties["MaximumRecordAgeInSeconds"], 60, OLDEST_RECORD),
                    },
                ),
                (
                    "FunctionResponseTypes ReportBatchItemFailures",
                    texts(&properties["FunctionResponseTypes"]) == ["ReportBatchItemFailures"],
                ),
                ("OnFailure", target(&properties["DestinationConfig"]["OnFailure"]["Destination"]).is_some()),
            ]
            .into_iter()
            .filter_map(|(what, there)| (!there).then_some(what))
            .collect(),
            _ => vec!["a rule for this type of trigger in this test"],
        };
        faults.extend(
            missing.into_iter().map(|what| format!("{function} {name}: {what} is missing or out of bounds")),
        );
        let all = template.functions();
        let invoked = all.iter().find(|f| f.name == function).map(|f| f.property("EventInvokeConfig"));
        let config = invoked.unwrap_or(&Value::Null);
        if !number(&config["MaximumRetryAttempts"], 0, 2)
            || !number(&config["MaximumEventAgeInSeconds"], 60, 21_600)
            || target(&config["DestinationConfig"]["OnFailure"]["Destination"]).is_none()
        {
            faults.push(format!(
                "{function}: EventInvokeConfig needs retries, an age and a destination on failure"
            ));
        }
    }
    faults.sort();
    faults.dedup();
    hold(
        "AWS's defaults let one bad record block a shard for a day, and lose what failed: say all of it.",
        &faults,
    );
}

#[test]
fn a_function_that_fails_is_tried_again_before_its_event_is_too_old() {
    // AWS Lambda developer guide, "Understanding retry behavior": a minute before the first retry, two before the second. A try may
    // take all the time that the function has.
    const FIRST_WAIT: u64 = 60;
    let template = Template::read();
    let mut faults = Vec::new();
    for function in template.functions() {
        let config = function.property("EventInvokeConfig");
        let (Some(retries), Some(age)) =
            (config["MaximumRetryAttempts"].as_u64(), config["MaximumEventAgeInSeconds"].as_u64())
        else {
            continue;
        };
        let timeout = function.property("Timeout").as_u64().expect("a number");
        let needed: u64 = (1..=retries).map(|retry| timeout + FIRST_WAIT * retry).sum();
        if age <= needed {
            faults.push(format!("{}: of {retries} retries the last is after {needed} s", function.name));
        }
    }
    hold(
        "MaximumEventAgeInSeconds leaves the time for MaximumRetryAttempts; else they are not made.",
        &faults,
    );
}

#[test]
fn the_rules_and_nobody_else_may_leave_events_in_the_queues() {
    let template = Template::read();
    let rules: Vec<Value> = triggers(&template)
        .into_iter()
        .filter(|(_, _, kind, _)| matches!(*kind, "Schedule" | "EventBridgeRule"))
        // The rule is a resource that SAM calls so. Its name is not to be guessed: CloudFormation shortens it as it sees fit.
        .map(|(function, name, ..)| json!({ "Fn::GetAtt": format!("{function}{name}.Arn") }))
        .collect();
    let [policy] = template.of_kind("AWS::SQS::QueuePolicy")[..] else { panic!("one policy for all queues") };
    let [statement] = list(&policy.property("PolicyDocument")["Statement"]) else { panic!("one statement") };
    assert_eq!(statement["Principal"], json!({ "Service": "events.amazonaws.com" }));
    let allowed = &statement["Condition"]["ArnEquals"]["aws:SourceArn"];
    let sorted = |rules: &[Value]| rules.iter().map(Value::to_string).collect::<BTreeSet<_>>();
    assert_eq!(sorted(list(allowed)), sorted(&rules), "left: allowed; right: the rules that there are");
}

#[test]
fn the_streams_filter_keeps_new_facts_and_nothing_else() {
    let template = Template::read();
    let mut seen = 0;
    for (function, name, _, properties) in
        triggers(&template).into_iter().filter(|(_, _, kind, _)| *kind == "DynamoDB")
    {
        // A record passes if any of the filters matches: one is all there should be.
        let [filter] = list(&properties["FilterCriteria"]["Filters"]) else {
            panic!("{function} {name}: one filter")
        };
        let filter: Value =
            serde_json::from_str(filter["Pattern"].as_str().expect("a pattern")).expect("JSON");
        let kept: Vec<String> = list(&fixtures::read("fleet-stream.json")["Records"])
            .iter()
            .filter(|record| pattern::matches(&filter, record).expect("a pattern that this test can read"))
            .map(|record| {
                format!("{} {}", record["eventName"], record["dynamodb"]["Keys"]["sk"]["S"]).replace('"', "")
            })
            .collect();
        assert_eq!(
            kept,
            [
                "INSERT EVENT#00000000000000000004",
                "INSERT EVENT#00000000000000000001",
                "INSERT EVENT#00000000000000000005"
            ],
            "{function} {name}: a state, an owner, a mark or an expiry must not invoke anything, and no new fact be lost"
        );
        seen += 1;
    }
    assert_eq!(seen, 2, "act and notify read the stream, and nobody else");
}

#[test]
fn the_rules_route_recorded_events_to_the_functions_they_are_for() {
    let template = Template::read();
    let mut routed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let recorded =
        ["ec2-state-change.json", "schedule.json", "collection-requested.json", "reconcile-requested.json"];
    for fixture in recorded {
        let event = fixtures::read(fixture);
        let ours = event["source"] == json!("cml-fleet");
        for (function, _, kind, properties) in triggers(&template) {
            let same_bus = properties.get("EventBusName").is_some() == ours;
            let matched = kind == "EventBridgeRule"
                && same_bus
                && pattern::matches(&properties["Pattern"], &event)
                    .expect("a pattern that this test can read");
            if matched {
                routed.entry(fixture).or_default().push(function);
            }
        }
    }
    assert_eq!(
        routed,
        BTreeMap::from([
            ("ec2-state-change.json", vec!["DriftFunction"]),
            ("collection-requested.json", vec!["CollectFunction"]),
            ("reconcile-requested.json", vec!["ActFunction"]),
        ])
    );
}

#[test]
fn instances_are_looked_for_only_if_there_is_a_tag_to_look_for() {
    let template = Template::read();
    let all = triggers(&template);
    let schedules: Vec<&(&str, &str, &str, &Value)> =
        all.iter().filter(|(.., properties)| properties.get("State").is_some()).collect();
    let [("CollectFunction", "Discovery", "Schedule", discovery)] = schedules.as_slice() else {
        panic!("one trigger that may be off: {schedules:?}")
    };
    assert_eq!(discovery["State"], json!({ "Fn::If": ["HasDiscovery", "ENABLED", "DISABLED"] }));
    let none = json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": "DiscoveryTag" }, ""] }] });
    assert_eq!(template.section("Conditions")["HasDiscovery"], none);
    assert_eq!(discovery["Schedule"], json!({ "Fn::Sub": "rate(${DiscoveryIntervalMinutes} minutes)" }));
    // EventBridge refuses "1 minutes", and a run has to be over before the next one begins.
    let collect = template.functions().into_iter().find(|f| f.name == "CollectFunction").expect("collect");
    let longest = collect.property("Timeout").as_u64().expect("a timeout");
    let tries = 1 + collect.property("EventInvokeConfig")["MaximumRetryAttempts"].as_u64().expect("a number");
    let least = template.section("Parameters")["DiscoveryIntervalMinutes"]["MinValue"].as_u64();
    assert!(least.is_some_and(|minutes| minutes > 1 && minutes * 60 > longest * tries), "{least:?}");
}

#[test]
fn the_forwarder_brings_home_what_drift_listens_to_and_may_do_nothing_else() {
    let home = Template::read();
    let all = triggers(&home);
    let heard: Vec<&Value> = all
        .iter()
        .filter(|(function, _, kind, _)| (*function, *kind) == ("DriftFunction", "EventBridgeRule"))
        .map(|(.., properties)| &properties["Pattern"])
        .collect();
    let [heard] = heard.as_slice() else { panic!("drift listens to one rule, not {heard:?}") };
    assert!(heard.get("region").is_none(), "drift must hear of the regions that are forwarded: {heard}");

    let forwarder = Template::read_from("infra/forwarder.yaml");
    let [rule] = forwarder.of_kind("AWS::Events::Rule")[..] else { panic!("the forwarder is one rule") };
    let mut forwarded = rule.property("EventPattern").clone();
    let region = forwarded.as_object_mut().and_then(|pattern| pattern.remove("region"));
    assert_eq!(
        region,
        Some(json!([{ "Ref": "AWS::Region" }])),
        "what was forwarded here must not be forwarded again"
    );
    assert_eq!(&&forwarded, heard, "the forwarder and drift must mean the same events");

    let bus = json!({ "Fn::Sub": "arn:${AWS::Partition}:events:${HomeRegion}:${AWS::AccountId}:event-bus/default" });
    let [home] = list(rule.property("Targets")) else { panic!("the forwarder has one target") };
    assert!(rule.property("EventBusName").is_null(), "EC2 tells the default bus");
    assert_eq!(home["Arn"], bus);
    let [role] = forwarder.of_kind("AWS::IAM::Role")[..] else { panic!("the forwarder has one role") };
    assert_eq!(target(&home["RoleArn"]), Some(role.name));
    let may: Vec<&Value> = list(role.property("Policies"))
        .iter()
        .flat_map(|policy| list(&policy["PolicyDocument"]["Statement"]))
        .collect();
    assert_eq!(may, [&json!({ "Effect": "Allow", "Action": "events:PutEvents", "Resource": bus })]);

    let [queue] = forwarder.of_kind("AWS::SQS::Queue")[..] else { panic!("the forwarder has one queue") };
    assert_eq!(target(&home["DeadLetterConfig"]["Arn"]), Some(queue.name));
    assert_eq!(queue.property("SqsManagedSseEnabled"), &json!(true));
    assert!(home["RetryPolicy"]["MaximumEventAgeInSeconds"].is_u64(), "retries end: {home}");
}

#[test]
fn data_is_encrypted_recoverable_and_does_not_stay_for_ever() {
    let template = Template::read();
    let mut faults = Vec::new();
    for table in template.of_kind("AWS::DynamoDB::Table") {
        let switches = [
            ("SSESpecification", "SSEEnabled"),
            ("PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled"),
            ("TimeToLiveSpecification", "Enabled"),
        ];
        for (section, switch) in switches {
            if table.property(section)[switch] != json!(true) {
                faults.push(format!("{}: {section}.{switch} must be true", table.name));
            }
        }
    }
    let kept = |resource: &Resource<'_>, property: &str| !resource.property(property).is_null();
    let rules = [
        ("AWS::Logs::LogGroup", "RetentionInDays"),
        ("AWS::SNS::Topic", "KmsMasterKeyId"),
        ("AWS::SQS::Queue", "SqsManagedSseEnabled"),
    ];
    for (kind, property) in rules {
        let without = template.of_kind(kind).into_iter().filter(|resource| !kept(resource, property));
        faults.extend(without.map(|resource| format!("{}: {property} is missing", resource.name)));
    }
    for function in template.functions() {
        if target(&function.property("LoggingConfig")["LogGroup"]).is_none() {
            faults.push(format!("{}: it needs a log group of ours, which has a retention", function.name));
        }
    }
    hold("Encrypted at rest, point-in-time recovery, an end for what grows.", &faults);
}
