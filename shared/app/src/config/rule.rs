//! Reading one variable by one rule, and keeping count of what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

use domain::{OutOfRange, Region};

use super::{ConfigErrors, Problem, WebhookUrl};

pub(super) const TABLE: &str =
    "must be the name of a DynamoDB table: 3 to 255 letters, digits, '-', '_' or '.'";
pub(super) const BUS: &str =
    "must be the name of an event bus: 1 to 256 letters, digits, '-', '_', '.' or '/'";
pub(super) const TYPES: &str =
    "must be instance types such as m5zn.metal or c5.*, separated by commas, each once";
pub(super) const OWNERS: &str =
    "must be self, amazon, aws-marketplace or 12-digit AWS account ids, separated by commas, each once";

pub(super) const CLAIM: &str = "must be the name of a claim: 1 to 128 printable characters without blanks";
pub(super) const PRINCIPALS: &str = "must be a single *, or ARNs of IAM principals separated by commas, roles without \
                                     their path, in which * stands for any text between two colons";

pub(super) fn is_claim(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

pub(super) fn is_table(text: &str) -> bool {
    (3..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

pub(super) fn is_bus(text: &str) -> bool {
    (1..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
}

/// `arn:<partition>:<service>:<region>:<account>:<resource>`.
pub(super) fn is_arn(text: &str, service: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, of, region, account, resource] = parts[..] else { return false };
    arn == "arn"
        && partition.starts_with("aws")
        && of == service
        && region.parse::<Region>().is_ok()
        && account.parse::<domain::AccountId>().is_ok()
        && !resource.is_empty()
        && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Reads variables and collects problems. What cannot be read is `None` and has a problem.
pub(super) struct Reader<'a> {
    variables: &'a BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// What `read` makes of the variables, if it meets no problems.
    pub(super) fn all<T>(
        variables: &'a BTreeMap<String, String>,
        read: fn(&mut Self) -> Option<T>,
    ) -> Result<T, ConfigErrors> {
        let mut reader = Self { variables, problems: Vec::new() };
        match read(&mut reader) {
            Some(value) if reader.problems.is_empty() => Ok(value),
            _ => Err(ConfigErrors(reader.problems)),
        }
    }

    /// Notes a problem.
    pub(super) fn refuse<T>(&mut self, variable: &'static str, rule: String) -> Option<T> {
        self.problems.push(Problem { variable, rule });
        None
    }

    /// The value of a variable without blanks around it; a problem if there is none, or only blanks.
    pub(super) fn parsed<T>(
        &mut self,
        variable: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.variables.get(variable).map_or("", |value| value.trim());
        // The rule is worth knowing even when there is no value.
        match parse(text) {
            Ok(value) if !text.is_empty() => Some(value),
            Ok(_) => self.refuse(variable, "is not set".to_owned()),
            Err(rule) if text.is_empty() => self.refuse(variable, format!("is not set, and {rule}")),
            Err(rule) => self.refuse(variable, rule),
        }
    }

    pub(super) fn text(
        &mut self,
        variable: &'static str,
        rule: &str,
        valid: impl Fn(&str) -> bool,
    ) -> Option<String> {
        self.parsed(variable, |text| if valid(text) { Ok(text.to_owned()) } else { Err(rule.to_owned()) })
    }

    pub(super) fn flag(&mut self, variable: &'static str) -> Option<bool> {
        self.parsed(variable, |text| text.parse().map_err(|_| "must be true or false".to_owned()))
    }

    pub(super) fn word<T: FromStr<Err: Display>>(&mut self, variable: &'static str) -> Option<T> {
        self.parsed(variable, |text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    pub(super) fn number(&mut self, variable: &'static str, min: u32, max: u32) -> Option<u32> {
        self.ranged(variable, min, max, |number| {
            if (min..=max).contains(&number) { Ok(number) } else { Err(OutOfRange { min, max }) }
        })
    }

    pub(super) fn ranged<T>(
        &mut self,
        variable: &'static str,
        min: u32,
        max: u32,
        new: impl Fn(u32) -> Result<T, OutOfRange>,
    ) -> Option<T> {
        self.parsed(variable, |text| {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            let number = text.parse().ok().filter(|_| digits);
            number.ok_or(OutOfRange { min, max }).and_then(&new).map_err(|error| error.to_string())
        })
    }

    /// A list of regions, each once.
    pub(super) fn regions(&mut self, variable: &'static str) -> Option<Vec<Region>> {
        const RULE: &str = "must be AWS regions such as us-east-1, separated by commas, each once";
        self.parsed(variable, |text| {
            let regions: Option<Vec<Region>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
            regions.filter(|regions| all_different(regions)).ok_or_else(|| RULE.to_owned())
        })
    }

    /// A list of anything else, each once. May be empty.
    pub(super) fn list<T: FromStr + Ord>(&mut self, variable: &'static str, rule: &str) -> Option<Vec<T>> {
        let Some(list) = self.variables.get(variable) else {
            return self.refuse(variable, "is not set; it may be empty".to_owned());
        };
        if list.trim().is_empty() {
            return Some(Vec::new());
        }
        let items: Option<Vec<T>> = list.split(',').map(|part| part.trim().parse().ok()).collect();
        match items.filter(|items| all_different(items)) {
            Some(items) => Some(items),
            None => self.refuse(variable, rule.to_owned()),
        }
    }

    /// Something that may be empty, which is to say that there is none.
    pub(super) fn optional<T: FromStr<Err: Display>>(&mut self, variable: &'static str) -> Option<Option<T>> {
        let Some(text) = self.variables.get(variable) else {
            return self.refuse(variable, "is not set; it may be empty".to_owned());
        };
        if text.trim().is_empty() {
            return Some(None);
        }
        // As it is: a blank may be part of it.
        match text.parse() {
            Ok(value) => Some(Some(value)),
            Err(error) => self.refuse(variable, error.to_string()),
        }
    }

    /// A list of webhooks, each once. May be empty.
    pub(super) fn webhooks(
        &mut self,
        variable: &'static str,
        allow_private: bool,
    ) -> Option<Vec<WebhookUrl>> {
        let Some(list) = self.variables.get(variable) else {
            return self.refuse(variable, "is not set; it may be empty".to_owned());
        };
        if list.trim().is_empty() {
            return Some(Vec::new());
        }
        let mut webhooks = Vec::new();
        for (index, text) in list.split(',').enumerate() {
            match WebhookUrl::parse(text.trim_matches(' '), allow_private) {
                Ok(webhook) => webhooks.push(webhook),
                Err(error) => {
                    self.problems.push(Problem { variable, rule: format!("(number {}) {error}", index + 1) })
                }
            }
        }
        if !all_different(&webhooks) {
            return self.refuse(variable, "must name each URL once".to_owned());
        }
        Some(webhooks)
    }
}

fn all_different<T: Ord>(items: &[T]) -> bool {
    items.iter().collect::<BTreeSet<_>>().len() == items.len()
}
