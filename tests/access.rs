//! Who may do what: the roles and routes of `template.yaml` held to the promises of ARCHITECTURE.md.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::template::{Template, list, target, texts};
use tests::{hold, repo};

/// The calls of EC2 and CloudWatch that IAM cannot limit to resources.
const NOT_SCOPABLE: [&str; 4] =
    ["ec2:DescribeImages", "ec2:DescribeInstances", "ec2:DescribeInstanceStatus", "cloudwatch:GetMetricData"];

/// One statement of a role's policies.
struct Statement<'a> {
    role: &'a str,
    all: &'a Value,
}

impl Statement<'_> {
    fn actions(&self) -> Vec<&str> {
        texts(&self.all["Action"])
    }

    fn sid(&self) -> &str {
        self.all["Sid"].as_str().unwrap_or("(no Sid)")
    }
}

fn statements(template: &Template) -> Vec<Statement<'_>> {
    let mut all = Vec::new();
    for role in template.of_kind("AWS::IAM::Role") {
        for policy in list(role.property("Policies")) {
            for one in list(&policy["PolicyDocument"]["Statement"]) {
                // `!If [condition, statement, nothing]`: what may be in force has to keep the rules.
                let branches = one.get("Fn::If").map_or(std::slice::from_ref(one), |both| &list(both)[1..]);
                let real = branches.iter().filter(|branch| branch.get("Effect").is_some());
                all.extend(real.map(|all| Statement { role: role.name, all }));
            }
        }
    }
    all
}

#[test]
fn every_function_has_a_role_of_its_own() {
    let template = Template::read();
    let mut faults = Vec::new();
    for function in template.functions() {
        let expected = function.name.replace("Function", "Role");
        let role = target(function.property("Role"));
        if role != Some(expected.as_str()) {
            faults.push(format!("{}: Role is {role:?}, not !GetAtt {expected}.Arn", function.name));
        }
    }
    let roles = template.of_kind("AWS::IAM::Role").len();
    if roles != template.functions().len() {
        faults.push(format!("{roles} roles for {} functions", template.functions().len()));
    }
    hold("One role for each function, and no role that nobody has.", &faults);
}

#[test]
fn no_role_may_do_everything_with_anything() {
    let template = Template::read();
    let mut faults = Vec::new();
    for statement in statements(&template) {
        let at = format!("{} {}", statement.role, statement.sid());
        let actions = statement.actions();
        if actions.is_empty()
            || statement.all.get("NotAction").is_some()
            || statement.all.get("NotResource").is_some()
        {
            faults.push(format!("{at}: name the actions and resources that are allowed"));
        }
        faults.extend(
            actions.iter().filter(|a| a.contains('*')).map(|action| format!("{at}: action {action}")),
        );
        let open = texts(&statement.all["Resource"]).contains(&"*");
        let scopable = actions.iter().filter(|action| open && !NOT_SCOPABLE.contains(action));
        faults.extend(scopable.map(|action| format!("{at}: {action} on every resource")));
        if list(&statement.all["Resource"]).is_empty() {
            faults.push(format!("{at}: no resource"));
        }
    }
    // Policies of resources. A key answers to its own account in the way AWS requires, and no other policy may say "all".
    for (kind, document) in
        [("AWS::SQS::QueuePolicy", "PolicyDocument"), ("AWS::SNS::TopicPolicy", "PolicyDocument")]
    {
        for resource in template.of_kind(kind) {
            for one in list(&resource.property(document)["Statement"]) {
                if texts(&one["Action"]).iter().any(|action| action.contains('*'))
                    || one["Principal"] == json!("*")
                {
                    faults.push(format!("{}: {one}", resource.name));
                }
            }
        }
    }
    hold(
        "Least privilege: no wildcard in an action; \"*\" as resource only for describe calls that need it.",
        &faults,
    );
}

