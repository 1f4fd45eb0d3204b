//! What each operation has beside its bodies: who may ask, which headers it takes and gives, how it may fail.

use app::config::Role;
use serde_json::{Map, Value, json};

use super::{examples, is};
use crate::problem::{Kind, MEDIA_TYPE};

/// What is not in a handler's signature.
pub(super) struct Operation {
    id: &'static str,
    /// The role it takes; `None` for nobody in particular.
    role: Option<Role>,
    takes: Takes,
    /// How it may fail, beside the ways in which all do.
    problems: &'static [Kind],
}

/// Which headers an operation takes.
#[derive(Clone, Copy, PartialEq)]
enum Takes {
    Nothing,
    /// An idempotency key, which it must have.
    Key,
    /// A key, if wanted.
    AnyKey,
    /// A key and a version, if wanted.
    KeyAndVersion,
}

const fn read(id: &'static str, problems: &'static [Kind]) -> Operation {
    Operation { id, role: Some(Role::Viewer), takes: Takes::Nothing, problems }
}

const fn change(id: &'static str, role: Role, problems: &'static [Kind]) -> Operation {
    Operation { id, role: Some(role), takes: Takes::KeyAndVersion, problems }
}

const fn begin(id: &'static str, problems: &'static [Kind]) -> Operation {
    Operation { id, role: Some(Role::Admin), takes: Takes::Key, problems }
}

/// Something about many workers.
const fn many(id: &'static str, takes: Takes, problems: &'static [Kind]) -> Operation {
    Operation { id, role: Some(Role::Operator), takes, problems }
}

const fn open(id: &'static str) -> Operation {
    Operation { id, role: None, takes: Takes::Nothing, problems: &[] }
}

use Kind::{
    ConfirmationNeeded, Held, ImpossibleCommand, InstanceClaimed, InstanceTaken, InvalidValue, NameTaken,
    NoSuchCommand, NoSuchInstance, NoSuchWorker, NotConfirmed, Protected, Refused,
};

pub(super) const OPERATIONS: [Operation; 18] = [
    open("health"),
    open("openapi"),
    read("listWorkers", &[InvalidValue]),
    read("getWorker", &[NoSuchWorker]),
    read("listEvents", &[NoSuchWorker]),
    read("listTelemetry", &[NoSuchWorker]),
    begin("createWorker", &[InvalidValue, NameTaken, Refused]),
    begin(
        "importInstance",
        &[
            InvalidValue,
            NoSuchInstance,
            ImpossibleCommand,
            NameTaken,
            InstanceTaken,
            InstanceClaimed,
            Refused,
        ],
    ),
    many("createCommand", Takes::Key, &[InvalidValue, ConfirmationNeeded]),
    many("cancelCommand", Takes::AnyKey, &[NoSuchCommand]),
    read("getCommand", &[NoSuchCommand]),
    read("listCommandWorkers", &[NoSuchCommand]),
    change("patchWorker", Role::Operator, &[NoSuchWorker, InvalidValue, ImpossibleCommand, NameTaken]),
    change("startWorker", Role::Operator, &[NoSuchWorker, ImpossibleCommand, Held]),
    change("stopWorker", Role::Operator, &[NoSuchWorker, ImpossibleCommand, Held]),
    change("rebootWorker", Role::Operator, &[NoSuchWorker, ImpossibleCommand, Held]),
    change("syncWorker", Role::Operator, &[NoSuchWorker, ImpossibleCommand, Refused]),
    change("endWorker", Role::Admin, &[NoSuchWorker, ImpossibleCommand, Held, Protected, NotConfirmed]),
];

impl Operation {
    /// Every way in which it may fail.
    fn kinds(&self) -> Vec<Kind> {
        let mut kinds = self.problems.to_vec();
        if self.role.is_some() {
            kinds.extend([
                Kind::InvalidParameter,
                Kind::Unauthenticated,
                Kind::Forbidden,
                Kind::Internal,
                Kind::Unavailable,
            ]);
        }
        if self.takes != Takes::Nothing {
            kinds.extend([
                Kind::InvalidHeader,
                Kind::MalformedBody,
                Kind::BodyTooLarge,
                Kind::NotJson,
                Kind::InProgress,
                Kind::KeyReused,
            ]);
        }
        if self.takes == Takes::KeyAndVersion {
            kinds.push(Kind::Stale);
        }
        kinds
    }

