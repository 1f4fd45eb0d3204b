//! A worker as the API shows it.

use std::collections::BTreeMap;

use app::record::Stored;
use domain::{
    ActionKind, Alert, Alternative, Attempt, Drift, GivenUp, Health, Held, LaunchSpec, LaunchTemplate,
    Origin, Overrides, Plan, Policy, Settings, Timestamp, Worker,
};
use serde::Serialize;

/// A time: RFC 3339, UTC, milliseconds, as in facts.
pub(crate) fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// The JSON of a worker. What is not known is null.
#[derive(Debug, Serialize)]
pub(crate) struct WorkerView {
    id: String,
    name: String,
    region: String,
    account: String,
    zone: Option<String>,
    instance_id: Option<String>,
    instance_type: Option<String>,
    status: &'static str,
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
    origin: &'static str,
    spec: Option<SpecView>,
    created_at: String,
    updated_at: String,
    terminated_at: Option<String>,
    forgotten_at: Option<String>,
    version: u64,
}

#[derive(Debug, Serialize)]
struct ObservedView {
    state: &'static str,
    source: Option<&'static str>,
    at: Option<String>,
    seen_at: Option<String>,
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct HealthView {
    system: &'static str,
    instance: &'static str,
    ebs: &'static str,
    at: String,
}

#[derive(Debug, Serialize)]
struct AddressesView {
    private: Option<String>,
    public: Option<String>,
}

#[derive(Debug, Serialize)]
struct SettingsView {
    own: OwnView,
    in_force: InForceView,
}

/// A setting that is absent follows the fleet.
#[derive(Debug, Serialize)]
struct OwnView {
    #[serde(skip_serializing_if = "Option::is_none")]
    monitoring: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drift: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert_duration: Option<u32>,
}

#[derive(Debug, Serialize)]
struct InForceView {
    monitoring: bool,
    interval: u32,
    drift: &'static str,
    cpu: u32,
    memory: u32,
    disk: u32,
    alert_duration: u32,
}

/// A hand on the worker: why, since when and whose.
#[derive(Debug, Serialize)]
struct HeldView {
    reason: String,
    at: String,
    by: String,
}

#[derive(Debug, Serialize)]
struct DriftView {
    desired: &'static str,
    observed: &'static str,
    since: String,
    detected_by: &'static str,
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct AttemptView {
    action: &'static str,
    number: u32,
    issued_at: String,
    deadline: String,
    alternative: Option<u32>,
    accepted: bool,
    failed: Option<FailedView>,
}

#[derive(Debug, Serialize)]
struct FailedView {
    kind: &'static str,
    message: String,
    retry_at: String,
}

/// The next step and why, or why there is none.
#[derive(Debug, Serialize)]
struct NextView {
    action: Option<&'static str>,
    reason: &'static str,
    text: String,
}

/// An action that waits for a command.
#[derive(Debug, Serialize)]
struct GivenUpView {
    action: &'static str,
    tried_at: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct AlertView {
    kind: &'static str,
    since: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct SpecView {
    image: Option<String>,
    instance_type: Option<String>,
    launch_template: Option<TemplateView>,
    subnet: Option<String>,
    security_groups: Vec<String>,
    key_name: Option<String>,
    instance_profile: Option<String>,
    root_volume_gib: Option<u32>,
    root_volume_type: Option<&'static str>,
    /// Whether there is some; never what it says.
    user_data: bool,
    alternatives: Vec<AlternativeView>,
    /// The one in use, counted from 1; 0 is the spec itself, null if there are none.
    alternative: Option<u32>,
}

/// What is launched instead: what it does not say is as in the spec.
#[derive(Debug, Serialize)]
struct AlternativeView {
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subnet: Option<String>,
}

/// A launch template, by its id or its name.
#[derive(Debug, Serialize)]
struct TemplateView {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    version: String,
}

impl WorkerView {
    /// The worker as it is at `now`, in a fleet with these settings.
    pub(crate) fn of(stored: &Stored, settings: &Settings, now: Timestamp) -> Self {
        let worker = &stored.worker;
        let state = worker.state();
        let policy = state.overrides.over(settings);
        let (origin, spec) = match &state.origin {
            Origin::Created(spec) => ("created", Some(SpecView::of(spec, worker.alternative()))),
            Origin::Imported => ("imported", None),
        };
        Self {
            id: state.id.to_string(),
            name: state.name.to_string(),
            region: state.region.to_string(),
            account: state.account.to_string(),
            zone: state.zone.as_ref().map(ToString::to_string),
            instance_id: state.instance.as_ref().map(ToString::to_string),
            instance_type: state.instance_type.clone(),
            status: worker.status().as_str(),
            desired: state.desired.as_str(),
            observed: ObservedView::from(worker),
            health: state.health.as_ref().map(HealthView::from),
            addresses: AddressesView {
                private: state.private_ip.map(|ip| ip.to_string()),
                public: state.public_ip.map(|ip| ip.to_string()),
            },
            tags: state.tags.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
            settings: SettingsView {
                own: OwnView::from(&state.overrides),
                in_force: InForceView::from(&policy),
            },
            held: state.held.as_ref().map(HeldView::from),
            protected: state.protected,
            drift: state.drift.as_ref().map(DriftView::from),
            attempt: state.attempt.as_ref().map(AttemptView::from),
            next: NextView::from(&worker.plan(&policy, now)),
            gave_up: state.gave_up.iter().map(GivenUpView::from).collect(),
            alerts: state.alerts.values().map(AlertView::from).collect(),
            origin,
            spec,
            created_at: time(state.created_at),
            updated_at: time(stored.updated_at),
            terminated_at: state.terminated_at.map(time),
            forgotten_at: state.forgotten_at.map(time),
            version: stored.version,
        }
    }
}

impl From<&Worker> for ObservedView {
    fn from(worker: &Worker) -> Self {
        let (sighting, failure) = (&worker.state().sighting, &worker.state().failure_reason);
        let told = sighting.as_ref().and_then(|sighting| sighting.state_reason.clone());
        Self {
            state: worker.observed().as_str(),
            source: sighting.as_ref().map(|sighting| sighting.source.as_str()),
            at: sighting.as_ref().map(|sighting| time(sighting.at)),
            seen_at: sighting.as_ref().map(|sighting| time(sighting.seen_at)),
            reason: if worker.is_unobservable() { failure.clone() } else { told },
        }
    }
}

impl From<&Health> for HealthView {
    fn from(health: &Health) -> Self {
        Self {
            system: health.system.as_str(),
            instance: health.instance.as_str(),
            ebs: health.ebs.as_str(),
            at: time(health.at),
        }
    }
}

impl From<&Overrides> for OwnView {
    fn from(own: &Overrides) -> Self {
        Self {
            monitoring: own.monitoring,
            interval: own.interval.map(|interval| interval.get()),
            drift: own.drift.map(|policy| policy.as_str()),
            cpu: own.cpu.map(|percent| percent.get()),
            memory: own.memory.map(|percent| percent.get()),
            disk: own.disk.map(|percent| percent.get()),
            alert_duration: own.alert_duration.map(|duration| duration.get()),
        }
    }
}

impl From<&Policy> for InForceView {
    fn from(policy: &Policy) -> Self {
        Self {
            monitoring: policy.monitoring,
            interval: policy.interval.get(),
            drift: policy.drift.as_str(),
            cpu: policy.cpu.percent.get(),
            memory: policy.memory.percent.get(),
            disk: policy.disk.percent.get(),
            // One setting for all three metrics.
            alert_duration: policy.cpu.duration.get(),
        }
    }
}

impl From<&Held> for HeldView {
    fn from(held: &Held) -> Self {
        Self { reason: held.reason.to_string(), at: time(held.at), by: held.by.to_string() }
    }
}

impl From<&Drift> for DriftView {
    fn from(drift: &Drift) -> Self {
        Self {
            desired: drift.desired.as_str(),
            observed: drift.observed.as_str(),
            since: time(drift.since),
            detected_by: drift.detected_by.as_str(),
            reason: drift.reason.clone(),
        }
    }
}

impl From<&Attempt> for AttemptView {
    fn from(attempt: &Attempt) -> Self {
        Self {
            action: attempt.action.as_str(),
            number: attempt.number,
            issued_at: time(attempt.issued_at),
            deadline: time(attempt.deadline),
            alternative: attempt.alternative,
            accepted: attempt.accepted,
            failed: attempt.failed.as_ref().map(|(failure, retry_at)| FailedView {
                kind: failure.kind.as_str(),
                message: failure.message.clone(),
                retry_at: time(*retry_at),
            }),
        }
    }
}

impl From<&Plan> for NextView {
    fn from(plan: &Plan) -> Self {
        Self {
            action: plan.action.as_ref().map(|action| action.kind().as_str()),
            reason: plan.reason.as_str(),
            text: plan.reason.to_string(),
        }
    }
}

impl From<(&ActionKind, &GivenUp)> for GivenUpView {
    fn from((action, given_up): (&ActionKind, &GivenUp)) -> Self {
        Self { action: action.as_str(), tried_at: time(given_up.tried_at), reason: given_up.reason.clone() }
    }
}

impl From<&Alert> for AlertView {
    fn from(alert: &Alert) -> Self {
        Self { kind: alert.kind.as_str(), since: time(alert.since), reason: alert.reason.clone() }
    }
}

impl SpecView {
    fn of(spec: &LaunchSpec, alternative: Option<u32>) -> Self {
        Self {
            image: spec.image.clone(),
            instance_type: spec.instance_type.clone(),
            launch_template: spec.launch_template.as_ref().map(TemplateView::from),
            subnet: spec.subnet.clone(),
            security_groups: spec.security_groups.clone(),
            key_name: spec.key_name.clone(),
            instance_profile: spec.instance_profile.clone(),
            root_volume_gib: spec.root_volume_gib,
            root_volume_type: spec.root_volume_type.map(|kind| kind.as_str()),
            user_data: spec.user_data,
            alternatives: spec.alternatives.iter().map(AlternativeView::from).collect(),
            alternative,
        }
    }
}

impl From<&Alternative> for AlternativeView {
    fn from(alternative: &Alternative) -> Self {
        Self { instance_type: alternative.instance_type.clone(), subnet: alternative.subnet.clone() }
    }
}

impl From<&LaunchTemplate> for TemplateView {
    fn from(template: &LaunchTemplate) -> Self {
        let (id, name, version) = match template {
            LaunchTemplate::Id { id, version } => (Some(id.clone()), None, version),
            LaunchTemplate::Name { name, version } => (None, Some(name.clone()), version),
        };
        Self { id, name, version: version.clone() }
    }
}
