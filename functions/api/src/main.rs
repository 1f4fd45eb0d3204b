//! The Lambda binary of `api`.

// An SDK call is a deep future, and a use case is a few of them.
#![recursion_limit = "256"]

use api::{Api, Ports};
use app::config::ApiConfig;
use aws::{
    Aws, DynamoBuckets, DynamoCommands, DynamoIdempotency, DynamoSamples, DynamoUserData, DynamoWorkers,
    Ec2Compute, EventBridgeBus, RandomIds, Refused, SystemClock,
};

/// The API's outside is AWS.
struct OnAws {
    workers: DynamoWorkers,
    samples: DynamoSamples,
    idempotency: DynamoIdempotency,
    buckets: DynamoBuckets,
    commands: DynamoCommands,
    compute: Ec2Compute,
    user_data: DynamoUserData,
    bus: EventBridgeBus,
}

impl Ports for OnAws {
    type Workers = DynamoWorkers;
    type Samples = DynamoSamples;
    type Idempotency = DynamoIdempotency;
    type Buckets = DynamoBuckets;
    type Commands = DynamoCommands;
    type Compute = Ec2Compute;
    type UserData = DynamoUserData;
    type Bus = EventBridgeBus;
    type Clock = SystemClock;
    type Ids = RandomIds;

    fn workers(&self) -> &DynamoWorkers {
        &self.workers
    }

    fn samples(&self) -> &DynamoSamples {
        &self.samples
    }

    fn idempotency(&self) -> &DynamoIdempotency {
        &self.idempotency
    }

    fn buckets(&self) -> &DynamoBuckets {
        &self.buckets
    }

    fn commands(&self) -> &DynamoCommands {
        &self.commands
    }

    fn compute(&self) -> &Ec2Compute {
        &self.compute
    }

    fn user_data(&self) -> &DynamoUserData {
        &self.user_data
    }

    fn bus(&self) -> &EventBridgeBus {
        &self.bus
    }

    fn clock(&self) -> &SystemClock {
        &SystemClock
    }

    fn ids(&self) -> &RandomIds {
        &RandomIds
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Refused> {
    let aws = Aws::start()?;
    let ApiConfig { common: config, account, access, allowed, mass_termination } =
        ApiConfig::parse(aws.environment().as_map())?;
    let ports = OnAws {
        workers: aws.workers(&config),
        samples: aws.samples(&config),
        idempotency: aws.idempotency(&config),
        buckets: aws.buckets(&config),
        commands: aws.commands(&config),
        compute: aws.compute(),
        user_data: aws.user_data(&config),
        bus: aws.bus(&config.bus),
    };
    let api = Api {
        ports,
        settings: config.settings,
        regions: config.regions,
        account,
        access,
        allowed,
        mass_termination,
    };
    aws::serve_http(api::router(api)).await
}
