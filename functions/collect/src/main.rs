//! The Lambda binary of `collect`.

// An SDK call is a deep future, and a use case is a few of them.
#![recursion_limit = "256"]

use app::collect::{Collector, Memory};
use app::config::CollectConfig;
use app::fleet::Fleet;
use aws::{Aws, RandomIds, Refused, SystemClock};
use collect::Scheduled;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Refused> {
    let aws = Aws::start()?;
    let CollectConfig { common: config, account, discovery } =
        CollectConfig::parse(aws.environment().as_map())?;
    let workers = aws.workers(&config);
    let collector = Collector {
        fleet: Fleet { workers: &workers, clock: &SystemClock, settings: &config.settings },
        compute: &aws.compute(),
        metrics: &aws.metrics(),
        samples: &aws.samples(&config),
        memory: &Memory::default(),
        metric_period: config.metric_period,
    };
    let scheduled =
        Scheduled { tag: discovery.as_ref(), regions: &config.regions, account: &account, ids: &RandomIds };
    aws::serve(async |event| collect::handle(&collector, &scheduled, &event).await).await
}
