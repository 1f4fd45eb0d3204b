//! A template as data: plain JSON, with CloudFormation's short tags in their long form.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

use crate::repo;

/// The template.
#[derive(Debug)]
pub struct Template(Value);

/// One resource of the template.
#[derive(Debug, Clone, Copy)]
pub struct Resource<'a> {
    /// Its logical id.
    pub name: &'a str,
    /// All of it.
    pub all: &'a Value,
}

impl<'a> Resource<'a> {
    /// Its type.
    pub fn kind(&self) -> &'a str {
        self.all["Type"].as_str().unwrap_or_default()
    }

    /// One of its properties; null if it has none of this name.
    pub fn property(&self, name: &str) -> &'a Value {
        &self.all["Properties"][name]
    }
}

impl Template {
    /// Reads the repository's own template.
    ///
    /// # Panics
    /// If there is none or it is not YAML.
    pub fn read() -> Self {
        Self::read_from("template.yaml")
    }

    /// Reads a template of the repository.
    ///
    /// # Panics
    /// If there is none at this path or it is not YAML.
    #[expect(clippy::panic, reason = "a test without the template cannot go on")]
    pub fn read_from(path: &str) -> Self {
        let text = std::fs::read_to_string(repo::root().join(path))
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        Self::parse(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
        let [document] = documents.as_slice() else { return Err("one document is expected".to_owned()) };
        Ok(Self(json(document)?))
    }

    /// A section, such as `Parameters`; null if there is none.
    pub fn section(&self, name: &str) -> &Value {
        &self.0[name]
    }

    /// All resources, in the order of their names.
    pub fn resources(&self) -> impl Iterator<Item = Resource<'_>> {
        let all = self.0["Resources"].as_object();
        all.into_iter().flatten().map(|(name, all)| Resource { name, all })
    }

    /// The resources of one type.
    pub fn of_kind(&self, kind: &str) -> Vec<Resource<'_>> {
        self.resources().filter(|resource| resource.kind() == kind).collect()
    }

    /// Our functions.
    pub fn functions(&self) -> Vec<Resource<'_>> {
        self.of_kind("AWS::Serverless::Function")
    }
}

/// A list as it is, a single value as a list of one, nothing as an empty one: IAM and CloudFormation allow all three.
pub fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
}

/// The texts of such a list; what is no text is left out.
pub fn texts(value: &Value) -> Vec<&str> {
    list(value).iter().filter_map(Value::as_str).collect()
}

/// The logical id that `!GetAtt X.Y` or `!Ref X` points at.
pub fn target(value: &Value) -> Option<&str> {
    let id = value.get("Fn::GetAtt").or_else(|| value.get("Ref"))?.as_str()?;
    id.split('.').next()
}

fn json(yaml: &Yaml<'_>) -> Result<Value, String> {
    Ok(match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => json!(value),
        Yaml::Value(Scalar::Integer(value)) => json!(value),
        Yaml::Value(Scalar::FloatingPoint(value)) => json!(value.into_inner()),
        Yaml::Value(Scalar::String(value)) => json!(value),
        Yaml::Sequence(items) => Value::Array(items.iter().map(json).collect::<Result<_, _>>()?),
        Yaml::Mapping(fields) => {
            let mut object = Map::new();
            for (name, value) in fields {
                let name = name.as_str().ok_or_else(|| format!("{name:?} cannot be a key"))?;
                object.insert(name.to_owned(), json(value)?);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tag, value) => long_form(&tag.suffix, json(value)?),
        Yaml::Representation(text, _, Some(tag)) => long_form(&tag.suffix, json!(text)),
        Yaml::Representation(..) | Yaml::Alias(_) | Yaml::BadValue => {
            return Err(format!("not read: {yaml:?}"));
        }
    })
}

fn long_form(tag: &str, value: Value) -> Value {
    match tag {
        "Ref" | "Condition" => json!({ tag: value }),
        _ => json!({ format!("Fn::{tag}"): value }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_tags_become_their_long_form_and_aliases_what_they_stand_for() {
        let template = Template::parse(
            "A: &a !Ref B\nC: *a\nD: !GetAtt E.Arn\nF: !If [G, !Sub '${H}', 7]\nI: !Not [!Condition J]\nK: { L: true }",
        )
        .expect("parsed");
        assert_eq!(
            template.0,
            json!({
                "A": { "Ref": "B" },
                "C": { "Ref": "B" },
                "D": { "Fn::GetAtt": "E.Arn" },
                "F": { "Fn::If": ["G", { "Fn::Sub": "${H}" }, 7] },
                "I": { "Fn::Not": [{ "Condition": "J" }] },
                "K": { "L": true },
            })
        );
        assert_eq!(target(&template.0["D"]), Some("E"));
        assert_eq!(target(&template.0["C"]), Some("B"));
    }
}
