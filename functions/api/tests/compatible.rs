//! The contract keeps what it promised: `openapi.json` against `openapi.published.json`, the contract as it was last
//! published. A release publishes: it copies the one over the other. What breaks clients belongs into another version of the API.
//!
//! Design note: the tools that compare such documents are no crates and none of Python, so this does, as far as this document goes. Of a request it asks
//! whether the new contract takes all that the old one took, of an answer whether whoever reads the old one can read it. A pattern
//! that changed counts as narrower. Words may be added to answers: the document says so.

use serde_json::{Value, json};

use crate::support::openapi::document;

/// Everything in `new` that breaks a client of `old`.
fn breaking(old: &Value, new: &Value) -> Vec<String> {
    let mut found = Found { old, new, at: Vec::new(), faults: Vec::new() };
    found.members(&old["paths"], &new["paths"], |found, old, new| {
        found.members(old, new, Found::operation);
    });
    found.faults
}

/// What was found so far, and where the search is.
struct Found<'a> {
    old: &'a Value,
    new: &'a Value,
    at: Vec<String>,
    faults: Vec<String>,
}

const ROLES: [&str; 3] = ["viewer", "operator", "admin"];
/// Limits from below, and from above.
const LEAST: [&str; 4] = ["minimum", "minLength", "minItems", "minProperties"];
const MOST: [&str; 4] = ["maximum", "maxLength", "maxItems", "maxProperties"];

impl<'a> Found<'a> {
    fn fault(&mut self, what: &str) {
        self.faults.push(format!("{}: {what}", self.at.join(" ")));
    }

    fn within(&mut self, name: &str, look: impl FnOnce(&mut Self)) {
        self.at.push(name.to_owned());
        look(self);
        self.at.pop();
    }

    /// Looks at each member of the old object, which the new one must have as well.
    fn members(&mut self, old: &'a Value, new: &'a Value, look: impl Fn(&mut Self, &'a Value, &'a Value)) {
        for (name, old) in old.as_object().into_iter().flatten() {
            self.within(name, |found| match new.get(name) {
                Some(new) => look(found, old, new),
                None => found.fault("is gone"),
            });
        }
    }

