//! The laws on the real adapters, before MiniStack and moto: `make e2e` runs them on its local cloud.
//!
//! The tables are copies of the deployed ones without a stream, and the topic is one of its own: no function may take part.
#![expect(clippy::disallowed_methods, reason = "a test against real processes has the real environment")]
#![expect(clippy::expect_used, reason = "all of this is a test")]

mod receiver;

use std::collections::BTreeMap;

use app::config::Config;
use app::ports::{WebhookAnswer, WebhookRequest};
use aws::{
    Aws, CloudWatchMetrics, DynamoBuckets, DynamoCommands, DynamoDeliveries, DynamoIdempotency,
    DynamoSamples, DynamoSweeps, DynamoUserData, DynamoWorkers, Ec2Actuator, Ec2Compute, Environment,
    EventBridgeBus, HttpsWebhooks, RandomIds, SecretsManagerSecrets, SnsTopic, SystemClock,
};
use contract::{Known, Subject};
use domain::{AccountId, InstanceId, Region};
use receiver::Receivers;

/// Where an emulator is known to differ from AWS: the law, what it says there, and what AWS does according to its documentation.
/// What stands here must be broken in just that way: an emulator that has learned it is noticed, and so is one that fails.
const KNOWN: &[Known] = &[
    Known {
        law: "actuator::what_is_so_already_is_said_to_be_so",
        says: "left: [Some(Pending), Some(Stopping), Some(ShuttingDown)]",
        reason: "moto answers where the call would lead; AWS where the instance is (EC2 API reference, \"InstanceStateChange\")",
    },
    Known {
        law: "actuator::an_instance_nobody_knows_cannot_be_tagged",
        says: "nobody's tags are refused: Accepted",
        reason: "moto takes tags for any id; AWS answers InvalidInstanceID.NotFound (EC2 API reference, \"Error codes\")",
    },
];

/// One real adapter of each port.
struct Adapters {
    workers: DynamoWorkers,
    samples: DynamoSamples,
    sweeps: DynamoSweeps,
    buckets: DynamoBuckets,
    commands: DynamoCommands,
    idempotency: DynamoIdempotency,
    user_data: DynamoUserData,
    deliveries: DynamoDeliveries,
    compute: Ec2Compute,
    actuator: Ec2Actuator,
    metrics: CloudWatchMetrics,
    bus: EventBridgeBus,
    topic: SnsTopic,
    webhooks: HttpsWebhooks,
    receivers: Receivers,
    secrets: SecretsManagerSecrets,
    no_secrets: SecretsManagerSecrets,
    account: AccountId,
    region: Region,
    image: String,
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run this with `make e2e`"))
}

/// The settings of a function that works on these tables.
fn config(region: &str) -> Config {
    let (fleet, journal) = (variable("LAWS_FLEET_TABLE"), variable("LAWS_JOURNAL_TABLE"));
    let settings = [
        ("FLEET_TABLE", fleet.as_str()),
        ("JOURNAL_TABLE", &journal),
        // The default bus: none of the stack's rules there waits for events of ours.
        ("BUS_NAME", "default"),
        ("REGIONS", region),
        ("MONITORING_ENABLED", "true"),
        ("METRICS_POLL_INTERVAL_SECONDS", "60"),
        ("AUTO_REMEDIATION", "false"),
        ("DRIFT_POLICY", "alert"),
        ("CPU_ALERT_PERCENT", "90"),
        ("MEMORY_ALERT_PERCENT", "90"),
        ("DISK_ALERT_PERCENT", "90"),
        ("ALERT_DURATION_SECONDS", "600"),
        ("METRIC_PERIOD_SECONDS", "60"),
        ("EVENT_RETENTION_DAYS", "90"),
        ("TELEMETRY_RETENTION_DAYS", "30"),
        ("SHARD_SIZE", "100"),
    ];
    let settings: BTreeMap<String, String> =
        settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Config::parse(&settings).expect("settings")
}

