//! How the values inside facts and states are written. The compiler holds each definition to the domain's own type.

use std::net::IpAddr;

use domain::{
    ActionKind, Actor, AlertDuration, Alternative, CheckStatus, Desired, DriftPolicy, Failure, FailureKind,
    LaunchSpec, LaunchTemplate, Observed, Overrides, Percent, PollInterval, Reason, Source, Timestamp,
    VolumeType, Zone,
};
use serde::{Deserialize, Serialize};
use serde_with::{DisplayFromStr, FromInto, serde_as, skip_serializing_none};

use super::form::{Ranged, stands_for};

#[serde_as]
#[skip_serializing_none]
#[derive(Serialize, Deserialize)]
#[serde(remote = "LaunchSpec")]
pub(crate) struct LaunchSpecShape {
    image: Option<String>,
    instance_type: Option<String>,
    #[serde_as(as = "Option<LaunchTemplateShape>")]
    launch_template: Option<LaunchTemplate>,
    subnet: Option<String>,
    security_groups: Vec<String>,
    key_name: Option<String>,
    instance_profile: Option<String>,
    root_volume_gib: Option<u32>,
    #[serde_as(as = "Option<DisplayFromStr>")]
    root_volume_type: Option<VolumeType>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    user_data: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[serde_as(as = "Vec<AlternativeShape>")]
    alternatives: Vec<Alternative>,
}

#[skip_serializing_none]
#[derive(Serialize, Deserialize)]
#[serde(remote = "Alternative")]
struct AlternativeShape {
    instance_type: Option<String>,
    subnet: Option<String>,
}

/// Told apart by the member that names it.
#[derive(Serialize, Deserialize)]
#[serde(remote = "LaunchTemplate", untagged)]
enum LaunchTemplateShape {
    Id { id: String, version: String },
    Name { name: String, version: String },
}

#[serde_as]
#[skip_serializing_none]
#[derive(Serialize, Deserialize)]
#[serde(remote = "Overrides")]
pub(crate) struct OverridesShape {
    monitoring: Option<bool>,
    #[serde_as(as = "Option<Ranged>")]
    interval: Option<PollInterval>,
    #[serde_as(as = "Option<DisplayFromStr>")]
    drift: Option<DriftPolicy>,
    #[serde_as(as = "Option<Ranged>")]
    cpu: Option<Percent>,
    #[serde_as(as = "Option<Ranged>")]
    memory: Option<Percent>,
    #[serde_as(as = "Option<Ranged>")]
    disk: Option<Percent>,
    #[serde_as(as = "Option<Ranged>")]
    alert_duration: Option<AlertDuration>,
}

#[serde_as]
#[derive(Serialize, Deserialize)]
#[serde(remote = "Failure")]
pub(crate) struct FailureShape {
    #[serde_as(as = "DisplayFromStr")]
    kind: FailureKind,
    message: String,
}

/// [`Actor`] as an object that can grow.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum ActorShape {
    Caller { id: String },
    Policy,
}

impl From<Actor> for ActorShape {
    fn from(actor: Actor) -> Self {
        match actor {
            Actor::Caller(id) => Self::Caller { id },
            Actor::Policy => Self::Policy,
        }
    }
}

impl From<ActorShape> for Actor {
    fn from(actor: ActorShape) -> Self {
        match actor {
            ActorShape::Caller { id } => Self::Caller(id),
            ActorShape::Policy => Self::Policy,
        }
    }
}

/// [`Observed`] as the particulars of a reason.
#[serde_as]
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct ObservedShape {
    #[serde_as(as = "DisplayFromStr")]
    observed: Observed,
}

impl From<Observed> for ObservedShape {
    fn from(observed: Observed) -> Self {
        Self { observed }
    }
}

impl From<ObservedShape> for Observed {
    fn from(shape: ObservedShape) -> Self {
        shape.observed
    }
}

stands_for!(
    LaunchSpecShape => LaunchSpec,
    LaunchTemplateShape => LaunchTemplate,
    AlternativeShape => Alternative,
    OverridesShape => Overrides,
    FailureShape => Failure,
);

