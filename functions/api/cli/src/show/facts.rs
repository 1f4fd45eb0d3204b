//! Facts: one a line, with their particulars.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Table;

/// The facts that made one version of a worker. They are read as the JSON they are, so that a fact of a newer release of the API is
/// shown as well.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Version {
    pub(crate) version: u64,
    pub(crate) at: String,
    pub(crate) facts: Vec<Map<String, Value>>,
}

/// A row for each fact, in the order of the versions.
pub(crate) fn facts<'a>(versions: impl IntoIterator<Item = &'a Version>) -> Table {
    let mut table = Table::new(&["VERSION", "AT", "FACT", "PARTICULARS"]);
    for version in versions {
        for fact in &version.facts {
            let name = fact.get("fact").and_then(Value::as_str).unwrap_or("?").to_owned();
            let mut particulars = Vec::new();
            collect(&mut particulars, "", fact);
            table.row([version.version.to_string(), version.at.clone(), name, particulars.join(" ")]);
        }
    }
    table
}

/// `name=value` of every member, of those within others by their path.
fn collect(into: &mut Vec<String>, path: &str, object: &Map<String, Value>) {
    for (name, value) in object {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match value {
            Value::Object(within) => collect(into, &path, within),
            Value::Null => {}
            _ if path == "fact" => {}
            Value::String(text) if !text.contains(' ') => into.push(format!("{path}={text}")),
            other => into.push(format!("{path}={other}")),
        }
    }
}
