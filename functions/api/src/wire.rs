//! The answers of this API as types: what it writes, and, with the feature `client`, what a client reads.
//!
//! Facts are written from [`app::fact::Fact`], which takes only those it knows. A client of an older release must not fail at a
//! new one, so it reads them as the JSON they are.

pub use crate::problem::{Body as Problem, Fault, NAMESPACE};
pub use crate::routes::commands::view::{
    CancelledView as Cancelled, CommandView as Command, CountsView as CommandCounts,
    ItemView as CommandWorker, ItemsView as CommandWorkers, ProgressView as CommandProgress,
    RefusalView as Refusal,
};
pub use crate::routes::history::{PointView as Point, TelemetryJson as Telemetry};
pub use crate::routes::import::{
    Counts as OutcomeCounts, FoundJson as Discovered, ItemJson as DiscoveredInstance, Outcome,
    ReasonJson as Reason,
};
pub use crate::routes::read::WorkersJson as Workers;
pub use crate::view::{
    AddressesView as Addresses, AlertView as Alert, AlternativeView as Alternative, AttemptView as Attempt,
    DriftView as Drift, FailedView as Failed, GivenUpView as GivenUp, HealthView as Health, HeldView as Held,
    InForceView as SettingsInForce, NextView as Next, ObservedView as Observed, OwnView as OwnSettings,
    SettingsView as Settings, SpecView as Spec, TemplateView as Template, Word, WorkerView as Worker,
};
