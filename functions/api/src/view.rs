//! A worker as the API shows it. How one is put together is in `of`.

#![expect(missing_docs, reason = "the names are those of the JSON; `openapi.json` says what they may hold")]

mod of;

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::Timestamp;
use serde::Serialize;

#[cfg(test)]
use crate::openapi::is;

/// One word of a closed list: borrowed where it is written, owned where it was read.
pub type Word = Cow<'static, str>;

/// A time: RFC 3339, UTC, milliseconds, as in facts.
pub(crate) fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// The JSON of a worker. What is not known is null.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Worker))]
pub struct WorkerView {
    #[cfg_attr(test, schema(value_type = is::WorkerId))]
    pub id: String,
    #[cfg_attr(test, schema(value_type = is::Name))]
    pub name: String,
    #[cfg_attr(test, schema(value_type = is::Region))]
    pub region: String,
    #[cfg_attr(test, schema(value_type = is::AccountId))]
    pub account: String,
    pub zone: Option<String>,
    #[cfg_attr(test, schema(value_type = Option<is::InstanceId>))]
    pub instance_id: Option<String>,
    pub instance_type: Option<String>,
    #[cfg_attr(test, schema(value_type = is::Status))]
    pub status: Word,
    #[cfg_attr(test, schema(value_type = is::Desired))]
    pub desired: Word,
    pub observed: ObservedView,
    pub health: Option<HealthView>,
    pub addresses: AddressesView,
    pub tags: BTreeMap<String, String>,
    pub settings: SettingsView,
    pub held: Option<HeldView>,
    pub protected: bool,
    pub drift: Option<DriftView>,
    pub attempt: Option<AttemptView>,
    pub next: NextView,
    pub gave_up: Vec<GivenUpView>,
    pub alerts: Vec<AlertView>,
    #[cfg_attr(test, schema(value_type = is::Origin))]
    pub origin: Word,
    pub spec: Option<SpecView>,
    #[cfg_attr(test, schema(value_type = is::Time))]
    pub created_at: String,
    #[cfg_attr(test, schema(value_type = is::Time))]
    pub updated_at: String,
    #[cfg_attr(test, schema(value_type = Option<is::Time>))]
    pub terminated_at: Option<String>,
    #[cfg_attr(test, schema(value_type = Option<is::Time>))]
    pub forgotten_at: Option<String>,
    pub version: u64,
}

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = WorkerObserved))]
pub struct ObservedView {
    #[cfg_attr(test, schema(value_type = is::Observed))]
    pub state: Word,
    #[cfg_attr(test, schema(value_type = Option<is::Source>))]
    pub source: Option<Word>,
    #[cfg_attr(test, schema(value_type = Option<is::Time>))]
    pub at: Option<String>,
    #[cfg_attr(test, schema(value_type = Option<is::Time>))]
    pub seen_at: Option<String>,
    pub reason: Option<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Health))]
pub struct HealthView {
    #[cfg_attr(test, schema(value_type = is::CheckStatus))]
    pub system: Word,
    #[cfg_attr(test, schema(value_type = is::CheckStatus))]
    pub instance: Word,
    #[cfg_attr(test, schema(value_type = is::CheckStatus))]
    pub ebs: Word,
    #[cfg_attr(test, schema(value_type = is::Time))]
    pub at: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Addresses))]
pub struct AddressesView {
    pub private: Option<String>,
    pub public: Option<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = WorkerSettings))]
pub struct SettingsView {
    pub own: OwnView,
    pub in_force: InForceView,
}

/// A setting that is absent follows the fleet.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = OwnSettings))]
pub struct OwnView {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<is::PollInterval>))]
    pub interval: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<is::DriftPolicy>))]
    pub drift: Option<Word>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<is::Percent>))]
    pub cpu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<is::Percent>))]
    pub memory: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<is::Percent>))]
    pub disk: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<is::AlertDuration>))]
    pub alert_duration: Option<u32>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SettingsInForce))]
