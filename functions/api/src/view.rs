//! A worker as the API shows it. How one is put together is in `of`.

mod of;

use std::collections::BTreeMap;

use domain::Timestamp;
use serde::Serialize;

#[cfg(test)]
use crate::openapi::is;

/// A time: RFC 3339, UTC, milliseconds, as in facts.
pub(crate) fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// The JSON of a worker. What is not known is null.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Worker))]
pub(crate) struct WorkerView {
    #[cfg_attr(test, schema(value_type = is::WorkerId))]
    id: String,
    #[cfg_attr(test, schema(value_type = is::Name))]
    name: String,
    #[cfg_attr(test, schema(value_type = is::Region))]
    region: String,
    #[cfg_attr(test, schema(value_type = is::AccountId))]
    account: String,
    zone: Option<String>,
    #[cfg_attr(test, schema(value_type = Option<is::InstanceId>))]
    instance_id: Option<String>,
    instance_type: Option<String>,
    #[cfg_attr(test, schema(value_type = is::Status))]
    status: &'static str,
    #[cfg_attr(test, schema(value_type = is::Desired))]
    desired: &'static str,
    observed: ObservedView,
    health: Option<HealthView>,
    addresses: AddressesView,
    tags: BTreeMap<String, String>,
    settings: SettingsView,
    held: Option<HeldView>,
    protected: bool,
    drift: Option<DriftView>,
    attempt: Option<AttemptView>,
    next: NextView,
    gave_up: Vec<GivenUpView>,
    alerts: Vec<AlertView>,
    #[cfg_attr(test, schema(value_type = is::Origin))]
    origin: &'static str,
    spec: Option<SpecView>,
    #[cfg_attr(test, schema(value_type = is::Time))]
    created_at: String,
    #[cfg_attr(test, schema(value_type = is::Time))]
    updated_at: String,
    #[cfg_attr(test, schema(value_type = Option<is::Time>))]
    terminated_at: Option<String>,
    #[cfg_attr(test, schema(value_type = Option<is::Time>))]
    forgotten_at: Option<String>,
    version: u64,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = WorkerObserved))]
struct ObservedView {
    #[cfg_attr(test, schema(value_type = is::Observed))]
    state: &'static str,
    #[cfg_attr(test, schema(value_type = Option<is::Source>))]
    source: Option<&'static str>,
    #[cfg_attr(test, schema(value_type = Option<is::Time>))]
    at: Option<String>,
    #[cfg_attr(test, schema(value_type = Option<is::Time>))]
    seen_at: Option<String>,
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Health))]
struct HealthView {
    #[cfg_attr(test, schema(value_type = is::CheckStatus))]
    system: &'static str,
    #[cfg_attr(test, schema(value_type = is::CheckStatus))]
    instance: &'static str,
    #[cfg_attr(test, schema(value_type = is::CheckStatus))]
    ebs: &'static str,
    #[cfg_attr(test, schema(value_type = is::Time))]
    at: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Addresses))]
struct AddressesView {
    private: Option<String>,
    public: Option<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = WorkerSettings))]
struct SettingsView {
    own: OwnView,
    in_force: InForceView,
}

/// A setting that is absent follows the fleet.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = OwnSettings))]
struct OwnView {
    #[serde(skip_serializing_if = "Option::is_none")]
    monitoring: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<is::PollInterval>))]
    interval: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<is::DriftPolicy>))]
    drift: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<is::Percent>))]
    cpu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<is::Percent>))]
    memory: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<is::Percent>))]
    disk: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<is::AlertDuration>))]
    alert_duration: Option<u32>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SettingsInForce))]
struct InForceView {
    monitoring: bool,
    #[cfg_attr(test, schema(value_type = is::PollInterval))]
    interval: u32,
    #[cfg_attr(test, schema(value_type = is::DriftPolicy))]
    drift: &'static str,
    #[cfg_attr(test, schema(value_type = is::Percent))]
    cpu: u32,
    #[cfg_attr(test, schema(value_type = is::Percent))]
    memory: u32,
    #[cfg_attr(test, schema(value_type = is::Percent))]
    disk: u32,
    #[cfg_attr(test, schema(value_type = is::AlertDuration))]
    alert_duration: u32,
}

/// A hand on the worker: why, since when and whose.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Held))]
struct HeldView {
    reason: String,
    #[cfg_attr(test, schema(value_type = is::Time))]
    at: String,
    by: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Drift))]
struct DriftView {
    #[cfg_attr(test, schema(value_type = is::Desired))]
    desired: &'static str,
    #[cfg_attr(test, schema(value_type = is::Observed))]
    observed: &'static str,
    #[cfg_attr(test, schema(value_type = is::Time))]
    since: String,
    #[cfg_attr(test, schema(value_type = is::Source))]
    detected_by: &'static str,
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Attempt))]
struct AttemptView {
    #[cfg_attr(test, schema(value_type = is::ActionKind))]
    action: &'static str,
    number: u32,
    #[cfg_attr(test, schema(value_type = is::Time))]
    issued_at: String,
    #[cfg_attr(test, schema(value_type = is::Time))]
    deadline: String,
    alternative: Option<u32>,
    accepted: bool,
    failed: Option<FailedView>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Failed))]
struct FailedView {
    #[cfg_attr(test, schema(value_type = is::FailureKind))]
    kind: &'static str,
    message: String,
    #[cfg_attr(test, schema(value_type = is::Time))]
    retry_at: String,
}

/// The next step and why, or why there is none.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Next))]
struct NextView {
    #[cfg_attr(test, schema(value_type = Option<is::ActionKind>))]
    action: Option<&'static str>,
    reason: &'static str,
    text: String,
}

/// An action that waits for a command.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = GivenUp))]
struct GivenUpView {
    #[cfg_attr(test, schema(value_type = is::ActionKind))]
    action: &'static str,
    #[cfg_attr(test, schema(value_type = is::Time))]
    tried_at: String,
    reason: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Alert))]
struct AlertView {
    #[cfg_attr(test, schema(value_type = is::AlertKind))]
    kind: &'static str,
    #[cfg_attr(test, schema(value_type = is::Time))]
    since: String,
    reason: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = WorkerSpec))]
struct SpecView {
    image: Option<String>,
    instance_type: Option<String>,
    launch_template: Option<TemplateView>,
    subnet: Option<String>,
    security_groups: Vec<String>,
    key_name: Option<String>,
    instance_profile: Option<String>,
    root_volume_gib: Option<u32>,
    #[cfg_attr(test, schema(value_type = Option<is::VolumeType>))]
    root_volume_type: Option<&'static str>,
    /// Whether there is some; never what it says.
    user_data: bool,
    alternatives: Vec<AlternativeView>,
    /// The one in use, counted from 1; 0 is the spec itself, null if there are none.
    alternative: Option<u32>,
}

/// What is launched instead: what it does not say is as in the spec.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = WorkerAlternative))]
struct AlternativeView {
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subnet: Option<String>,
}

/// A launch template, by its id or its name.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = WorkerTemplate))]
struct TemplateView {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    version: String,
}
