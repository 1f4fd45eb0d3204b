//! The Lambda binary of `notify`.

// An SDK call is a deep future, and a use case is a few of them.
#![recursion_limit = "256"]

use app::config::NotifyConfig;
use app::deliver::{Adapters, Notifier};
use aws::{Aws, RandomIds, Refused, SystemClock};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Refused> {
    let aws = Aws::start()?;
    let config = NotifyConfig::parse(aws.environment().as_map())?;
    let adapters = Adapters {
        workers: &aws.workers(&config.common),
        deliveries: &aws.deliveries(&config.common),
        topic: &aws.topic(&config.topic_arn),
        bus: &aws.bus(&config.common.bus),
        webhooks: &aws.webhooks(config.allow_private_webhooks)?,
        secrets: &aws.secrets(&config.webhook_secret_arn),
        clock: &SystemClock,
        ids: &RandomIds,
    };
    let notifier = Notifier::new(adapters, &config.webhooks);
    aws::serve(async |event| notify::handle(&notifier, &event).await).await
}
