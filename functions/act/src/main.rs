//! The Lambda binary of `act`.

// An SDK call is a deep future, and a use case is a few of them.
#![recursion_limit = "256"]

use app::bulk::BulkRunner;
use app::config::Config;
use app::fleet::Fleet;
use app::reconcile::Reconciler;
use aws::{Aws, Refused, SystemClock};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Refused> {
    let aws = Aws::start()?;
    let config = Config::parse(aws.environment().as_map())?;
    let workers = aws.workers(&config);
    let fleet = Fleet { workers: &workers, clock: &SystemClock, settings: &config.settings };
    let reconciler = Reconciler {
        fleet,
        compute: &aws.compute(),
        actuator: &aws.actuator(),
        buckets: &aws.buckets(&config),
        user_data: &aws.user_data(&config),
    };
    let runner = BulkRunner { fleet, commands: &aws.commands(&config), bus: &aws.bus(&config.bus) };
    aws::serve(async |event| act::handle(&reconciler, &runner, &event).await).await
}
