//! The settings: what `template.yaml` gives the functions is what they read, and what it accepts they accept.

use std::collections::BTreeMap;

use app::config::{ApiConfig, CollectConfig, Config, NotifyConfig};
use serde_json::{Value, json};
use tests::hold;
use tests::template::{Template, list, target, texts};

/// The environment of a function as a deployment with the template's own defaults makes it.
fn default_environment(template: &Template, function: &str) -> BTreeMap<String, String> {
    let common = &template.section("Globals")["Function"]["Environment"]["Variables"];
    let all = template.functions();
    let own = all.iter().find(|f| f.name == function).map(|f| &f.property("Environment")["Variables"]);
    let variables = [Some(common), own].into_iter().flatten().filter_map(Value::as_object).flatten();
    variables.map(|(name, value)| (name.clone(), resolve(template, value))).collect()
}

fn resolve(template: &Template, value: &Value) -> String {
    if let Some([_, _, otherwise]) = value.get("Fn::If").map(list) {
        return resolve(template, otherwise);
    }
    let Some(name) = target(value) else { return value.to_string() };
    match &template.section("Parameters")[name]["Default"] {
        Value::String(text) => text.clone(),
        Value::Null if name == "AWS::Region" => "us-east-1".to_owned(),
        Value::Null if name == "AWS::AccountId" => "123456789012".to_owned(),
        Value::Null => match template.section("Resources")[name]["Type"].as_str().unwrap_or_default() {
            "AWS::SNS::Topic" => format!("arn:aws:sns:us-east-1:123456789012:{name}"),
            "AWS::SecretsManager::Secret" => {
                format!("arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}")
            }
            _ => name.to_owned(),
        },
        number => number.to_string(),
    }
}

#[test]
fn the_functions_start_with_the_templates_defaults_and_read_all_they_are_given() {
    let template = Template::read();
    let [poll, api, collect, notify] = ["PollFunction", "ApiFunction", "CollectFunction", "NotifyFunction"]
        .map(|function| default_environment(&template, function));
    Config::parse(&poll).expect("the defaults of template.yaml");
    ApiConfig::parse(&api).expect("the defaults of template.yaml for api");
    let of_collect = CollectConfig::parse(&collect).expect("the defaults of template.yaml for collect");
    assert_eq!(of_collect.discovery, None, "off by default");
    NotifyConfig::parse(&notify).expect("the defaults of template.yaml for notify");
    // Without any variable, a parser names every one that it reads; the webhooks only once it knows which are allowed.
    let nothing = BTreeMap::new();
    let of_api = ApiConfig::parse(&nothing).expect_err("nothing is set").to_string();
    let of_collect = CollectConfig::parse(&nothing).expect_err("nothing is set").to_string();
    let of_notify = NotifyConfig::parse(&nothing).expect_err("nothing is set");
    let only = BTreeMap::from([("ALLOW_PRIVATE_WEBHOOKS".to_owned(), "false".to_owned())]);
    let of_notify = format!("{of_notify} {}", NotifyConfig::parse(&only).expect_err("nothing else is set"));
    let read = [(&api, &of_api), (&collect, &of_collect), (&notify, &of_notify)]
        .into_iter()
        .flat_map(|(variables, read)| variables.keys().map(move |name| (name, read)));
    let unread: Vec<&String> =
        read.filter(|(name, read)| !read.contains(name.as_str())).map(|(name, _)| name).collect();
    hold(
        "A variable that app::config does not read sets nothing.",
        &unread.into_iter().cloned().collect::<Vec<_>>(),
    );
}

