//! The adapters between our ports and AWS, and the way into every Lambda function.
//!
//! The only crate that knows the AWS SDKs. Each adapter serves one port of `app` and is named by what it uses and
//! the role it plays (`DynamoWorkers`, `Ec2Compute`); [`Aws`] makes them all from one configuration.

mod address;
mod call;
mod clients;
mod cloudwatch;
mod config;
mod dynamo;
mod ec2;
mod entry;
mod eventbridge;
mod secrets;
mod sns;
mod system;
mod webhooks;
#[cfg(test)]
mod wire;

pub use clients::{ClientsError, LONGEST_CALL};
pub use cloudwatch::CloudWatchMetrics;
pub use config::Environment;
pub use dynamo::{
    DynamoBuckets, DynamoCommands, DynamoDeliveries, DynamoIdempotency, DynamoSamples, DynamoSweeps,
    DynamoUserData, DynamoWorkers,
};
pub use ec2::{Ec2Actuator, Ec2Compute};
pub use entry::{Refused, serve, serve_http};
pub use eventbridge::EventBridgeBus;
pub use secrets::SecretsManagerSecrets;
pub use sns::SnsTopic;
pub use system::{RandomIds, SystemClock};
pub use webhooks::HttpsWebhooks;

use std::sync::OnceLock;

use app::config::Config;
use aws_types::SdkConfig;

/// The start of every function: the environment, and the configuration all adapters share.
#[derive(Debug)]
pub struct Aws {
    environment: Environment,
    config: SdkConfig,
    dynamo: OnceLock<aws_sdk_dynamodb::Client>,
}

impl Aws {
    /// Reads the environment, sets the log up and the clients' shared part. Connects to nothing.
    pub fn start() -> Result<Self, Refused> {
        let environment = Environment::read();
        entry::log(&environment)?;
        Self::with(environment)
    }

    /// The same with a given environment and without a log: for tests, which are not Lambda functions.
    pub fn with(environment: Environment) -> Result<Self, Refused> {
        let config = clients::shared(&environment)?;
        Ok(Self { environment, config, dynamo: OnceLock::new() })
    }

    /// What the function was started with, for the parsers of settings.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Both tables are one client's: it takes a tenth of the whole start to make one.
    fn dynamo(&self) -> &aws_sdk_dynamodb::Client {
        self.dynamo.get_or_init(|| aws_sdk_dynamodb::Client::new(&self.config))
    }

    /// Workers and their facts.
    pub fn workers(&self, config: &Config) -> DynamoWorkers {
        DynamoWorkers::new(self.dynamo(), &config.fleet_table, config.event_retention_days)
    }

    /// Telemetry.
    pub fn samples(&self, config: &Config) -> DynamoSamples {
        DynamoSamples::new(self.dynamo(), &config.journal_table, config.telemetry_retention_days)
    }

    /// Heartbeats of the metrics channel.
    pub fn sweeps(&self, config: &Config) -> DynamoSweeps {
        DynamoSweeps::new(self.dynamo(), &config.journal_table)
    }

    /// Commands for many workers.
    pub fn commands(&self, config: &Config) -> DynamoCommands {
        DynamoCommands::new(self.dynamo(), &config.journal_table, config.event_retention_days)
    }

    /// Buckets: `act` draws on them, and `api` reads them for its forecasts.
    pub fn buckets(&self, config: &Config) -> DynamoBuckets {
        DynamoBuckets::new(self.dynamo(), &config.journal_table)
    }

    /// Idempotency records.
    pub fn idempotency(&self, config: &Config) -> DynamoIdempotency {
        DynamoIdempotency::new(self.dynamo(), &config.journal_table)
    }

    /// User data until the launch.
    pub fn user_data(&self, config: &Config) -> DynamoUserData {
        DynamoUserData::new(self.dynamo(), &config.journal_table)
    }

    /// The delivery ledger.
    pub fn deliveries(&self, config: &Config) -> DynamoDeliveries {
        DynamoDeliveries::new(self.dynamo(), &config.journal_table, config.event_retention_days)
    }

    /// Reading CloudWatch.
    pub fn metrics(&self) -> CloudWatchMetrics {
        CloudWatchMetrics::new(&self.config)
    }

    /// Reading EC2.
    pub fn compute(&self) -> Ec2Compute {
        Ec2Compute::new(&self.config)
    }

    /// Changing EC2. For `act` alone.
    pub fn actuator(&self) -> Ec2Actuator {
        Ec2Actuator::new(&self.config)
    }

    /// The bus with this name.
    pub fn bus(&self, name: &str) -> EventBridgeBus {
        EventBridgeBus::new(&self.config, name)
    }

    /// The topic with this ARN.
    pub fn topic(&self, arn: &str) -> SnsTopic {
        SnsTopic::new(&self.config, arn)
    }

    /// The signing secret with this ARN.
    pub fn secrets(&self, arn: &str) -> SecretsManagerSecrets {
        SecretsManagerSecrets::new(&self.config, arn)
    }

    /// Webhooks; to private addresses and over plain HTTP as well only if this is said.
    pub fn webhooks(&self, allow_private: bool) -> Result<HttpsWebhooks, Refused> {
        Ok(HttpsWebhooks::new(allow_private)?)
    }
}
