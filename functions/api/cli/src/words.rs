//! Texts of the command line that stand for something.

use std::str::FromStr;

use domain::Timestamp;
use serde_json::{Map, Value};

/// `key=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                Ok(Self { key: key.to_owned(), value: value.to_owned() })
            }
            _ => Err("must be key=value".to_owned()),
        }
    }
}

/// An object of these pairs. A key that is given twice would get lost.
pub(crate) fn object(pairs: &[Pair]) -> Result<Map<String, Value>, String> {
    let mut object = Map::new();
    for Pair { key, value } in pairs {
        if object.insert(key.clone(), Value::String(value.clone())).is_some() {
            return Err(format!("{key} is given twice"));
        }
    }
    Ok(object)
}

/// A span of time: a number and one of s, m, h, d.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(i64);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || "must be a number and s, m, h or d, such as 90m".to_owned();
        let unit = match text.chars().last() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            _ => return Err(fault()),
        };
        let digits = &text[..text.len() - 1];
        let number: u32 = digits.parse().map_err(|_| fault())?;
        Ok(Self(i64::from(number) * unit))
    }
}

impl Span {
    /// The time that lies so long before `now`.
    pub(crate) fn before(self, now: Timestamp) -> Timestamp {
        Timestamp::from_second(now.as_second() - self.0).unwrap_or(Timestamp::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_split_at_its_first_equals_sign() {
        let pair = "url=https://x/?a=b".parse::<Pair>().expect("a pair");
        assert_eq!((pair.key.as_str(), pair.value.as_str()), ("url", "https://x/?a=b"));
        assert_eq!("empty=".parse::<Pair>().expect("a pair").value, "");
        assert!("=x".parse::<Pair>().is_err() && "x".parse::<Pair>().is_err());
        assert!(object(&[pair.clone(), pair]).is_err());
    }

    #[test]
    fn a_span_has_a_number_and_a_unit() {
        for (text, seconds) in [("30s", 30), ("90m", 5400), ("24h", 86_400), ("7d", 604_800)] {
            assert_eq!(text.parse(), Ok(Span(seconds)), "{text}");
        }
        for bad in ["", "h", "1", "-1h", "1w", "1.5h", "1 h", "1ü", "99999999999d"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }
}
