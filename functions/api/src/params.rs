//! Query parameters: known ones, each at most once.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::Uri;
use axum::http::request::Parts;

use crate::input::{Faults, Rule};
use crate::problem::{Kind, Problem};

/// The query parameters a request knows.
pub(crate) trait Known {
    /// Their names.
    const NAMES: &'static [&'static str];
}

/// No query parameters.
#[derive(Debug)]
pub(crate) struct NoParams;

impl Known for NoParams {
    const NAMES: &'static [&'static str] = &[];
}

/// The query parameters of a request, and what is wrong with them so far.
#[derive(Debug)]
pub(crate) struct Params<K> {
    values: BTreeMap<String, String>,
    pub(crate) faults: Faults,
    known: PhantomData<fn() -> K>,
}

impl<K: Known> Params<K> {
    pub(crate) fn read(uri: &Uri) -> Result<Self, Problem> {
        let mut faults = Faults::default();
        // Every text is a list of pairs to this parser, so nothing is lost here; bytes that are not UTF-8 become
        // replacement characters, which no parameter allows.
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).unwrap_or_default();
        let mut values = BTreeMap::new();
        for (name, value) in pairs {
            if !K::NAMES.contains(&name.as_str()) {
                let allowed = match K::NAMES {
                    [] => "no parameters".to_owned(),
                    names => names.join(", "),
                };
                faults.add(name, "is not a parameter of this request", Some(allowed));
            } else if values.insert(name.clone(), value).is_some() {
                faults.add(name, "is given twice", None);
            }
        }
        let mut params = Self { values, faults, known: PhantomData };
        params.check(Kind::InvalidParameter)?;
        Ok(params)
    }

    /// The plain text of a parameter.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// A parameter that must parse.
    pub(crate) fn parse<T: FromStr<Err: Rule>>(&mut self, name: &str) -> Option<T> {
        let text = self.values.get(name)?;
        self.faults.parse(name, text)
    }

    /// The parameter `limit`: a plain decimal number from 1 to `max`.
    pub(crate) fn limit(&mut self, default: u32, max: u32) -> u32 {
        let Some(text) = self.values.get("limit") else { return default };
        let plain = text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse::<u32>() {
            Ok(limit) if plain && (1..=max).contains(&limit) => limit,
            _ => {
                let allowed = Some(format!("1 to {max}"));
                self.faults.add("limit", format!("must be a whole number from 1 to {max}"), allowed);
                default
            }
        }
    }

    /// Fails if anything was wrong.
    pub(crate) fn check(&mut self, kind: Kind) -> Result<(), Problem> {
        std::mem::take(&mut self.faults).check(kind)
    }
}

impl<K: Known, S: Sync> FromRequestParts<S> for Params<K> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::read(&parts.uri)
    }
}