#[test]
fn the_parameters_have_the_ranges_of_the_code() {
    use domain::{AlertDuration, DriftPolicy, Percent, PollInterval};
    let template = Template::read();
    let range = |least: u32, most: u32| (json!(least), json!(most));
    let (percent, mut faults) = (range(Percent::MIN, Percent::MAX), Vec::new());
    for (name, (least, most)) in [
        ("MetricsPollIntervalSeconds", range(PollInterval::MIN, PollInterval::MAX)),
        ("AlertDurationSeconds", range(AlertDuration::MIN, AlertDuration::MAX)),
        ("CpuAlertPercent", percent.clone()),
        ("MemoryAlertPercent", percent.clone()),
        ("DiskAlertPercent", percent),
    ] {
        let parameter = &template.section("Parameters")[name];
        let (low, high) = (&parameter["MinValue"], &parameter["MaxValue"]);
        if (low, high) != (&least, &most) {
            faults.push(format!(
                "{name}: {low} to {high} in template.yaml, {least} to {most} in domain::policy"
            ));
        }
        let said = parameter["Description"].as_str().unwrap_or_default();
        if !said.contains(&format!("{low} to {high}")) {
            faults.push(format!("{name}: its description does not name its range: {said}"));
        }
    }
    let words: Vec<&str> = DriftPolicy::ALL.iter().map(|policy| policy.as_str()).collect();
    if texts(&template.section("Parameters")["DriftPolicy"]["AllowedValues"]) != words {
        faults.push(format!("DriftPolicy: the code knows {}", words.join(", ")));
    }
    hold("What CloudFormation accepts the functions accept, and the reverse.", &faults);
}

#[test]
fn what_cloudformation_lets_through_the_functions_start_with() {
    let template = Template::read();
    let mut faults = Vec::new();
    // Listing something twice is beyond a pattern; each is as it is on its own.
    let starts = |function: &str, variables: &BTreeMap<String, String>| match function {
        "ApiFunction" => ApiConfig::parse(variables).is_ok(),
        "CollectFunction" => CollectConfig::parse(variables).is_ok(),
        other => panic!("{other} has no settings of its own"),
    };
    let long = [
        format!("{}=v", "k".repeat(128)),
        format!("k={}", "v".repeat(255)),
        format!("k={}", "v".repeat(256)),
    ];
    for (function, parameter, variable, texts) in [
        (
            "CollectFunction",
            "DiscoveryTag",
            "DISCOVERY_TAG",
            &[
                "cml=yes",
                "a key=a value",
                " =yes",
                "k= v ",
                "k=",
                "k=a=b",
                "=v",
                "k",
                "",
                &long[0],
                &long[1],
                &long[2],
            ][..],
        ),
        (
            "ApiFunction",
            "ViewerPrincipals",
            "VIEWER_PRINCIPALS",
            &[
                "arn:aws:iam::123456789012:user/ann",
                "arn:aws:iam::123456789012:user/team/ann,arn:aws:iam::123456789012:root",
                "arn:*:iam::*:role/ops-?*",
                "arn:aws:iam::123456789012:role/team/ops",
                "arn:aws:iam::123456789012:root,arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/x",
                "arn:aws:iam::123456789012:",
                "arn:aws:iam",
                "arn:x",
                "ann",
                "**",
            ][..],
        ),
        (
            "ApiFunction",
            "AllowedInstanceTypes",
            "ALLOWED_INSTANCE_TYPES",
            &["m5zn.metal,c5.*", "u-24tb1.112xlarge", "M5.large", "c5.*,", "c5 .*", &"x".repeat(41)],
        ),
        (
            "ApiFunction",
            "AllowedImageOwners",
            "ALLOWED_IMAGE_OWNERS",
            &["self,amazon", "210987654321", "me", "1234", "self,"],
        ),
        (
            "ApiFunction",
            "RoleClaim",
            "ROLE_CLAIM",
            &["cognito:groups", "https://example.com/roles", "two words", &"x".repeat(129)],
        ),
    ] {
        let pattern =
            template.section("Parameters")[parameter]["AllowedPattern"].as_str().expect("a pattern");
        let pattern = fancy_regex::Regex::new(pattern).expect("a regular expression");
        for text in texts {
            let mut variables = default_environment(&template, function);
            variables.insert("ADMIN_PRINCIPALS".to_owned(), String::new());
            variables.insert(variable.to_owned(), (*text).to_owned());
            let (deployed, starts) =
                (pattern.is_match(text).expect("a short text"), starts(function, &variables));
            if deployed != starts {
                faults.push(format!("{parameter}={text}: CloudFormation {deployed}, the function {starts}"));
            }
        }
    }
    hold("What CloudFormation accepts the functions accept, and the reverse.", &faults);
}
