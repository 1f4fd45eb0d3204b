//! Handing out the world, or what stands for it, as each of several ports.

use app::config::WebhookUrl;
use app::deliver::{Adapters, Notifier, Ports};

use super::World;

impl World {
    /// What `notify` tells with.
    pub fn notifier(&self, webhooks: &[WebhookUrl]) -> Notifier<impl Ports> {
        let adapters = Adapters {
            workers: self,
            deliveries: self,
            topic: self,
            bus: self,
            webhooks: self,
            secrets: self,
            clock: self,
            ids: self,
        };
        Notifier::new(adapters, webhooks)
    }
}

/// Within an `impl` of a trait that hands out ports: for a struct around one [`World`], the world is each of them; with `Self;`
/// in front the struct itself is.
#[macro_export]
macro_rules! one_world {
    (Self; $($port:ident: $Port:ident),+ $(,)?) => {$(
        type $Port = Self;

        fn $port(&self) -> &Self {
            self
        }
    )+};
    ($($port:ident: $Port:ident),+ $(,)?) => {$(
        type $Port = $crate::world::World;

        fn $port(&self) -> &$crate::world::World {
            &self.0
        }
    )+};
}

/// The ports of the API, for [`one_world!`]; with `Self;` likewise.
#[macro_export]
macro_rules! api_ports {
    ($($to:tt)*) => {
        $crate::one_world! {
            $($to)*
            workers: Workers,
            samples: Samples,
            idempotency: Idempotency,
            buckets: Buckets,
            commands: Commands,
            compute: Compute,
            user_data: UserData,
            bus: Bus,
            clock: Clock,
            ids: Ids,
        }
    };
}

/// Every port that has laws, for [`one_world!`]; with `Self;` likewise.
#[macro_export]
macro_rules! lawful_ports {
    ($($to:tt)*) => {
        $crate::one_world! {
            $($to)*
            workers: Workers,
            samples: Samples,
            sweeps: Sweeps,
            buckets: Buckets,
            commands: Commands,
            idempotency: Idempotency,
            user_data: UserData,
            deliveries: Deliveries,
            compute: Compute,
            actuator: Actuator,
            metrics: Metrics,
            bus: Bus,
            topic: Topic,
            webhooks: Webhooks,
            secrets: Secrets,
            clock: Clock,
            ids: Ids,
        }
    };
}