    /// Adds all of it to the operation in the document.
    pub(super) fn complete(&self, document: &mut Value) {
        let operation = find(document, self.id);
        operation.as_object_mut().expect("an operation").remove("tags");
        operation["security"] = json!([]);
        if let Some(role) = self.role {
            operation["x-required-role"] = role.to_string().into();
            let said =
                operation["description"].as_str().map(|said| format!("{said}\n\n")).unwrap_or_default();
            operation["description"] = format!("{said}Takes the role `{role}`.").into();
            operation["security"] = json!([{ "token": [] }, { "signature": [] }]);
        }
        self.add_headers(operation);
        examples::add_requests(operation, self.id);
        if operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            == "#/components/schemas/Nothing"
        {
            operation["requestBody"]["required"] = false.into();
        }
        self.describe_successes(operation);
        self.add_problems(operation);
    }

    fn add_headers(&self, operation: &mut Value) {
        let header = |name, required: bool, schema, example| {
            let mut header = json!({ "name": name, "in": "header", "schema": schema, "example": example });
            header["required"] = required.into();
            header
        };
        let mut headers = Vec::new();
        if self.takes != Takes::Nothing {
            let required = self.takes == Takes::Key;
            let key = "8e03978e-40d5-43dd-bc93-6894a57f9324";
            headers.push(header("Idempotency-Key", required, is::idempotency_key(), key));
        }
        if self.takes == Takes::KeyAndVersion {
            headers.push(header("If-Match", false, is::etag(), "\"7\""));
        }
        if !headers.is_empty() {
            let parameters = operation.as_object_mut().expect("an operation").entry("parameters");
            parameters.or_insert_with(|| json!([])).as_array_mut().expect("a list").extend(headers);
        }
    }

    fn describe_successes(&self, operation: &mut Value) {
        for (status, response) in operation["responses"].as_object_mut().expect("responses") {
            let mut names = vec!["X-Request-Id", "Cache-Control"];
            let content = &mut response["content"]["application/json"];
            let shown = content["schema"]["$ref"].as_str().and_then(|schema| schema.rsplit('/').next());
            let begins = status == "201" || (status == "202" && shown == Some("Command"));
            if let Some(shown) = shown.filter(|shown| ["Worker", "Discovered"].contains(shown)) {
                if shown == "Worker" {
                    names.push("ETag");
                }
                let (name, example) = (shown.to_lowercase(), format!("#/components/examples/{shown}"));
                content["examples"] = json!({ name: { "$ref": example } });
            }
            if status == "201" {
                response["links"] = links();
            }
            if begins {
                names.push("Location");
            }
            if self.takes != Takes::Nothing {
                names.push("Idempotency-Replayed");
            }
            response["headers"] = refs(&names);
            response["description"] = match (status.as_str(), self.takes) {
                ("201", _) => "Recorded; the rest follows",
                ("202", _) => "Accepted; the rest follows",
                ("200", Takes::KeyAndVersion | Takes::AnyKey) => "Done, or as asked for already",
                ("200", Takes::Key) => "What came of each, or would come",
                _ => "What is known",
            }
            .into();
        }
    }