    fn operation(&mut self, old: &'a Value, new: &'a Value) {
        let role = |of: &Value| ROLES.iter().position(|role| of["x-required-role"] == *role);
        if role(new) > role(old) {
            self.fault("takes another role");
        }
        let named = |all: &'a Value, one: &Value| {
            list(all).iter().find(|other| other["name"] == one["name"] && other["in"] == one["in"])
        };
        for parameter in list(&old["parameters"]) {
            self.within(&parameter["name"].to_string(), |found| match named(&new["parameters"], parameter) {
                Some(now) => found.taken(&parameter["schema"], &now["schema"]),
                None => found.fault("is gone"),
            });
        }
        for parameter in list(&new["parameters"]).iter().filter(|one| one["required"] == true) {
            if named(&old["parameters"], parameter).is_none_or(|before| before["required"] != true) {
                self.fault(&format!("{} is required now", parameter["name"]));
            }
        }
        if new["requestBody"]["required"] == true && old["requestBody"]["required"] != true {
            self.fault("a body is required now");
        }
        self.within("body", |found| {
            found.members(
                &old["requestBody"]["content"],
                &new["requestBody"]["content"],
                |found, old, new| {
                    found.taken(&old["schema"], &new["schema"]);
                },
            );
        });
        self.members(&old["responses"], &new["responses"], |found, old, new| {
            found.members(&old["headers"], &new["headers"], |_, _, _| {});
            found.members(&old["content"], &new["content"], |found, old, new| {
                found.shown(&old["schema"], &new["schema"]);
            });
        });
    }

    /// What requests may have: the new schema must take whatever the old one took.
    fn taken(&mut self, old: &'a Value, new: &'a Value) {
        let (old, new) = (resolve(self.old, old), resolve(self.new, new));
        if old["type"].is_null() && choices_of(new).is_empty() && !choices_of(old).is_empty() {
            choices_of(old).into_iter().for_each(|choice| self.taken(choice, new));
            return;
        }
        if new["type"].is_null() && choices_of(old).is_empty() && !choices_of(new).is_empty() {
            if !choices_of(new).iter().any(|choice| self.would(|found| found.taken(old, choice))) {
                self.fault("is none of the choices");
            }
            return;
        }
        if !new["type"].is_null() && !fits(&old["type"], &new["type"]) {
            self.fault("is of another type");
        }
        for name in ["enum", "const"] {
            let fewer = old
                .get(name)
                .is_none_or(|old| !list_of(old).iter().all(|one| list_of(&new[name]).contains(one)));
            if new.get(name).is_some() && fewer {
                self.fault("takes fewer words");
            }
        }
        for name in ["pattern", "format", "not", "uniqueItems"] {
            if new.get(name).is_some() && new[name] != old[name] {
                self.fault(&format!("has another {name}"));
            }
        }
        for (names, narrower) in [(LEAST, f64::gt as fn(&f64, &f64) -> bool), (MOST, f64::lt)] {
            for name in names {
                let (old, new) = (old[name].as_f64(), new[name].as_f64());
                if new.is_some_and(|new| old.is_none_or(|old| narrower(&new, &old))) {
                    self.fault(&format!("has a narrower {name}"));
                }
            }
        }
        for name in list(&new["required"]).iter().filter(|name| !list(&old["required"]).contains(name)) {
            self.fault(&format!("needs {name} now"));
        }
        self.members(&old["properties"], &new["properties"], Self::taken);
        for part in ["items", "propertyNames", "additionalProperties"] {
            match (&old[part], &new[part]) {
                (_, Value::Null | Value::Bool(true)) | (Value::Bool(false), _) => {}
                (old, new) if old.is_object() && new.is_object() => {
                    self.within(part, |found| found.taken(old, new))
                }
                _ => self.fault(&format!("is limited in its {part}")),
            }
        }
        let (choices, now) = (choices(old), choices_of(new));
        for choice in choices.iter().filter(|_| !now.is_empty()) {
            if !now.iter().any(|now| self.would(|found| found.taken(choice, now))) {
                self.fault("takes one choice less");
            }
        }
    }

    /// What answers may have: whoever reads by the old schema must find what it says.
    fn shown(&mut self, old: &'a Value, new: &'a Value) {
        let (old, new) = (resolve(self.old, old), resolve(self.new, new));
        if new["type"].is_null() && choices_of(old).is_empty() && !choices_of(new).is_empty() {
            choices_of(new).into_iter().for_each(|choice| self.shown(old, choice));
            return;
        }
        if !old["type"].is_null() && !fits(&new["type"], &old["type"]) {
            self.fault("is of another type");
        }
        if old.get("format").is_some() && old["format"] != new["format"] {
            self.fault("has another format");
        }
        for name in list(&old["required"]).iter().filter(|name| !list(&new["required"]).contains(name)) {
            self.fault(&format!("may lack {name} now"));
        }
        self.members(&old["properties"], &new["properties"], Self::shown);
        if old["items"].is_object() {
            self.within("items", |found| found.shown(&old["items"], &new["items"]));
        }
        for (old, new) in list(&old["allOf"]).iter().zip(list(&new["allOf"])) {
            self.shown(old, new);
        }
        let before = choices_of(old);
        for choice in choices(new).iter().filter(|_| !before.is_empty()) {
            if !before.iter().any(|before| self.would(|found| found.shown(before, choice))) {
                self.fault("may be something else now");
            }
        }
    }

    /// Whether a look finds nothing.
    fn would(&self, look: impl FnOnce(&mut Self)) -> bool {
        let mut found = Found { old: self.old, new: self.new, at: Vec::new(), faults: Vec::new() };
        look(&mut found);
        found.faults.is_empty()
    }
}

/// A list, or the empty one.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A list, or the one thing as a list; nothing if there is nothing.
fn list_of(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    }
}

/// Whether what has one of these types has one of those.
fn fits(these: &Value, those: &Value) -> bool {
    let (these, those) = (list_of(these), list_of(those));
    !these.is_empty() && these.iter().all(|one| those.contains(one))
}

/// The choices of a schema, if it has some.
fn choices_of(schema: &Value) -> Vec<&Value> {
    ["oneOf", "anyOf"].iter().flat_map(|name| list(&schema[*name])).collect()
}

/// The choices of a schema, which without any is one itself.
fn choices(schema: &Value) -> Vec<&Value> {
    let all = choices_of(schema);
    if all.is_empty() { vec![schema] } else { all }
}

/// What a reference stands for.
fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(pointer) => document.pointer(pointer.trim_start_matches('#')).expect(pointer),
        None => schema,
    }
}

fn published() -> Value {
    serde_json::from_str(include_str!("../openapi.published.json")).expect("JSON")
}

#[test]
fn nothing_that_was_published_is_broken() {
    let found = breaking(&published(), document());
    assert!(found.is_empty(), "these changes break clients:\n{}", found.join("\n"));
}

