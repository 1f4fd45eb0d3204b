//! One bad request. Whoever sends it, to the router or to the deployed API, finds out what is wrong with the answer.

use serde_json::Value;

/// One bad request, and the answer to it.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) headers: Vec<(&'static str, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) problem: &'static str,
    pub(crate) field: &'static str,
    pub(crate) allowed: &'static str,
}

/// A case without a body.
pub(crate) fn case(method: &'static str, target: &str, status: u16, problem: &'static str) -> Case {
    let target = target.to_owned();
    Case { method, target, headers: vec![], body: vec![], status, problem, field: "", allowed: "" }
}

impl Case {
    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.headers.push(("content-type", b"application/json".to_vec()));
        self.plain(body)
    }

    pub(crate) fn plain(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name, value.as_ref().to_vec()));
        self
    }

    pub(crate) fn names(mut self, field: &'static str, allowed: &'static str) -> Self {
        self.field = field;
        self.allowed = allowed;
        self
    }
}

pub(crate) const MALFORMED: &str = "malformed-body";
pub(crate) const INVALID: &str = "invalid-value";
pub(crate) const PARAMETER: &str = "invalid-parameter";
pub(crate) const HEADER: &str = "invalid-header";

/// The smallest body that creates a worker.
pub(crate) fn creation(name: &str) -> Value {
    serde_json::json!({
        "name": name, "region": "eu-central-1",
        "spec": { "image": "ami-0123456789abcdef0", "instance_type": "m5zn.metal" },
    })
}

/// A creation in which `path` has another value; null removes it.
pub(crate) fn with(path: &str, value: Value) -> String {
    let mut body = creation("lab-2");
    let place = path.split('.').fold(&mut body, |place, key| &mut place[key]);
    *place = value;
    body.to_string()
}
