//! The bodies of requests, made from the command line. What a field may hold is for the API to judge.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::args::{BulkArgs, CreateArgs, ImportArgs, SettingsArgs, SpecArgs};
use crate::console::Console;
use crate::failure::Failure;
use crate::words::{Pair, object};

/// An object of what is given.
struct Given(Map<String, Value>);

impl Given {
    fn new() -> Self {
        Self(Map::new())
    }

    /// A field, unless it has nothing to say.
    fn with(mut self, name: &str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).unwrap_or_default();
        let silent = match &value {
            Value::Null | Value::Bool(false) => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        if !silent {
            self.0.insert(name.to_owned(), value);
        }
        self
    }

    /// A field, whatever it says.
    fn always(mut self, name: &str, value: Value) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    fn done(self) -> Value {
        Value::Object(self.0)
    }
}

/// The body of `POST /workers`.
pub(crate) fn create(args: &CreateArgs, console: &Console) -> Result<Value, Failure> {
    if let Some(file) = &args.file {
        // What is in it may be secret, so only the place of a fault is told.
        return serde_json::from_str(&read(file, console)?).map_err(|error| {
            let (file, line, column) = (file.display(), error.line(), error.column());
            Failure::Usage(format!("{file} is not JSON: line {line}, column {column}"))
        });
    }
    Ok(Given::new()
        .with("name", &args.name)
        .with("region", &args.region)
        .always("spec", spec(&args.spec, console)?)
        .with("tags", pairs("--tag", &args.tag)?)
        .with("protected", args.protected)
        .with("settings", settings(&args.settings))
        .done())
}

fn spec(args: &SpecArgs, console: &Console) -> Result<Value, Failure> {
    let image = match (&args.image, &args.image_name) {
        (Some(id), _) => json!(id),
        (None, Some(name)) => json!({ "name": name, "owner": args.image_owner }),
        (None, None) => Value::Null,
    };
    let template = Given::new()
        .with("id", &args.launch_template_id)
        .with("name", &args.launch_template_name)
        .with("version", &args.launch_template_version);
    let alternatives = args.alternative.iter().map(|text| alternative(text));
    let user_data = args.user_data.as_deref().map(|file| read(file, console)).transpose()?;
    Ok(Given::new()
        .with("image", image)
        .with("instance_type", &args.instance_type)
        .with("launch_template", template.done())
        .with("subnet", &args.subnet)
        .with("security_groups", &args.security_group)
        .with("key_name", &args.key_name)
        .with("instance_profile", &args.instance_profile)
        .with("root_volume_gib", args.root_volume_gib)
        .with("root_volume_type", &args.root_volume_type)
        .with("user_data", user_data)
        .with("alternatives", alternatives.collect::<Result<Vec<_>, _>>()?)
        .done())
}

fn alternative(text: &str) -> Result<Map<String, Value>, Failure> {
    let parts = text.split(',').map(str::parse::<Pair>).collect::<Result<Vec<_>, String>>();
    let object = parts.and_then(|parts| object(&parts));
    object.map_err(|fault| Failure::Usage(format!("--alternative {text}: {fault}")))
}

fn settings(args: &SettingsArgs) -> Value {
    serde_json::to_value(args).unwrap_or_default()
}

/// The body of `POST /workers/import`: the form for one instance, or that for all that are found.
pub(crate) fn import(args: &ImportArgs, cursor: Option<&str>) -> Result<Value, Failure> {
    let find =
        Given::new().with("tags", pairs("--find-tag", &args.find_tag)?).with("image_name", &args.image_name);
    Ok(Given::new()
        .with("instance_id", &args.instance)
        .with("region", &args.region)
        .with("name", &args.name)
        .with("instance_ids", &args.ids)
        .with("find", find.done())
        .with("regions", &args.regions)
        .with("dry_run", args.dry_run)
        .with("cursor", cursor)
        .with("tags", pairs("--tag", &args.tag)?)
        .with("held", &args.held)
        .with("protected", args.protected)
        .with("adopt_orphans", args.adopt_orphans)
        .with("settings", settings(&args.settings))
        .done())
}

/// The body of `POST /commands` for these workers, or, where none is named, for those of the filter.
pub(crate) fn bulk(
    args: &BulkArgs,
    workers: &[String],
    dry_run: bool,
    confirm: Option<u64>,
) -> Result<Value, Failure> {
    let body = Given::new()
        .with("action", args.action.as_str())
        .with("workers", workers)
        .with("tags", tags_patch(&args.tag, &args.remove_tag)?)
        .with("dry_run", dry_run)
        .with("confirm", confirm);
    // An empty filter is one, too: every living worker.
    let body = if workers.is_empty() { body.always("filter", filter(&args.filter)?) } else { body };
    Ok(body.done())
}

fn filter(wanted: &[Pair]) -> Result<Value, Failure> {
    let mut filter = Given::new();
    let mut tags = Vec::new();
    for Pair { key, value } in wanted {
        if let Some(key) = key.strip_prefix("tag.") {
            tags.push(Pair { key: key.to_owned(), value: value.clone() });
        } else if !["region", "status", "name"].contains(&key.as_str()) {
            let text = format!("--filter {key}: filters are region, status, name and tag.KEY");
            return Err(Failure::Usage(text));
        } else if filter.0.contains_key(key) {
            return Err(Failure::Usage(format!("--filter {key} is given twice")));
        } else {
            filter = filter.with(key, value);
        }
    }
    Ok(filter.with("tags", pairs("--filter", &tags)?).done())
}

/// A merge patch of tags: null removes one.
pub(crate) fn tags_patch(set: &[Pair], remove: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut patch = pairs("tags", set)?;
    for key in remove {
        if patch.insert(key.clone(), Value::Null).is_some() {
            return Err(Failure::Usage(format!("the tag {key} is named twice")));
        }
    }
    Ok(patch)
}

fn pairs(what: &str, pairs: &[Pair]) -> Result<Map<String, Value>, Failure> {
    object(pairs).map_err(|fault| Failure::Usage(format!("{what}: {fault}")))
}

/// What a file says; `-` is the input.
fn read(file: &Path, console: &Console) -> Result<String, Failure> {
    if file == Path::new("-") {
        return console.read();
    }
    fs::read_to_string(file).map_err(|error| Failure::Io(format!("{}: {error}", file.display())))
}
