//! The Lambda binary of `poll`.

// An SDK call is a deep future, and a use case is a few of them.
#![recursion_limit = "256"]

use app::config::Config;
use app::ports::Clock;
use app::sweep::Poll;
use aws::{Aws, Refused, SystemClock};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Refused> {
    let aws = Aws::start()?;
    let config = Config::parse(aws.environment().as_map())?;
    let poll = Poll {
        workers: &aws.workers(&config),
        sweeps: &aws.sweeps(&config),
        commands: &aws.commands(&config),
        bus: &aws.bus(&config.bus),
        settings: &config.settings,
        regions: &config.regions,
        shard_size: config.shard_size,
        metric_period: config.metric_period,
    };
    aws::serve(async |event| poll::handle(&poll, &event, SystemClock.now()).await).await
}