#[test]
fn only_act_may_change_ec2_and_only_what_is_ours() {
    let template = Template::read();
    let mut faults = Vec::new();
    for statement in statements(&template) {
        let at = format!("{} {}", statement.role, statement.sid());
        let changes: Vec<&str> = statement
            .actions()
            .into_iter()
            .filter(|action| action.starts_with("ec2:") && !action.starts_with("ec2:Describe"))
            .collect();
        if changes.is_empty() {
            continue;
        }
        if statement.role != "ActRole" {
            faults.push(format!("{at}: {}", changes.join(", ")));
        }
        let resources = statement.all["Resource"].to_string();
        let conditions = statement.all["Condition"].to_string();
        if resources.contains("instance/*") && !conditions.contains("Tag/cml-fleet:managed") {
            faults.push(format!("{at}: instances without the condition that they carry our tag"));
        }
    }
    hold("The API records what is wanted; act alone makes it so, on tagged instances only.", &faults);
}

#[test]
fn a_launch_may_be_made_of_what_other_accounts_share() {
    let template = Template::read();
    let all = statements(&template);
    let launch =
        all.iter().find(|s| s.role == "ActRole" && s.sid() == "LaunchFromThese").expect("a statement");
    let arn = |rest: &str| json!({ "Fn::Sub": format!("arn:${{AWS::Partition}}:ec2:*:{rest}") });
    // What is shared through RAM (VPC, EC2 and RAM user guides) has its owner's account in its ARN.
    let shared = ["capacity-reservation/*", "placement-group/*", "security-group/*", "subnet/*"];
    let ours = ["key-pair/*", "launch-template/*", "network-interface/*"];
    let public = ["image/*", "snapshot/*"];
    let expected: BTreeSet<String> = shared
        .map(|kind| arn(&format!("*:{kind}")))
        .into_iter()
        .chain(ours.map(|kind| arn(&format!("${{AWS::AccountId}}:{kind}"))))
        .chain(public.map(|kind| arn(&format!(":{kind}"))))
        .map(|arn| arn.to_string())
        .collect();
    let actual: BTreeSet<String> = list(&launch.all["Resource"]).iter().map(Value::to_string).collect();
    assert_eq!(actual, expected);
    let regions = &launch.all["Condition"]["StringEquals"]["aws:RequestedRegion"];
    assert!(regions.get("Fn::Split").is_some(), "in the regions of this fleet only: {regions}");
}

#[test]
fn act_may_use_the_keys_of_volumes_that_it_is_told_of_and_only_through_ec2() {
    let template = Template::read();
    let parameter = &template.section("Parameters")["VolumeKeyArns"];
    assert_eq!(parameter["Default"], json!(""));
    let pattern = fancy_regex::Regex::new(parameter["AllowedPattern"].as_str().expect("a pattern"));
    let pattern = pattern.expect("a regular expression");
    for (text, allowed) in [
        ("", true),
        ("arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab", true),
        (
            "arn:aws-cn:kms:cn-north-1:123456789012:key/mrk-12ab,arn:aws-cn:kms:cn-north-1:123456789012:key/34cd",
            true,
        ),
        // IAM knows keys by their ARN only, and a key of each region at once would be any key.
        ("arn:aws:kms:eu-west-1:123456789012:alias/volumes", false),
        ("arn:aws:kms:*:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab", false),
        ("arn:aws:kms:eu-west-1:123456789012:key/*", false),
    ] {
        assert_eq!(pattern.is_match(text).expect("a short text"), allowed, "{text}");
    }
    let role = template.of_kind("AWS::IAM::Role").into_iter().find(|role| role.name == "ActRole");
    let policies = list(role.expect("a role").property("Policies"));
    let optional: Vec<&Value> = policies
        .iter()
        .flat_map(|policy| list(&policy["PolicyDocument"]["Statement"]))
        .filter(|one| one.to_string().contains("kms:"))
        .collect();
    let via_ec2 = json!({ "kms:ViaService": { "Fn::Sub": "ec2.*.${AWS::URLSuffix}" } });
    let statement = |sid: &str, action: Value, condition: Value| {
        let resource = json!({ "Fn::Split": [",", { "Ref": "VolumeKeyArns" }] });
        let one = json!({ "Sid": sid, "Effect": "Allow", "Action": action, "Resource": resource, "Condition": condition });
        json!({ "Fn::If": ["HasVolumeKeys", one, { "Ref": "AWS::NoValue" }] })
    };
    let use_them = json!([
        "kms:Decrypt",
        "kms:DescribeKey",
        "kms:GenerateDataKeyWithoutPlaintext",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
    ]);
    let for_aws = json!({ "StringLike": via_ec2, "Bool": { "kms:GrantIsForAWSResource": "true" } });
    assert_eq!(
        optional,
        [
            &statement("UseKeysOfVolumes", use_them, json!({ "StringLike": via_ec2 })),
            &statement("LetVolumesUseTheirKeys", json!("kms:CreateGrant"), for_aws),
        ]
    );
    let any = json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": "VolumeKeyArns" }, ""] }] });
    assert_eq!(template.section("Conditions")["HasVolumeKeys"], any);
    // A key's own policy has to name somebody.
    assert_eq!(template.section("Outputs")["ActRoleArn"]["Value"], json!({ "Fn::GetAtt": "ActRole.Arn" }));
}