/// What holds a time is written in two forms: for the world in [`Rfc3339`](super::form::Rfc3339), in the table's own
/// state in [`Millis`](super::form::Millis). `Moment` is the form of the module that uses this.
macro_rules! timed_shapes {
    () => {
        use super::*;

        #[serde_as]
        #[derive(Serialize, Deserialize)]
        #[serde(remote = "domain::Health")]
        pub(crate) struct HealthShape {
            #[serde_as(as = "DisplayFromStr")]
            system: CheckStatus,
            #[serde_as(as = "DisplayFromStr")]
            instance: CheckStatus,
            #[serde_as(as = "DisplayFromStr")]
            ebs: CheckStatus,
            #[serde_as(as = "Moment")]
            at: Timestamp,
        }

        #[serde_as]
        #[skip_serializing_none]
        #[derive(Serialize, Deserialize)]
        #[serde(remote = "domain::Sighting")]
        pub(crate) struct SightingShape {
            #[serde_as(as = "DisplayFromStr")]
            observed: Observed,
            #[serde_as(as = "DisplayFromStr")]
            source: Source,
            #[serde_as(as = "Moment")]
            at: Timestamp,
            #[serde_as(as = "Moment")]
            seen_at: Timestamp,
            state_reason: Option<String>,
        }

        #[serde_as]
        #[skip_serializing_none]
        #[derive(Serialize, Deserialize)]
        #[serde(remote = "domain::Drift")]
        pub(crate) struct DriftShape {
            #[serde_as(as = "DisplayFromStr")]
            desired: Desired,
            #[serde_as(as = "DisplayFromStr")]
            observed: Observed,
            #[serde_as(as = "Moment")]
            since: Timestamp,
            #[serde_as(as = "DisplayFromStr")]
            detected_by: Source,
            reason: Option<String>,
        }

        #[serde_as]
        #[derive(Serialize, Deserialize)]
        #[serde(remote = "domain::Alert")]
        pub(crate) struct AlertShape {
            #[serde_as(as = "DisplayFromStr")]
            kind: domain::AlertKind,
            #[serde_as(as = "Moment")]
            since: Timestamp,
            reason: String,
        }

        stands_for!(
            HealthShape => domain::Health,
            SightingShape => domain::Sighting,
            DriftShape => domain::Drift,
            AlertShape => domain::Alert,
        );
    };
}

/// The shapes of the table's own state.
pub(crate) mod millis {
    use super::super::form::Millis as Moment;
    timed_shapes!();
}

/// The shapes of facts.
pub(crate) mod rfc3339 {
    use super::super::form::Rfc3339 as Moment;
    timed_shapes!();

    #[serde_as]
    #[skip_serializing_none]
    #[derive(Serialize, Deserialize)]
    #[serde(remote = "domain::Details")]
    pub(crate) struct DetailsShape {
        state_reason: Option<String>,
        #[serde_as(as = "Option<HealthShape>")]
        health: Option<domain::Health>,
        private_ip: Option<IpAddr>,
        public_ip: Option<IpAddr>,
        #[serde_as(as = "Option<DisplayFromStr>")]
        zone: Option<Zone>,
        instance_type: Option<String>,
    }

    #[serde_as]
    #[derive(Serialize, Deserialize)]
    #[serde(remote = "Reason", tag = "code", rename_all = "snake_case")]
    pub(crate) enum ReasonShape {
        Ended,
        Forgotten,
        AsDesired,
        Requested,
        NotLaunched,
        LaunchUnresolved,
        Unobserved,
        InTransition(#[serde_as(as = "FromInto<ObservedShape>")] Observed),
        Missing,
        DriftReverted,
        DriftLeft,
        DriftAdopted,
        RebootRequested,
        Adoption,
        TagsDiffer,
        InFlight {
            #[serde_as(as = "DisplayFromStr")]
            action: ActionKind,
            number: u32,
            #[serde_as(as = "Moment")]
            until: Timestamp,
        },
        BackingOff {
            #[serde_as(as = "DisplayFromStr")]
            action: ActionKind,
            number: u32,
            #[serde_as(as = "Moment")]
            until: Timestamp,
        },
        Queued {
            #[serde_as(as = "DisplayFromStr")]
            action: ActionKind,
            #[serde_as(as = "Moment")]
            until: Timestamp,
        },
        Exhausted {
            #[serde_as(as = "DisplayFromStr")]
            action: ActionKind,
            number: u32,
        },
        GaveUp,
        Held,
    }

    stands_for!(DetailsShape => domain::Details, ReasonShape => Reason);
}
