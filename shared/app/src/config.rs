//! Settings of the deployment, from a map of environment variables. Nothing here reads the environment itself.
//!
//! Every variable is required: the one place with defaults is the template. All problems are found at once and come
//! out as one message that names each variable and its rule, and never a value: a value in the wrong variable may be
//! a secret.

mod access;
mod allowed;
mod rule;
#[cfg(test)]
mod tests;
mod webhook_url;

use std::collections::BTreeMap;
use std::fmt;

use domain::{AccountId, AlertDuration, DriftPolicy, Percent, PollInterval, Region, Settings, Threshold};

pub use access::{Access, NotARole, Principals, Role, role_of_session};
pub use allowed::{Allowed, TypePattern};
pub use webhook_url::{InvalidUrl, WebhookUrl};

use crate::discover::TagSought;
use rule::Reader;

/// One variable that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The variable.
    pub variable: &'static str,
    /// What is wrong with it: the rule it breaks, never its value.
    pub rule: String,
}

/// Everything that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<Problem>);

impl ConfigErrors {
    /// The problems, in the order in which the variables are read.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings cannot be used: ")?;
        for (index, Problem { variable, rule }) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{variable} {rule}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// What every function is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The fleet's defaults, which a worker may override.
    pub settings: Settings,
    /// The regions in which workers may live, each once; never empty.
    pub regions: Vec<Region>,
    /// The name of the fleet table.
    pub fleet_table: String,
    /// The name of the journal table.
    pub journal_table: String,
    /// The name of the bus.
    pub bus: String,
    /// The period of the metrics in seconds: 60 or 300.
    pub metric_period: u32,
    /// How long facts, and workers that are over, are kept.
    pub event_retention_days: u32,
    /// How long samples are kept.
    pub telemetry_retention_days: u32,
    /// How many workers one invocation of collect looks at, 1 to 100.
    pub shard_size: u32,
}

impl Config {
    /// Reads the settings every function needs.
    ///
    /// # Errors
    /// [`ConfigErrors`] with all that is wrong.
    pub fn parse(variables: &BTreeMap<String, String>) -> Result<Self, ConfigErrors> {
        Reader::all(variables, Self::read)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        // Read everything before giving up on anything, so that every problem is found.
        let fleet_table = reader.text("FLEET_TABLE", rule::TABLE, rule::is_table);
        let journal_table = reader.text("JOURNAL_TABLE", rule::TABLE, rule::is_table);
        let bus = reader.text("BUS_NAME", rule::BUS, rule::is_bus);
        let regions = reader.regions("REGIONS");
        let settings = Self::read_settings(reader);
        let metric_period = reader.parsed("METRIC_PERIOD_SECONDS", |text| match text {
            "60" => Ok(60),
            "300" => Ok(300),
            _ => Err("must be 60 or 300".to_owned()),
        });
        let event_retention_days = reader.number("EVENT_RETENTION_DAYS", 1, 3650);
        let telemetry_retention_days = reader.number("TELEMETRY_RETENTION_DAYS", 1, 3650);
        let shard_size = reader.number("SHARD_SIZE", 1, 100);
        Some(Self {
            settings: settings?,
            regions: regions?,
            fleet_table: fleet_table?,
            journal_table: journal_table?,
            bus: bus?,
            metric_period: metric_period?,
            event_retention_days: event_retention_days?,
            telemetry_retention_days: telemetry_retention_days?,
            shard_size: shard_size?,
        })
    }

    fn read_settings(reader: &mut Reader<'_>) -> Option<Settings> {
        let monitoring = reader.flag("MONITORING_ENABLED");
        let interval = reader.ranged(
            "METRICS_POLL_INTERVAL_SECONDS",
            PollInterval::MIN,
            PollInterval::MAX,
            PollInterval::new,
        );
        let remediation = reader.flag("AUTO_REMEDIATION");
        let policy: Option<DriftPolicy> = reader.word("DRIFT_POLICY");
        let percent = |reader: &mut Reader<'_>, variable| {
            reader.ranged(variable, Percent::MIN, Percent::MAX, Percent::new)
        };
        let cpu = percent(reader, "CPU_ALERT_PERCENT");
        let memory = percent(reader, "MEMORY_ALERT_PERCENT");
        let disk = percent(reader, "DISK_ALERT_PERCENT");
        let duration = reader.ranged(
            "ALERT_DURATION_SECONDS",
            AlertDuration::MIN,
            AlertDuration::MAX,
            AlertDuration::new,
        );
        // Remediation is another word for the policy `revert`, and the default policy gives way to it.
        let drift = match (remediation?, policy?) {
            (true, DriftPolicy::Alert | DriftPolicy::Revert) => DriftPolicy::Revert,
            (true, DriftPolicy::Adopt) => {
                let rule =
                    "must be false when DRIFT_POLICY is adopt: EC2 is brought back or accepted, not both";
                return reader.refuse("AUTO_REMEDIATION", rule.to_owned());
            }
            (false, policy) => policy,
        };
        let duration = duration?;
        let threshold = |percent| Threshold { percent, duration };
        Some(Settings {
            monitoring: monitoring?,
            interval: interval?,
            drift,
            cpu: threshold(cpu?),
            memory: threshold(memory?),
            disk: threshold(disk?),
        })
    }
}