#[test]
fn of_the_journal_act_may_touch_the_buckets_the_commands_and_the_user_data_only() {
    let template = Template::read();
    let only = |keys: &str| {
        json!({
            "ForAllValues:StringLike": { "dynamodb:LeadingKeys": keys },
            "Null": { "dynamodb:LeadingKeys": "false" },
        })
    };
    let journal: Vec<_> = statements(&template)
        .into_iter()
        .filter(|s| s.role == "ActRole" && s.all["Resource"].to_string().contains("JournalTable"))
        .map(|statement| (statement.actions().join(" "), statement.all["Condition"].clone()))
        .collect();
    let expected = [
        ("dynamodb:GetItem dynamodb:UpdateItem".to_owned(), only("BUCKET#*")),
        ("dynamodb:GetItem dynamodb:Query dynamodb:UpdateItem".to_owned(), only("COMMAND#*")),
        ("dynamodb:GetItem dynamodb:DeleteItem".to_owned(), only("USERDATA#*")),
    ];
    assert_eq!(journal, expected);
}

#[test]
fn what_looks_at_ec2_may_look_at_what_it_is_for() {
    let template = Template::read();
    let mut looks = BTreeSet::new();
    for statement in statements(&template) {
        let describes =
            statement.actions().into_iter().filter_map(|action| action.strip_prefix("ec2:Describe"));
        looks.extend(describes.map(|what| format!("{} {what}", statement.role)));
    }
    let expected = [
        "ActRole Images",
        "ActRole Instances",
        // Imports and discoveries, also by the name of an image.
        "ApiRole Images",
        "ApiRole Instances",
        // Collections, and the discovery of the schedule, which is by tag only.
        "CollectRole InstanceStatus",
        "CollectRole Instances",
        "DriftRole Instances",
    ];
    assert_eq!(looks, expected.map(str::to_owned).into());
}

/// The routes that nobody has to be identified for. Browsers ask without a token whether they may ask.
const OPEN: [&str; 5] =
    ["GET /health", "HEAD /health", "GET /openapi.json", "HEAD /openapi.json", "OPTIONS /{proxy+}"];

#[test]
fn only_health_and_the_document_are_open() {
    let template = Template::read();
    let (by_token_or_signature, authorizer) = (
        json!({ "Fn::If": ["HasOidc", "JWT", "AWS_IAM"] }),
        json!({ "Fn::If": ["HasOidc", { "Ref": "OidcAuthorizer" }, { "Ref": "AWS::NoValue" }] }),
    );
    let mut faults = Vec::new();
    for route in template.of_kind("AWS::ApiGatewayV2::Route") {
        let key = route.property("RouteKey").as_str().unwrap_or_default();
        let (kind, by) = (route.property("AuthorizationType"), route.property("AuthorizerId"));
        let right = if OPEN.contains(&key) {
            *kind == json!("NONE") && by.is_null()
        } else {
            *kind == by_token_or_signature && *by == authorizer
        };
        if !right {
            faults.push(format!("{}: {key} has AuthorizationType {kind}, AuthorizerId {by}", route.name));
        }
    }
    hold(
        "Every route but GET /health and GET /openapi.json wants a token of the issuer, or a signature if there is none.",
        &faults,
    );
}

