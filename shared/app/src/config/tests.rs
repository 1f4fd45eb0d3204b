//! Good settings, and every way in which each variable can be bad.

use std::collections::BTreeMap;

use domain::DriftPolicy;
use expect_test::expect;

use super::{Config, InvalidUrl, NotifyConfig, WebhookUrl};

mod api;
mod collect;

const GOOD: &[(&str, &str)] = &[
    ("FLEET_TABLE", "cml-fleet-FleetTable-1ABC"),
    ("JOURNAL_TABLE", "cml-fleet-JournalTable-1ABC"),
    ("BUS_NAME", "cml-fleet"),
    ("REGIONS", "us-east-1, eu-central-1"),
    ("METRICS_POLL_INTERVAL_SECONDS", "300"),
    ("METRIC_PERIOD_SECONDS", "60"),
    ("MONITORING_ENABLED", "true"),
    ("AUTO_REMEDIATION", "false"),
    ("DRIFT_POLICY", "alert"),
    ("EVENT_RETENTION_DAYS", "90"),
    ("TELEMETRY_RETENTION_DAYS", "30"),
    ("CPU_ALERT_PERCENT", "90"),
    ("MEMORY_ALERT_PERCENT", "91"),
    ("DISK_ALERT_PERCENT", "92"),
    ("ALERT_DURATION_SECONDS", "600"),
    ("SHARD_SIZE", "100"),
    ("TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:cml-fleet-topic"),
    ("NOTIFICATION_WEBHOOKS", ""),
    ("WEBHOOK_SECRET_ARN", "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:x-AbCdEf"),
    ("ALLOW_PRIVATE_WEBHOOKS", "false"),
];

