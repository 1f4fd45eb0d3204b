//! Whatever goes wrong where nobody looks has an alarm, and the alarm goes off.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::template::{Template, list, target};
use tests::{hold, repo};

use super::triggers;

#[test]
fn an_alarm_watches_every_dead_letter_queue_and_every_stream() {
    let template = Template::read();
    let watched: BTreeSet<(&str, &str)> = template
        .of_kind("AWS::CloudWatch::Alarm")
        .into_iter()
        .filter(|alarm| !list(alarm.property("AlarmActions")).is_empty())
        .filter_map(|alarm| {
            let value = list(alarm.property("Dimensions")).first().and_then(|one| target(&one["Value"]))?;
            Some((alarm.property("MetricName").as_str()?, value))
        })
        .collect();
    let mut faults = Vec::new();
    for queue in template.of_kind("AWS::SQS::Queue") {
        if !watched.contains(&("ApproximateNumberOfMessagesVisible", queue.name)) {
            faults.push(format!("{}: no alarm on its messages", queue.name));
        }
    }
    for (function, _, kind, _) in triggers(&template) {
        if kind == "DynamoDB" && !watched.contains(&("IteratorAge", function)) {
            faults.push(format!("{function}: no alarm on its IteratorAge"));
        }
    }
    hold("What failed for good, or falls behind, has to wake somebody up.", &faults);
}

/// The properties of an alarm; null unless it is there and tells somebody.
fn alarm<'a>(template: &'a Template, name: &str) -> &'a Value {
    let alarms = template.of_kind("AWS::CloudWatch::Alarm");
    let alarm = alarms.into_iter().find(|alarm| alarm.name == name);
    let tells = alarm.filter(|alarm| !list(alarm.property("AlarmActions")).is_empty());
    tells.map_or(&Value::Null, |alarm| &alarm.all["Properties"])
}

/// What an alarm compares with what.
fn rule(alarm: &Value) -> Value {
    let parts = ["Namespace", "MetricName", "Statistic", "ComparisonOperator", "Threshold"];
    parts.iter().map(|part| alarm[*part].clone()).collect()
}

/// It goes off when there is more than none of what it counts.
fn is_of_any(alarm: &Value) -> bool {
    list(&rule(alarm))[2..] == [json!("Sum"), json!("GreaterThanThreshold"), json!(0)]
}

#[test]
fn a_stream_consumer_that_is_more_than_a_minute_behind_wakes_somebody_up() {
    let template = Template::read();
    let streams = triggers(&template).into_iter().filter(|(_, _, kind, _)| *kind == "DynamoDB");
    for (function, ..) in streams {
        let behind = alarm(&template, &format!("{}BehindAlarm", function.trim_end_matches("Function")));
        let expected = json!(["AWS/Lambda", "IteratorAge", "Maximum", "GreaterThanThreshold", 60_000]);
        assert_eq!(rule(behind), expected, "{function}");
        assert_eq!((&behind["Period"], &behind["EvaluationPeriods"]), (&json!(60), &json!(2)), "{function}");
        assert_eq!(target(&behind["Dimensions"][0]["Value"]), Some(function));
    }
}

#[test]
fn a_poll_that_is_silent_for_five_minutes_wakes_somebody_up() {
    let template = Template::read();
    let silent = alarm(&template, "PollSilentAlarm");
    assert_eq!((&silent["Period"], &silent["EvaluationPeriods"]), (&json!(300), &json!(1)));
    assert_eq!(rule(silent), json!(["AWS/Lambda", "Invocations", "Sum", "LessThanThreshold", 1]));
    assert_eq!(silent["TreatMissingData"], "breaching", "a function that does not run has no metric");
    assert_eq!(target(&silent["Dimensions"][0]["Value"]), Some("PollFunction"));
}