/// A change of a document: where, and to what; nothing removes.
type Change = (&'static str, Option<Value>);

fn changed((pointer, value): &Change) -> Value {
    let mut document = document().clone();
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let parent = document.pointer_mut(parent).expect(pointer);
    let name = name.replace("~1", "/");
    match (parent, value) {
        (Value::Array(all), None) => drop(all.remove(name.parse().expect("a number"))),
        (Value::Array(all), Some(value)) if name == "-" => all.push(value.clone()),
        (Value::Array(all), Some(value)) => all[name.parse::<usize>().expect("a number")] = value.clone(),
        (parent, None) => drop(parent.as_object_mut().expect(pointer).remove(&name).expect(pointer)),
        (parent, Some(value)) => parent[name] = value.clone(),
    }
    assert_ne!(document, *self::document(), "{pointer} changes nothing");
    document
}

#[test]
fn what_breaks_clients_is_told_from_what_does_not() {
    let gone = |pointer| (pointer, None);
    let breaks: Vec<Change> = vec![
        gone("/paths/~1workers~1{id}~1sync"),
        gone("/paths/~1workers/post"),
        gone("/paths/~1workers/get/parameters/0"),
        gone("/paths/~1workers/get/responses/200"),
        gone("/paths/~1workers/get/responses/422"),
        gone("/paths/~1workers/post/responses/201/headers/Location"),
        gone("/paths/~1workers/post/responses/409/content/application~1problem+json"),
        ("/paths/~1workers~1{id}~1start/post/x-required-role", Some(json!("admin"))),
        ("/paths/~1workers~1{id}~1start/post/requestBody/required", Some(json!(true))),
        ("/paths/~1workers~1{id}~1start/post/parameters/1/required", Some(json!(true))),
        ("/paths/~1workers/get/parameters/-", Some(json!({ "name": "x", "in": "query", "required": true }))),
        ("/components/schemas/NewWorker/required/-", Some(json!("tags"))),
        gone("/components/schemas/NewWorker/properties/protected"),
        (
            "/components/schemas/Nothing",
            Some(json!({ "oneOf": [{ "type": "array" }, { "type": "string" }] })),
        ),
        ("/components/schemas/NewWorker/properties/protected/type", Some(json!("boolean"))),
        gone("/components/schemas/NewWorker/properties/tags/oneOf/1"),
        gone("/components/schemas/Image/oneOf/1"),
        gone("/components/schemas/Spec/anyOf/2"),
        ("/components/schemas/Percent/maximum", Some(json!(99))),
        ("/components/schemas/Percent/minimum", Some(json!(2))),
        ("/components/schemas/HoldReason/maxLength", Some(json!(100))),
        ("/components/schemas/HoldReason/minLength", Some(json!(2))),
        ("/components/schemas/Tags/maxProperties", Some(json!(46))),
        ("/components/schemas/Tags/propertyNames/maxLength", Some(json!(127))),
        ("/components/schemas/Tags/additionalProperties/maxLength", Some(json!(255))),
        ("/components/schemas/SecurityGroups/items/pattern", Some(json!("^sg-$"))),
        ("/components/schemas/Name/pattern", Some(json!("^[a-z]$"))),
        gone("/components/schemas/DriftPolicy/enum/1"),
        ("/components/schemas/WorkersLimit/maximum", Some(json!(50))),
        gone("/components/schemas/Worker/properties/zone"),
        ("/components/schemas/Worker/required", Some(json!(["id"]))),
        ("/components/schemas/Worker/properties/protected/type", Some(json!(["boolean", "null"]))),
        ("/components/schemas/Worker/properties/version/type", Some(json!("string"))),
        ("/components/schemas/Worker/properties/attempt/oneOf/-", Some(json!({ "type": "string" }))),
        ("/components/schemas/Time/format", Some(json!("date"))),
        gone("/components/schemas/Problem/properties/detail"),
        gone("/components/schemas/Workers/properties/items/items"),
    ];
    for change in &breaks {
        assert_ne!(breaking(document(), &changed(change)), Vec::<String>::new(), "{} is harmless", change.0);
    }
    let harmless: Vec<Change> = vec![
        ("/paths/~1workers~1{id}~1pause", Some(json!({ "post": {} }))),
        ("/paths/~1workers/get/parameters/-", Some(json!({ "name": "x", "in": "query" }))),
        ("/paths/~1workers/get/responses/410", Some(json!({ "description": "gone" }))),
        ("/paths/~1workers/post/parameters/0/required", Some(json!(false))),
        ("/paths/~1workers/post/x-required-role", Some(json!("viewer"))),
        ("/paths/~1workers/post/description", Some(json!("anything"))),
        ("/components/schemas/NewWorker/properties/note", Some(json!({ "type": "string" }))),
        ("/components/schemas/NewWorker/required", Some(json!(["name"]))),
        ("/components/schemas/Percent/maximum", Some(json!(101))),
        ("/components/schemas/Percent/minimum", Some(json!(0))),
        ("/components/schemas/HoldReason/maxLength", Some(json!(201))),
        gone("/components/schemas/Name/pattern"),
        ("/components/schemas/DriftPolicy/enum/-", Some(json!("ignore"))),
        ("/components/schemas/Status/enum/-", Some(json!("parked"))),
        ("/components/schemas/Image/oneOf/-", Some(json!({ "type": "boolean" }))),
        (
            "/components/schemas/Nothing",
            Some(json!({ "oneOf": [{ "type": "array" }, { "type": "object" }] })),
        ),
        ("/components/schemas/Worker/properties/note", Some(json!({ "type": "string" }))),
        gone("/components/schemas/Worker/properties/attempt/oneOf/1"),
        ("/components/schemas/Problem/required/-", Some(json!("errors"))),
    ];
    for change in &harmless {
        assert_eq!(breaking(document(), &changed(change)), Vec::<String>::new(), "{}", change.0);
    }
}
