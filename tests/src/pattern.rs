//! Event patterns as EventBridge and Lambda's event filters read them, as far as our template uses them.
//!
//! A pattern is an object that mirrors the event. A leaf is an array of alternatives: a plain value that must be equal,
//! or an object with one operator. Objects say "and", arrays say "or". An event's array matches if one of its elements
//! does. Anything this reader does not know is an error, never a match: a test must not pass on a guess.

use serde_json::{Map, Value};

/// Whether the event matches the pattern.
///
/// # Errors
/// The part of the pattern that this reader does not know.
pub fn matches(pattern: &Value, event: &Value) -> Result<bool, String> {
    match pattern {
        Value::Object(fields) => all(fields, event),
        _ => Err(format!("a pattern is an object, not {pattern}")),
    }
}

fn all(fields: &Map<String, Value>, event: &Value) -> Result<bool, String> {
    let mut all = true;
    for (name, expected) in fields {
        let actual = event.get(name);
        all &= match expected {
            Value::Object(inner) if name.starts_with('$') => {
                return Err(format!("unknown operator {name}: {inner:?}"));
            }
            Value::Object(_) => matches(expected, actual.unwrap_or(&Value::Null))?,
            Value::Array(alternatives) => any(alternatives, actual)?,
            _ => return Err(format!("{name} must be an array or an object, not {expected}")),
        };
    }
    Ok(all)
}

fn any(alternatives: &[Value], actual: Option<&Value>) -> Result<bool, String> {
    let mut any = false;
    for alternative in alternatives {
        any |= match actual {
            Some(Value::Array(elements)) => {
                let mut one = false;
                for element in elements {
                    one |= leaf(alternative, Some(element))?;
                }
                one
            }
            _ => leaf(alternative, actual)?,
        };
    }
    Ok(any)
}

fn leaf(expected: &Value, actual: Option<&Value>) -> Result<bool, String> {
    let Value::Object(operator) = expected else { return Ok(actual == Some(expected)) };
    let (Some((name, operand)), 1) = (operator.iter().next(), operator.len()) else {
        return Err(format!("one operator is expected in {expected}"));
    };
    let text = actual.and_then(Value::as_str);
    match (name.as_str(), operand) {
        ("prefix", Value::String(prefix)) => Ok(text.is_some_and(|text| text.starts_with(prefix.as_str()))),
        ("suffix", Value::String(suffix)) => Ok(text.is_some_and(|text| text.ends_with(suffix.as_str()))),
        ("exists", Value::Bool(wanted)) => Ok(actual.is_some() == *wanted),
        ("anything-but", Value::Array(not)) => Ok(actual.is_some_and(|actual| !not.contains(actual))),
        _ => Err(format!("unknown operator {name} in {expected}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_say_and_alternatives_say_or() {
        let pattern = json!({ "a": ["x", "y"], "b": { "c": [1] } });
        assert_eq!(matches(&pattern, &json!({ "a": "y", "b": { "c": 1, "d": 2 } })), Ok(true));
        assert_eq!(matches(&pattern, &json!({ "a": "z", "b": { "c": 1 } })), Ok(false));
        assert_eq!(matches(&pattern, &json!({ "a": "y" })), Ok(false));
        assert_eq!(matches(&pattern, &json!({ "a": ["q", "x"], "b": { "c": 1 } })), Ok(true));
    }

    #[test]
    fn operators_look_at_text_and_at_presence() {
        let at = |operator: Value, event: Value| matches(&json!({ "a": [operator] }), &event);
        assert_eq!(at(json!({ "prefix": "EVENT#" }), json!({ "a": "EVENT#7" })), Ok(true));
        assert_eq!(at(json!({ "prefix": "EVENT#" }), json!({ "a": "STATE" })), Ok(false));
        assert_eq!(at(json!({ "prefix": "EVENT#" }), json!({ "a": 7 })), Ok(false));
        assert_eq!(at(json!({ "suffix": "#" }), json!({ "a": "EVENT#" })), Ok(true));
        assert_eq!(at(json!({ "exists": false }), json!({})), Ok(true));
        assert_eq!(at(json!({ "anything-but": ["x"] }), json!({ "a": "x" })), Ok(false));
    }

    #[test]
    fn what_is_not_known_is_an_error_and_no_match() {
        assert!(matches(&json!({ "a": [{ "wildcard": "*" }] }), &json!({ "a": "x" })).is_err());
        assert!(matches(&json!({ "a": "x" }), &json!({ "a": "x" })).is_err());
        assert!(matches(&json!({ "$or": { "a": ["x"] } }), &json!({ "a": "x" })).is_err());
    }
}