/// What is wrong with the words that a function's filter counts: they have to be those of an event that the function writes,
/// at a level that every setting of `LogLevel` lets through.
fn unlike_the_source(folder: &str, words: &str) -> Option<String> {
    let own = [format!("functions/{folder}/src/"), "shared/app/src/".to_owned()];
    let files = repo::files();
    let sources = files.iter().filter(|file| own.iter().any(|place| file.path.starts_with(place)));
    let mut levels = sources.flat_map(|file| {
        // The last macro that begins before the words is theirs.
        let level = |at: usize| file.text.get(..at)?.rsplit_once("tracing::")?.1.split('!').next();
        file.text.match_indices(words).map(move |(at, _)| level(at).unwrap_or_default())
    });
    let first = levels.next();
    match first.into_iter().chain(levels).find(|level| *level != "error") {
        _ if !words.starts_with('"') => Some(format!("{words} are not one phrase")),
        Some(level) => Some(format!("{words} are written at the level {level:?}")),
        None => first.is_none().then(|| format!("{words} are written nowhere")),
    }
}

#[test]
fn what_a_filter_counts_is_an_error_that_its_function_writes_and_wakes_somebody_up() {
    let template = Template::read();
    let alarms = template.of_kind("AWS::CloudWatch::Alarm");
    let functions = template.functions();
    let mut faults = Vec::new();
    for filter in template.of_kind("AWS::Logs::MetricFilter") {
        let group = target(filter.property("LogGroupName"));
        let mut writers =
            functions.iter().filter(|f| target(&f.property("LoggingConfig")["LogGroup"]) == group);
        let folder = writers.next().and_then(|f| f.property("CodeUri").as_str()?.strip_prefix("functions/"));
        let words = filter.property("FilterPattern").as_str().unwrap_or_default();
        let fault = match folder {
            Some(folder) => unlike_the_source(folder, words),
            None => Some("it reads no log of a function".to_owned()),
        };
        faults.extend(fault.map(|fault| format!("{}: {fault}", filter.name)));
        let counted = &filter.property("MetricTransformations")[0];
        let watches = |name: &str| {
            let alarm = alarm(&template, name);
            alarm["MetricName"] == counted["MetricName"] && alarm["Namespace"] == counted["MetricNamespace"]
        };
        if counted["MetricValue"] != "1" || !alarms.iter().any(|alarm| watches(alarm.name)) {
            faults.push(format!("{}: no alarm counts it", filter.name));
        }
    }
    hold("A filter finds what is written, and somebody hears of it.", &faults);
}

#[test]
fn metrics_that_cannot_be_read_are_told_by_one_alarm() {
    let template = Template::read();
    let unread = alarm(&template, "MetricsUnreadAlarm");
    assert!(is_of_any(unread), "{unread}");
    // As often as it must fail, the slowest fleet fails within the time that is looked at.
    let number = |name: &str| unread[name].as_i64().expect(name);
    let longest =
        template.section("Parameters")["MetricsPollIntervalSeconds"]["MaxValue"].as_i64().expect("a limit");
    let looked_at = number("Period") * number("EvaluationPeriods");
    assert!(number("DatapointsToAlarm") * longest <= looked_at, "{looked_at} s for polls every {longest} s");
}

#[test]
fn a_stream_record_that_cannot_be_read_wakes_somebody_up_within_two_minutes() {
    // It is let go at once, so no queue has it; that the line is written is proved where it is.
    let template = Template::read();
    for (function, _, kind, _) in triggers(&template) {
        if kind != "DynamoDB" {
            continue;
        }
        let name = function.trim_end_matches("Function");
        let unread = alarm(&template, &format!("{name}UnreadAlarm"));
        assert!(is_of_any(unread), "{function}: {unread}");
        assert_eq!((&unread["Period"], &unread["EvaluationPeriods"]), (&json!(60), &json!(1)), "{function}");
        let filters = template.of_kind("AWS::Logs::MetricFilter");
        let filter = filters.iter().find(|filter| filter.name == format!("{name}Unread")).expect(function);
        assert_eq!(target(filter.property("LogGroupName")), Some(format!("{name}LogGroup").as_str()));
    }
}