    fn add_problems(&self, operation: &mut Value) {
        let responses = operation["responses"].as_object_mut().expect("responses");
        let kinds = self.kinds();
        for status in [400, 401, 403, 404, 409, 412, 413, 415, 422, 429, 431, 500, 502, 503] {
            let mut here: Vec<Kind> =
                kinds.iter().copied().filter(|kind| kind.status().as_u16() == status).collect();
            if here.contains(&Kind::NoSuchWorker) || here.contains(&Kind::NoSuchCommand) {
                // API Gateway decodes the path first: what then is no segment of a path names no route.
                here.push(Kind::NoSuchRoute);
            }
            let by_gateway = GATEWAY.contains(&status) && (self.role.is_some() || status >= 429);
            if here.is_empty() && !by_gateway {
                continue;
            }
            let mut content = json!({});
            let titles: Vec<&str> = here.iter().map(|kind| kind.title()).collect();
            let mut description = titles.join("; ");
            if !here.is_empty() {
                content[MEDIA_TYPE] = json!({ "schema": { "allOf": [
                    { "$ref": "#/components/schemas/Problem" },
                    { "properties": {
                        "type": { "enum": is::problem_types(&here) }, "status": { "const": status },
                    } },
                ] }, "examples": examples::of_problems(&here) });
            }
            if by_gateway {
                content["application/json"] =
                    json!({ "schema": { "$ref": "#/components/schemas/GatewayAnswer" } });
                if description.is_empty() {
                    description = "Said by API Gateway".to_owned();
                }
            }
            let mut names = vec!["X-Request-Id", "Cache-Control"];
            match status {
                401 => names.push("WWW-Authenticate"),
                409 | 503 => names.push("Retry-After"),
                _ => {}
            }
            let response = json!({ "description": description, "headers": refs(&names), "content": content });
            responses.insert(status.to_string(), response);
        }
    }
}

/// The worker that these paths name.
pub(super) fn name_worker(paths: &mut Map<String, Value>) {
    for (_, path) in paths.iter_mut().filter(|(path, _)| path.starts_with("/workers/{id}")) {
        for operation in path.as_object_mut().expect("operations").values_mut() {
            let id = json!({
                "name": "id", "in": "path", "required": true, "schema": { "$ref": "#/components/schemas/WorkerId" },
            });
            let parameters = operation.as_object_mut().expect("an operation").entry("parameters");
            parameters.or_insert_with(|| json!([])).as_array_mut().expect("a list").insert(0, id);
        }
    }
}

/// What can be asked of a worker that has just come to be.
fn links() -> Value {
    let of_one = OPERATIONS.iter().filter(|operation| operation.problems.contains(&NoSuchWorker));
    let link = |id| json!({ "operationId": id, "parameters": { "id": "$response.body#/id" } });
    of_one.map(|operation| (operation.id.to_owned(), link(operation.id))).collect()
}

/// The statuses that API Gateway gives by itself: without a valid token, above the limits, when the function fails.
const GATEWAY: [u16; 7] = [401, 403, 413, 429, 431, 500, 503];

pub(super) fn gateway_answer() -> Value {
    json!({
        "type": "object", "properties": { "message": { "type": "string" } }, "required": ["message"],
        "description": "An answer of API Gateway, from before or instead of ours", "additionalProperties": true,
    })
}

fn find<'a>(document: &'a mut Value, id: &str) -> &'a mut Value {
    let paths = document["paths"].as_object_mut().expect("paths");
    let mut all = paths.values_mut().flat_map(|path| path.as_object_mut().expect("a path").values_mut());
    all.find(|operation| operation["operationId"] == id).unwrap_or_else(|| panic!("no operation {id}"))
}

fn refs(names: &[&str]) -> Value {
    names
        .iter()
        .map(|name| ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") })))
        .collect()
}

pub(super) fn headers() -> Value {
    let header = |description: &str, schema: Value| json!({ "description": description, "schema": schema });
    let text = || json!({ "type": "string" });
    json!({
        "X-Request-Id": header("Under which the request is in every log", text()),
        "Cache-Control": header("Whether an answer may be kept", text()),
        "ETag": header("The worker's version, for If-Match", is::etag()),
        "Location": header("The path of the new worker or command", text()),
        "Idempotency-Replayed": header(
            "The answer is that of an earlier request with the same key",
            json!({ "type": "string", "const": "true" })
        ),
        "Retry-After": header("Seconds until it is worth trying again", json!({ "type": "integer", "minimum": 1 })),
        "WWW-Authenticate": header("How to say who asks", text()),
    })
}

pub(super) fn security() -> Value {
    json!({
        "token": {
            "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
            "description": "A token of the deployment's OpenID Connect issuer, where it has one",
        },
        "signature": {
            "type": "apiKey", "in": "header", "name": "Authorization", "x-amazon-apigateway-authtype": "awsSigv4",
            "description": "AWS Signature Version 4 for the service execute-api, where there is no issuer",
        },
    })
}
