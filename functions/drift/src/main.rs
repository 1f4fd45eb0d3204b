//! The Lambda binary of `drift`.

// An SDK call is a deep future, and a use case is a few of them.
#![recursion_limit = "256"]

use app::config::Config;
use app::fleet::Fleet;
use aws::{Aws, Refused, SystemClock};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Refused> {
    let aws = Aws::start()?;
    let config = Config::parse(aws.environment().as_map())?;
    let workers = aws.workers(&config);
    let compute = aws.compute();
    let fleet = Fleet { workers: &workers, clock: &SystemClock, settings: &config.settings };
    aws::serve(async |event| drift::handle(&fleet, &compute, &config.regions, &event).await).await
}