/// What `api` is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiConfig {
    /// What every function is told.
    pub common: Config,
    /// The account new workers live in: the stack's own.
    pub account: AccountId,
    /// Who may do what.
    pub access: Access,
    /// What new workers may be launched from.
    pub allowed: Allowed,
    /// How many workers one command may end without their number, 0 to 10000.
    pub mass_termination: u32,
}

impl ApiConfig {
    /// Reads the settings of `api`, common ones included.
    ///
    /// # Errors
    /// [`ConfigErrors`] with all that is wrong.
    pub fn parse(variables: &BTreeMap<String, String>) -> Result<Self, ConfigErrors> {
        Reader::all(variables, Self::read)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let common = Config::read(reader);
        let account = reader.word("ACCOUNT_ID");
        let access = Self::read_access(reader);
        let instance_types = reader.list("ALLOWED_INSTANCE_TYPES", rule::TYPES);
        let image_owners = reader.list("ALLOWED_IMAGE_OWNERS", rule::OWNERS);
        let mass_termination = reader.number("MASS_TERMINATION_LIMIT", 0, 10_000);
        let allowed = Allowed { instance_types: instance_types?, image_owners: image_owners? };
        let mass_termination = mass_termination?;
        Some(Self { common: common?, account: account?, access: access?, allowed, mass_termination })
    }

    fn read_access(reader: &mut Reader<'_>) -> Option<Access> {
        let claim = reader.text("ROLE_CLAIM", rule::CLAIM, rule::is_claim);
        let mut principals = Vec::new();
        for (variable, role) in [
            ("ADMIN_PRINCIPALS", Role::Admin),
            ("OPERATOR_PRINCIPALS", Role::Operator),
            ("VIEWER_PRINCIPALS", Role::Viewer),
        ] {
            let those = reader.list::<Principals>(variable, rule::PRINCIPALS);
            principals.extend(those.into_iter().flatten().map(|those| (those, role)));
        }
        // The highest role counts: whoever is named as less would be an admin all the same.
        let all_are_admins = principals.iter().any(|(those, role)| *role == Role::Admin && those.are_all());
        if all_are_admins && principals.iter().any(|(_, role)| *role != Role::Admin) {
            let rule = "must not be * when OPERATOR_PRINCIPALS or VIEWER_PRINCIPALS name anybody";
            return reader.refuse("ADMIN_PRINCIPALS", rule.to_owned());
        }
        Some(Access { claim: claim?, principals })
    }
}

/// What `collect` is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectConfig {
    /// What every function is told.
    pub common: Config,
    /// The account workers live in: the stack's own.
    pub account: AccountId,
    /// The tag by which instances are discovered; `None` if they are not.
    pub discovery: Option<TagSought>,
}

impl CollectConfig {
    /// Reads the settings of `collect`, common ones included.
    ///
    /// # Errors
    /// [`ConfigErrors`] with all that is wrong.
    pub fn parse(variables: &BTreeMap<String, String>) -> Result<Self, ConfigErrors> {
        Reader::all(variables, Self::read)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let common = Config::read(reader);
        let account = reader.word("ACCOUNT_ID");
        let discovery = reader.optional("DISCOVERY_TAG");
        Some(Self { common: common?, account: account?, discovery: discovery? })
    }
}

/// What `notify` is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyConfig {
    /// What every function is told.
    pub common: Config,
    /// The topic for people.
    pub topic_arn: String,
    /// The endpoints for machines, each once; may be empty.
    pub webhooks: Vec<WebhookUrl>,
    /// The secret that signs webhooks.
    pub webhook_secret_arn: String,
    /// Plain http and addresses that are not public are allowed: the local cloud.
    pub allow_private_webhooks: bool,
}

impl NotifyConfig {
    /// Reads the settings of `notify`, common ones included.
    ///
    /// # Errors
    /// [`ConfigErrors`] with all that is wrong.
    pub fn parse(variables: &BTreeMap<String, String>) -> Result<Self, ConfigErrors> {
        Reader::all(variables, Self::read)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let common = Config::read(reader);
        let topic_arn =
            reader.text("TOPIC_ARN", "must be the ARN of an SNS topic", |text| rule::is_arn(text, "sns"));
        let webhook_secret_arn =
            reader.text("WEBHOOK_SECRET_ARN", "must be the ARN of a Secrets Manager secret", |text| {
                rule::is_arn(text, "secretsmanager")
            });
        let allow_private_webhooks = reader.flag("ALLOW_PRIVATE_WEBHOOKS");
        // If the flag is bad, that is the problem; it says nothing about the URLs.
        let webhooks = reader.webhooks("NOTIFICATION_WEBHOOKS", allow_private_webhooks?);
        Some(Self {
            common: common?,
            topic_arn: topic_arn?,
            webhooks: webhooks?,
            webhook_secret_arn: webhook_secret_arn?,
            allow_private_webhooks: allow_private_webhooks?,
        })
    }
}