#[test]
fn roles_come_from_the_parameters_that_are_called_after_them() {
    let template = Template::read();
    let all = template.functions();
    let api = all.iter().find(|function| function.name == "ApiFunction").expect("the API's function");
    let variables = &api.property("Environment")["Variables"];
    assert_eq!(variables["ROLE_CLAIM"], json!({ "Ref": "RoleClaim" }));
    for role in ["Admin", "Operator", "Viewer"] {
        // Where tokens count, nobody is anything by his ARN.
        let expected = json!({ "Fn::If": ["HasOidc", "", { "Ref": format!("{role}Principals") }] });
        assert_eq!(variables[format!("{}_PRINCIPALS", role.to_uppercase())], expected);
    }
}

#[test]
fn routes_with_a_limit_of_their_own_exist_before_it_is_set() {
    let template = Template::read();
    let stages = template.of_kind("AWS::ApiGatewayV2::Stage");
    let [stage] = stages.as_slice() else { panic!("one stage") };
    let limits = stage.property("RouteSettings").as_object().expect("limits");
    let routes = template.of_kind("AWS::ApiGatewayV2::Route");
    for key in ["POST /workers", "POST /workers/import"] {
        assert!(limits.contains_key(key), "{key} has no limit of its own");
    }
    for (key, limit) in limits {
        let route = routes.iter().find(|route| route.property("RouteKey") == key).expect("a route");
        assert!(texts(&stage.all["DependsOn"]).contains(&route.name), "DependsOn lacks {}", route.name);
        let number = |name: &str| limit[name].as_u64().expect("a number");
        assert!((1..=10).contains(&number("ThrottlingRateLimit")), "{key}: {limit}");
        assert!((1..=100).contains(&number("ThrottlingBurstLimit")), "{key}: {limit}");
    }
}

#[test]
fn the_template_and_the_router_have_the_same_routes() {
    let template = Template::read();
    let deployed: BTreeSet<String> = template
        .of_kind("AWS::ApiGatewayV2::Route")
        .into_iter()
        .filter_map(|route| route.property("RouteKey").as_str().map(str::to_owned))
        .collect();
    let mut expected = routed();
    // HEAD belongs to GET in the router; what has no route there is still answered by it.
    expected.extend(
        ["HEAD /health", "HEAD /openapi.json", "HEAD /commands/{id}", "OPTIONS /{proxy+}", "$default"]
            .map(str::to_owned),
    );
    assert_eq!(deployed, expected, "left: routes in template.yaml; right: routes of functions/api");
}

#[test]
fn the_document_and_the_router_have_the_same_routes() {
    let contract: Value = serde_json::from_str(&repo::text("functions/api/openapi.json")).expect("JSON");
    let mut documented = BTreeSet::new();
    for (path, operations) in contract["paths"].as_object().expect("paths") {
        let methods = operations.as_object().expect("operations").keys();
        documented.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
    }
    assert_eq!(documented, routed(), "left: routes in openapi.json; right: routes of functions/api");
}

/// The router's table as its source has it: `.route("/path", get(..).post(..))`, and routes in no other form.
#[expect(clippy::expect_used, reason = "a source in another form is a failed test")]
fn routed() -> BTreeSet<String> {
    let source = repo::text("functions/api/src/lib.rs");
    for other in [" any(", " on(", ".nest(", ".nest_service(", ".route_service("] {
        assert!(!source.contains(other), "{other} makes routes that are not seen here");
    }
    let mut routes = BTreeSet::new();
    for call in source.split(".route(").skip(1) {
        let call = call.trim_start().strip_prefix('"').expect("a path is written out where its route is");
        let (path, rest) = call.split_once('"').expect("a path");
        // Up to the end of the call.
        let mut open = 1;
        let end = rest.find(|c| {
            open += i32::from(c == '(') - i32::from(c == ')');
            open == 0
        });
        let handlers = &rest[..end.expect("the end of a call")];
        let methods = ["get", "post", "put", "patch", "delete"].into_iter().filter(|method| {
            handlers.match_indices(&format!("{method}(")).any(|(at, _)| {
                handlers[..at].ends_with(|before: char| before.is_whitespace() || before == '.')
            })
        });
        let of_path: Vec<String> =
            methods.map(|method| format!("{} {path}", method.to_uppercase())).collect();
        assert!(!of_path.is_empty(), "{path} has no method that is known here");
        routes.extend(of_path);
    }
    routes
}