fn with(changes: &[(&str, &str)]) -> BTreeMap<String, String> {
    GOOD.iter().chain(changes).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn refusal(changes: &[(&str, &str)]) -> String {
    NotifyConfig::parse(&with(changes)).expect_err(&format!("{changes:?}")).to_string()
}

/// What each of these values of one variable comes to.
fn refusals(variable: &'static str, values: &[&str]) -> String {
    values
        .iter()
        .map(|value| {
            let said = refusal(&[(variable, value)]);
            format!("{value:?}: {}\n", said.trim_start_matches("the settings cannot be used: "))
        })
        .collect()
}

#[test]
fn good_settings_are_read() {
    let config =
        NotifyConfig::parse(&with(&[("NOTIFICATION_WEBHOOKS", "https://a.example.com/x")])).expect("good");
    expect![[r#"
        NotifyConfig {
            common: Config {
                settings: Policy {
                    monitoring: true,
                    interval: PollInterval(
                        300,
                    ),
                    drift: Alert,
                    cpu: Threshold {
                        percent: Percent(
                            90,
                        ),
                        duration: AlertDuration(
                            600,
                        ),
                    },
                    memory: Threshold {
                        percent: Percent(
                            91,
                        ),
                        duration: AlertDuration(
                            600,
                        ),
                    },
                    disk: Threshold {
                        percent: Percent(
                            92,
                        ),
                        duration: AlertDuration(
                            600,
                        ),
                    },
                },
                regions: [
                    Region(
                        "us-east-1",
                    ),
                    Region(
                        "eu-central-1",
                    ),
                ],
                fleet_table: "cml-fleet-FleetTable-1ABC",
                journal_table: "cml-fleet-JournalTable-1ABC",
                bus: "cml-fleet",
                metric_period: 60,
                event_retention_days: 90,
                telemetry_retention_days: 30,
                shard_size: 100,
            },
            topic_arn: "arn:aws:sns:us-east-1:123456789012:cml-fleet-topic",
            webhooks: [
                WebhookUrl(https://a.example.com/[REDACTED]),
            ],
            webhook_secret_arn: "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:x-AbCdEf",
            allow_private_webhooks: false,
        }
    "#]]
    .assert_debug_eq(&config);
    assert_eq!(Config::parse(&with(&[])), Ok(config.common));
}

#[test]
fn the_edges_of_every_range_are_inside() {
    for (variable, values) in [
        ("METRICS_POLL_INTERVAL_SECONDS", &["60", "3600"][..]),
        ("METRIC_PERIOD_SECONDS", &["60", "300"]),
        ("EVENT_RETENTION_DAYS", &["1", "3650"]),
        ("TELEMETRY_RETENTION_DAYS", &["1", "3650"]),
        ("CPU_ALERT_PERCENT", &["1", "100"]),
        ("MEMORY_ALERT_PERCENT", &["1", "100"]),
        ("DISK_ALERT_PERCENT", &["1", "100"]),
        ("ALERT_DURATION_SECONDS", &["60", "3600"]),
        ("SHARD_SIZE", &["1", "100", " 7 "]),
        ("REGIONS", &["us-east-1", "us-gov-west-1 , ap-southeast-2"]),
    ] {
        for value in values {
            Config::parse(&with(&[(variable, value)])).unwrap_or_else(|error| panic!("{value}: {error}"));
        }
    }
}

#[test]
fn bad_numbers_are_refused_with_their_range() {
    let mut said = String::new();
    for (variable, values) in [
        ("METRICS_POLL_INTERVAL_SECONDS", &["59", "3601", "5m"][..]),
        ("METRIC_PERIOD_SECONDS", &["0", "120", "60.0"]),
        ("EVENT_RETENTION_DAYS", &["0", "3651"]),
        ("TELEMETRY_RETENTION_DAYS", &["0", "3651"]),
        ("CPU_ALERT_PERCENT", &["0", "101", "90%"]),
        ("MEMORY_ALERT_PERCENT", &["0", "101"]),
        ("DISK_ALERT_PERCENT", &["0", "101"]),
        ("ALERT_DURATION_SECONDS", &["59", "3601"]),
        ("SHARD_SIZE", &["0", "101", "-1", "+1", "1e1", "99999999999999999999", ""]),
    ] {
        said += &refusals(variable, values);
    }
    expect![[r#"
        "59": METRICS_POLL_INTERVAL_SECONDS must be a whole number from 60 to 3600
        "3601": METRICS_POLL_INTERVAL_SECONDS must be a whole number from 60 to 3600
        "5m": METRICS_POLL_INTERVAL_SECONDS must be a whole number from 60 to 3600
        "0": METRIC_PERIOD_SECONDS must be 60 or 300
        "120": METRIC_PERIOD_SECONDS must be 60 or 300
        "60.0": METRIC_PERIOD_SECONDS must be 60 or 300
        "0": EVENT_RETENTION_DAYS must be a whole number from 1 to 3650
        "3651": EVENT_RETENTION_DAYS must be a whole number from 1 to 3650
        "0": TELEMETRY_RETENTION_DAYS must be a whole number from 1 to 3650
        "3651": TELEMETRY_RETENTION_DAYS must be a whole number from 1 to 3650
        "0": CPU_ALERT_PERCENT must be a whole number from 1 to 100
        "101": CPU_ALERT_PERCENT must be a whole number from 1 to 100
        "90%": CPU_ALERT_PERCENT must be a whole number from 1 to 100
        "0": MEMORY_ALERT_PERCENT must be a whole number from 1 to 100
        "101": MEMORY_ALERT_PERCENT must be a whole number from 1 to 100
        "0": DISK_ALERT_PERCENT must be a whole number from 1 to 100
        "101": DISK_ALERT_PERCENT must be a whole number from 1 to 100
        "59": ALERT_DURATION_SECONDS must be a whole number from 60 to 3600
        "3601": ALERT_DURATION_SECONDS must be a whole number from 60 to 3600
        "0": SHARD_SIZE must be a whole number from 1 to 100
        "101": SHARD_SIZE must be a whole number from 1 to 100
        "-1": SHARD_SIZE must be a whole number from 1 to 100
        "+1": SHARD_SIZE must be a whole number from 1 to 100
        "1e1": SHARD_SIZE must be a whole number from 1 to 100
        "99999999999999999999": SHARD_SIZE must be a whole number from 1 to 100
        "": SHARD_SIZE is not set, and must be a whole number from 1 to 100
    "#]]
    .assert_eq(&said);
}

#[test]
fn bad_words_and_names_are_refused_with_their_rule() {
    let mut said = String::new();
    for (variable, values) in [
        ("FLEET_TABLE", &["ab", "a b c", ""][..]),
        ("JOURNAL_TABLE", &["arn:aws:dynamodb:us-east-1:123456789012:table/x"]),
        ("BUS_NAME", &["cml fleet", ""]),
        ("REGIONS", &["", "us-east-1,", "us-east-1a", "us-east-1,us-east-1", "us-east-1;eu-west-1"]),
        ("MONITORING_ENABLED", &["yes", "True", ""]),
        ("AUTO_REMEDIATION", &["1"]),
        ("DRIFT_POLICY", &["ignore", "Alert", ""]),
        (
            "TOPIC_ARN",
            &["topic", "arn:aws:sqs:us-east-1:123456789012:q", "arn:aws:sns:us-east-1:123456789012:", ""],
        ),
        ("WEBHOOK_SECRET_ARN", &["whsec_abc", "arn:aws:sns:us-east-1:123456789012:t"]),
        ("ALLOW_PRIVATE_WEBHOOKS", &["no"]),
    ] {
        said += &refusals(variable, values);
    }
    expect![[r#"
        "ab": FLEET_TABLE must be the name of a DynamoDB table: 3 to 255 letters, digits, '-', '_' or '.'
        "a b c": FLEET_TABLE must be the name of a DynamoDB table: 3 to 255 letters, digits, '-', '_' or '.'
        "": FLEET_TABLE is not set, and must be the name of a DynamoDB table: 3 to 255 letters, digits, '-', '_' or '.'
        "arn:aws:dynamodb:us-east-1:123456789012:table/x": JOURNAL_TABLE must be the name of a DynamoDB table: 3 to 255 letters, digits, '-', '_' or '.'
        "cml fleet": BUS_NAME must be the name of an event bus: 1 to 256 letters, digits, '-', '_', '.' or '/'
        "": BUS_NAME is not set, and must be the name of an event bus: 1 to 256 letters, digits, '-', '_', '.' or '/'
        "": REGIONS is not set, and must be AWS regions such as us-east-1, separated by commas, each once
        "us-east-1,": REGIONS must be AWS regions such as us-east-1, separated by commas, each once
        "us-east-1a": REGIONS must be AWS regions such as us-east-1, separated by commas, each once
        "us-east-1,us-east-1": REGIONS must be AWS regions such as us-east-1, separated by commas, each once
        "us-east-1;eu-west-1": REGIONS must be AWS regions such as us-east-1, separated by commas, each once
        "yes": MONITORING_ENABLED must be true or false
        "True": MONITORING_ENABLED must be true or false
        "": MONITORING_ENABLED is not set, and must be true or false
        "1": AUTO_REMEDIATION must be true or false
        "ignore": DRIFT_POLICY must be one of: alert, revert, adopt
        "Alert": DRIFT_POLICY must be one of: alert, revert, adopt
        "": DRIFT_POLICY is not set, and must be one of: alert, revert, adopt
        "topic": TOPIC_ARN must be the ARN of an SNS topic
        "arn:aws:sqs:us-east-1:123456789012:q": TOPIC_ARN must be the ARN of an SNS topic
        "arn:aws:sns:us-east-1:123456789012:": TOPIC_ARN must be the ARN of an SNS topic
        "": TOPIC_ARN is not set, and must be the ARN of an SNS topic
        "whsec_abc": WEBHOOK_SECRET_ARN must be the ARN of a Secrets Manager secret
        "arn:aws:sns:us-east-1:123456789012:t": WEBHOOK_SECRET_ARN must be the ARN of a Secrets Manager secret
        "no": ALLOW_PRIVATE_WEBHOOKS must be true or false
    "#]].assert_eq(&said);
}

#[test]
fn every_variable_is_required_and_all_that_are_missing_are_named_at_once() {
    let error = NotifyConfig::parse(&BTreeMap::new()).expect_err("empty");
    let named: Vec<&str> = error.problems().iter().map(|problem| problem.variable).collect();
    let mut expected: Vec<&str> = GOOD.iter().map(|(name, _)| *name).collect();
    // Whether a list of webhooks is good depends on the flag.
    expected.retain(|name| *name != "NOTIFICATION_WEBHOOKS");
    let sorted = |mut names: Vec<&'static str>| {
        names.sort_unstable();
        names
    };
    assert_eq!(sorted(named), sorted(expected));
    let mut variables = with(&[]);
    variables.remove("NOTIFICATION_WEBHOOKS");
    let error = NotifyConfig::parse(&variables).expect_err("no list").to_string();
    expect!["the settings cannot be used: NOTIFICATION_WEBHOOKS is not set; it may be empty"]
        .assert_eq(&error);
}

#[test]
fn all_problems_come_in_one_message() {
    let said = refusal(&[
        ("REGIONS", "mars-1"),
        ("SHARD_SIZE", "1000"),
        ("CPU_ALERT_PERCENT", "high"),
        (
            "NOTIFICATION_WEBHOOKS",
            "https://good.example.com,http://plain.example.com/hook,https://u:p@x.example.com",
        ),
    ]);
    expect!["the settings cannot be used: REGIONS must be AWS regions such as us-east-1, separated by commas, each once; CPU_ALERT_PERCENT must be a whole number from 1 to 100; SHARD_SIZE must be a whole number from 1 to 100; NOTIFICATION_WEBHOOKS (number 2) must begin with https:// (http:// only with ALLOW_PRIVATE_WEBHOOKS=true); NOTIFICATION_WEBHOOKS (number 3) must not contain a user name or a password"].assert_eq(&said);
}

#[test]
fn no_value_is_ever_echoed() {
    for (variable, _) in GOOD {
        let said = refusal(&[(variable, "whsec_canary canary")]);
        assert!(said.contains(variable), "{said}");
        assert!(!said.contains("canary"), "{said}");
    }
}

#[test]
fn remediation_is_the_policy_to_revert() {
    let drift = |remediation, policy| {
        let changes = [("AUTO_REMEDIATION", remediation), ("DRIFT_POLICY", policy)];
        Config::parse(&with(&changes)).map(|config| config.settings.drift)
    };
    assert_eq!(drift("false", "alert"), Ok(DriftPolicy::Alert));
    assert_eq!(drift("false", "revert"), Ok(DriftPolicy::Revert));
    assert_eq!(drift("false", "adopt"), Ok(DriftPolicy::Adopt));
    assert_eq!(drift("true", "alert"), Ok(DriftPolicy::Revert));
    assert_eq!(drift("true", "revert"), Ok(DriftPolicy::Revert));
    expect!["the settings cannot be used: AUTO_REMEDIATION must be false when DRIFT_POLICY is adopt: EC2 is brought back or accepted, not both"].assert_eq(&drift("true", "adopt").expect_err("a contradiction").to_string());
}

#[test]
fn a_webhook_is_a_public_https_url() {
    let refused = |url: &str| WebhookUrl::parse(url, false).expect_err(url);
    for url in [
        "https://hooks.slack.com/services/T0/B0/canary",
        "https://example.com",
        "https://example.com:443/x?y=z",
        "https://example.com./",
        "https://10.example.com/",
    ] {
        WebhookUrl::parse(url, false).expect(url);
    }
    for url in [
        "https://a.example.com/\r\nx: y",
        "https://a.example.com/\t",
        " https://a.example.com",
        "https://a.b\\c",
        "https://ä.de",
    ] {
        assert_eq!(refused(url), InvalidUrl::Characters);
    }
    assert_eq!(refused(&format!("https://example.com/{}", "x".repeat(2048))), InvalidUrl::Characters);
    for url in [
        "",
        "example.com",
        "https:example.com",
        "https://",
        "https:///example.com",
        "https://a.example.com:x",
    ] {
        assert_eq!(refused(url), InvalidUrl::NotAbsolute, "{url}");
    }
    for url in ["http://example.com", "ftp://example.com", "HTTPS://example.com", "javascript://example.com"]
    {
        assert_eq!(refused(url), InvalidUrl::Scheme, "{url}");
    }
    for url in
        ["https://u@example.com", "https://u:p@example.com", "https://:p@example.com", "https://@example.com"]
    {
        assert_eq!(refused(url), InvalidUrl::UserInfo, "{url}");
    }
    assert_eq!(refused("https://example.com/#x"), InvalidUrl::Fragment);
    for url in ["https://example.com:80", "https://example.com:8443/"] {
        assert_eq!(refused(url), InvalidUrl::Port, "{url}");
    }
    for url in [
        "https://localhost/",
        "https://LOCALHOST./",
        "https://a.localhost/",
        "https://metadata.google.internal/",
        "https://printer.local/",
        "https://intranet/",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://8.8.8.8/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
    ] {
        assert_eq!(refused(url), InvalidUrl::Host, "{url}");
    }
}

#[test]
fn the_local_cloud_may_have_private_webhooks_but_not_malformed_ones() {
    for url in [
        "http://127.0.0.1:9000/hook",
        "http://localhost:4566/",
        "https://[::1]:8443/x",
        "https://example.com/",
    ] {
        assert_eq!(WebhookUrl::parse(url, true).expect(url).expose(), url);
    }
    for url in ["ftp://localhost/", "http://u:p@localhost/", "http://localhost/#x", "http://localhost/\n"] {
        WebhookUrl::parse(url, true).expect_err(url);
    }
}

#[test]
fn a_webhook_is_never_shown_whole() {
    let url = "https://hooks.slack.com/services/canary?token=canary";
    let webhook = WebhookUrl::parse(url, false).expect(url);
    assert_eq!(webhook.expose(), url);
    assert_eq!(webhook.to_string(), "https://hooks.slack.com");
    assert_eq!(format!("{webhook:?}"), "WebhookUrl(https://hooks.slack.com/[REDACTED])");
    let config = NotifyConfig::parse(&with(&[("NOTIFICATION_WEBHOOKS", url)])).expect("good");
    assert!(!format!("{config:#?}").contains("canary"));
}

#[test]
fn a_webhook_is_named_once() {
    let twice = "https://a.example.com/x, https://b.example.com , https://A.example.com:443/x";
    expect!["the settings cannot be used: NOTIFICATION_WEBHOOKS must name each URL once"]
        .assert_eq(&refusal(&[("NOTIFICATION_WEBHOOKS", twice)]));
}
