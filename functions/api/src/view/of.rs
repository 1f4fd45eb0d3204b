//! The JSON of a worker, put together from its record.

use app::record::Stored;
use domain::{
    ActionKind, Alert, Alternative, Attempt, Drift, GivenUp, Health, Held, LaunchSpec, LaunchTemplate,
    Origin, Overrides, Plan, Policy, Settings, Timestamp, Worker,
};

use super::{
    AddressesView, AlertView, AlternativeView, AttemptView, DriftView, FailedView, GivenUpView, HealthView,
    HeldView, InForceView, NextView, ObservedView, OwnView, SettingsView, SpecView, TemplateView, WorkerView,
    time,
};

impl WorkerView {
    /// The worker as it is at `now`, in a fleet with these settings.
    pub(crate) fn of(stored: &Stored, settings: &Settings, now: Timestamp) -> Self {
        let worker = &stored.worker;
        let state = worker.state();
        let policy = state.overrides.over(settings);
        let (origin, spec) = match &state.origin {
            Origin::Created(spec) => ("created".into(), Some(SpecView::of(spec, worker.alternative()))),
            Origin::Imported => ("imported".into(), None),
        };
        Self {
            id: state.id.to_string(),
            name: state.name.to_string(),
            region: state.region.to_string(),
            account: state.account.to_string(),
            zone: state.zone.as_ref().map(ToString::to_string),
            instance_id: state.instance.as_ref().map(ToString::to_string),
            instance_type: state.instance_type.clone(),
            status: worker.status().as_str().into(),
            desired: state.desired.as_str().into(),
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
            state: worker.observed().as_str().into(),
            source: sighting.as_ref().map(|sighting| sighting.source.as_str().into()),
            at: sighting.as_ref().map(|sighting| time(sighting.at)),
            seen_at: sighting.as_ref().map(|sighting| time(sighting.seen_at)),
            reason: if worker.is_unobservable() { failure.clone() } else { told },
        }
    }
}

impl From<&Health> for HealthView {
    fn from(health: &Health) -> Self {
        Self {
            system: health.system.as_str().into(),
            instance: health.instance.as_str().into(),
            ebs: health.ebs.as_str().into(),
            at: time(health.at),
        }
    }
}

impl From<&Overrides> for OwnView {
    fn from(own: &Overrides) -> Self {
        Self {
            monitoring: own.monitoring,
            interval: own.interval.map(|interval| interval.get()),
            drift: own.drift.map(|policy| policy.as_str().into()),
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
            drift: policy.drift.as_str().into(),
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
            desired: drift.desired.as_str().into(),
            observed: drift.observed.as_str().into(),
            since: time(drift.since),
            detected_by: drift.detected_by.as_str().into(),
            reason: drift.reason.clone(),
        }
    }
}

impl From<&Attempt> for AttemptView {
    fn from(attempt: &Attempt) -> Self {
        Self {
            action: attempt.action.as_str().into(),
            number: attempt.number,
            issued_at: time(attempt.issued_at),
            deadline: time(attempt.deadline),
            alternative: attempt.alternative,
            accepted: attempt.accepted,
            failed: attempt.failed.as_ref().map(|(failure, retry_at)| FailedView {
                kind: failure.kind.as_str().into(),
                message: failure.message.clone(),
                retry_at: time(*retry_at),
            }),
        }
    }
}

impl From<&Plan> for NextView {
    fn from(plan: &Plan) -> Self {
        Self {
            action: plan.action.as_ref().map(|action| action.kind().as_str().into()),
            reason: plan.reason.as_str().into(),
            text: plan.reason.to_string(),
        }
    }
}

impl From<(&ActionKind, &GivenUp)> for GivenUpView {
    fn from((action, given_up): (&ActionKind, &GivenUp)) -> Self {
        Self {
            action: action.as_str().into(),
            tried_at: time(given_up.tried_at),
            reason: given_up.reason.clone(),
        }
    }
}

impl From<&Alert> for AlertView {
    fn from(alert: &Alert) -> Self {
        Self { kind: alert.kind.as_str().into(), since: time(alert.since), reason: alert.reason.clone() }
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
            root_volume_type: spec.root_volume_type.map(|kind| kind.as_str().into()),
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