pub struct InForceView {
    pub monitoring: bool,
    #[cfg_attr(test, schema(value_type = is::PollInterval))]
    pub interval: u32,
    #[cfg_attr(test, schema(value_type = is::DriftPolicy))]
    pub drift: Word,
    #[cfg_attr(test, schema(value_type = is::Percent))]
    pub cpu: u32,
    #[cfg_attr(test, schema(value_type = is::Percent))]
    pub memory: u32,
    #[cfg_attr(test, schema(value_type = is::Percent))]
    pub disk: u32,
    #[cfg_attr(test, schema(value_type = is::AlertDuration))]
    pub alert_duration: u32,
}

/// A hand on the worker: why, since when and whose.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Held))]
pub struct HeldView {
    pub reason: String,
    #[cfg_attr(test, schema(value_type = is::Time))]
    pub at: String,
    pub by: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Drift))]
pub struct DriftView {
    #[cfg_attr(test, schema(value_type = is::Desired))]
    pub desired: Word,
    #[cfg_attr(test, schema(value_type = is::Observed))]
    pub observed: Word,
    #[cfg_attr(test, schema(value_type = is::Time))]
    pub since: String,
    #[cfg_attr(test, schema(value_type = is::Source))]
    pub detected_by: Word,
    pub reason: Option<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Attempt))]
pub struct AttemptView {
    #[cfg_attr(test, schema(value_type = is::ActionKind))]
    pub action: Word,
    pub number: u32,
    #[cfg_attr(test, schema(value_type = is::Time))]
    pub issued_at: String,
    #[cfg_attr(test, schema(value_type = is::Time))]
    pub deadline: String,
    pub alternative: Option<u32>,
    pub accepted: bool,
    pub failed: Option<FailedView>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Failed))]
pub struct FailedView {
    #[cfg_attr(test, schema(value_type = is::FailureKind))]
    pub kind: Word,
    pub message: String,
    #[cfg_attr(test, schema(value_type = is::Time))]
    pub retry_at: String,
}

/// The next step and why, or why there is none.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Next))]
pub struct NextView {
    #[cfg_attr(test, schema(value_type = Option<is::ActionKind>))]
    pub action: Option<Word>,
    #[cfg_attr(test, schema(value_type = String))]
    pub reason: Word,
    pub text: String,
}

/// An action that waits for a command.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = GivenUp))]
pub struct GivenUpView {
    #[cfg_attr(test, schema(value_type = is::ActionKind))]
    pub action: Word,
    #[cfg_attr(test, schema(value_type = is::Time))]
    pub tried_at: String,
    pub reason: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Alert))]
pub struct AlertView {
    #[cfg_attr(test, schema(value_type = is::AlertKind))]
    pub kind: Word,
    #[cfg_attr(test, schema(value_type = is::Time))]
    pub since: String,
    pub reason: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = WorkerSpec))]
pub struct SpecView {
    pub image: Option<String>,
    pub instance_type: Option<String>,
    pub launch_template: Option<TemplateView>,
    pub subnet: Option<String>,
    pub security_groups: Vec<String>,
    pub key_name: Option<String>,
    pub instance_profile: Option<String>,
    pub root_volume_gib: Option<u32>,
    #[cfg_attr(test, schema(value_type = Option<is::VolumeType>))]
    pub root_volume_type: Option<Word>,
    /// Whether there is some; never what it says.
    pub user_data: bool,
    pub alternatives: Vec<AlternativeView>,
    /// The one in use, counted from 1; 0 is the spec itself, null if there are none.
    pub alternative: Option<u32>,
}

/// What is launched instead: what it does not say is as in the spec.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = WorkerAlternative))]
pub struct AlternativeView {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
}

/// A launch template, by its id or its name.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = WorkerTemplate))]
pub struct TemplateView {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub version: String,
}