impl Adapters {
    fn new() -> Self {
        let (ministack, moto, region) = (variable("MINISTACK_URL"), variable("MOTO_URL"), variable("REGION"));
        let aws = Aws::with(Environment::from([
            ("AWS_REGION", region.as_str()),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_ENDPOINT_URL", &ministack),
            ("AWS_ENDPOINT_URL_EC2", &moto),
        ]))
        .expect("an environment");
        let config = config(&region);
        Self {
            workers: aws.workers(&config),
            samples: aws.samples(&config),
            sweeps: aws.sweeps(&config),
            buckets: aws.buckets(&config),
            commands: aws.commands(&config),
            idempotency: aws.idempotency(&config),
            user_data: aws.user_data(&config),
            deliveries: aws.deliveries(&config),
            compute: aws.compute(),
            actuator: aws.actuator(),
            metrics: aws.metrics(),
            bus: aws.bus(&config.bus),
            topic: aws.topic(&variable("LAWS_TOPIC_ARN")),
            webhooks: aws.webhooks(true).expect("a client"),
            receivers: Receivers::default(),
            secrets: aws.secrets(&variable("LAWS_SECRET_ARN")),
            no_secrets: aws.secrets("laws-without-one"),
            account: variable("ACCOUNT_ID").parse().expect("an account"),
            region: region.parse().expect("a region"),
            image: variable("LAWS_IMAGE_ID"),
        }
    }
}

impl Subject for Adapters {
    type Workers = DynamoWorkers;
    type Samples = DynamoSamples;
    type Sweeps = DynamoSweeps;
    type Buckets = DynamoBuckets;
    type Commands = DynamoCommands;
    type Idempotency = DynamoIdempotency;
    type UserData = DynamoUserData;
    type Deliveries = DynamoDeliveries;
    type Compute = Ec2Compute;
    type Actuator = Ec2Actuator;
    type Metrics = CloudWatchMetrics;
    type Bus = EventBridgeBus;
    type Topic = SnsTopic;
    type Webhooks = HttpsWebhooks;
    type Secrets = SecretsManagerSecrets;
    type Clock = SystemClock;
    type Ids = RandomIds;

    fn workers(&self) -> &DynamoWorkers {
        &self.workers
    }

    fn samples(&self) -> &DynamoSamples {
        &self.samples
    }

    fn sweeps(&self) -> &DynamoSweeps {
        &self.sweeps
    }

    fn buckets(&self) -> &DynamoBuckets {
        &self.buckets
    }

    fn commands(&self) -> &DynamoCommands {
        &self.commands
    }

    fn idempotency(&self) -> &DynamoIdempotency {
        &self.idempotency
    }

    fn user_data(&self) -> &DynamoUserData {
        &self.user_data
    }

    fn deliveries(&self) -> &DynamoDeliveries {
        &self.deliveries
    }

    fn compute(&self) -> &Ec2Compute {
        &self.compute
    }

    fn actuator(&self) -> &Ec2Actuator {
        &self.actuator
    }

    fn metrics(&self) -> &CloudWatchMetrics {
        &self.metrics
    }

    fn bus(&self) -> &EventBridgeBus {
        &self.bus
    }

    fn topic(&self) -> &SnsTopic {
        &self.topic
    }

    fn webhooks(&self) -> &HttpsWebhooks {
        &self.webhooks
    }

    fn secrets(&self) -> &SecretsManagerSecrets {
        &self.secrets
    }

    fn clock(&self) -> &SystemClock {
        &SystemClock
    }

    fn ids(&self) -> &RandomIds {
        &RandomIds
    }

    fn account(&self) -> AccountId {
        self.account.clone()
    }

    fn region(&self) -> Region {
        self.region.clone()
    }

    fn image(&self) -> String {
        self.image.clone()
    }

    /// The pulse publishes what an instance reports as soon as it runs.
    async fn measured(&self) -> InstanceId {
        contract::compute::running(self).await.1
    }

    fn receiver(&self, answer: Option<WebhookAnswer>) -> String {
        self.receivers.open(answer)
    }

    fn received(&self, url: &str) -> Vec<WebhookRequest> {
        self.receivers.got(url)
    }

    fn secret_as_put(&self) -> String {
        variable("LAWS_SECRET")
    }

    fn secrets_without_one(&self) -> &SecretsManagerSecrets {
        &self.no_secrets
    }
}

macro_rules! on_emulators {
    ($module:ident: $($law:ident),+ $(,)?) => {
        mod $module {
            $(#[tokio::test]
            #[ignore = "needs a local cloud: make e2e"]
            async fn $law() {
                let name = concat!(stringify!($module), "::", stringify!($law));
                let subject = super::Adapters::new();
                let law = contract::$module::$law(&subject);
                match super::KNOWN.iter().find(|known| known.law == name) {
                    None => law.await,
                    Some(known) => {
                        known.breaks(law).await;
                        println!("{name} is known not to hold here: {}", known.reason);
                    }
                }
            })+
        }
    };
}

contract::every_law!(on_emulators);
