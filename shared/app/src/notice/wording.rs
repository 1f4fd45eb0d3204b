//! The words for each fact, for people.

use domain::{
    ActionKind, Actor, AlertKind, Desired, Drift, DriftPolicy, Event, FailureKind, Health, LaunchSpec,
    LaunchTemplate, Observed, Overrides, Source,
};

use super::text::clean;
use crate::record::EventRecord;

/// What is said of a fact.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) title: String,
    pub(super) happened: String,
    pub(super) why: Option<String>,
    pub(super) response: Option<String>,
    pub(super) advice: Option<String>,
}

/// The words for one fact of a record.
pub(super) fn say(event: &Event, record: &EventRecord) -> Said {
    let name = &record.name;
    match event {
        Event::Created { spec, by, .. } => said(format!("{name} was created"))
            .happened(format!("{} asked for a new worker: {}.", who(by), made_of(spec)))
            .response("It launches the instance and monitors it from now on."),
        Event::Imported { instance, desired, by, .. } => said(format!("{name} was imported"))
            .happened(format!(
                "{} had instance {instance} imported. It is to be {desired}, as it was found.",
                who(by)
            ))
            .response("It monitors the instance from now on."),
        Event::Renamed { from, to, by } => {
            said(format!("{from} is now called {to}")).happened(format!("{} renamed the worker.", who(by)))
        }
        Event::TagsChanged { by, .. } => said(format!("the tags of {name} were changed"))
            .happened(format!("{} changed the worker's tags.", who(by)))
            .response("It brings the instance's tags in line as soon as it may change the instance."),
        Event::SettingsChanged { from, to, by } => said(format!("the settings of {name} were changed"))
            .happened(format!("{} changed the worker's own settings: {}.", who(by), difference(from, to))),
        Event::Held { reason, by, .. } => said(format!("{name} is held"))
            .happened(format!("{} holds the worker.", who(by)))
            .why(Some(reason.as_str()))
            .response("It changes nothing about the instance until the worker is released, and goes on watching it."),
        Event::Released { by, .. } => said(format!("{name} is no longer held"))
            .happened(format!("{} released the worker.", who(by)))
            .response("It does what has waited, if EC2 is not as it was asked to be."),
        Event::ProtectionChanged { protected: true, by } => said(format!("{name} is protected"))
            .happened(format!("{} protected the worker: to terminate it takes its name.", who(by))),
        Event::ProtectionChanged { protected: false, by } => said(format!("{name} is no longer protected"))
            .happened(format!("{} took the protection from the worker.", who(by))),
        Event::DesiredChanged { from, to, by, .. } => desired_changed(name, *from, *to, by),
        Event::RebootRequested { by, .. } => said(format!("{name} is to be rebooted"))
            .happened(format!("{} asked for a reboot.", who(by)))
            .response("It reboots the instance."),
        Event::RetryRequested { action, by, .. } => {
            said(format!("cml-fleet tries again to {} {name}", on_ec2(*action)))
                .happened(format!("{} asked for it.", who(by)))
        }
        Event::Forgotten { by, .. } => said(format!("{name} was forgotten"))
            .happened(format!("{} asked cml-fleet to stop answering for it.", who(by)))
            .response("It leaves the instance as it is, and no longer monitors it.")
            .advice("Import the instance again to have it monitored."),
        Event::InstanceObserved { sighting, .. } => said(format!("EC2 reports {name} {}", sighting.observed))
            .happened(format!("{} says the instance is {}.", source(sighting.source), sighting.observed))
            .why(sighting.state_reason.as_deref()),
        Event::InstanceNotFound { .. } => said(format!("EC2 does not know the instance of {name}")),
        Event::ObservationFailed { reason, .. } => {
            said(format!("EC2 could not be asked about {name}")).why(Some(reason))
        }
        Event::StatusChanged { from, to, reason } => said(format!("the status of {name} is {to}"))
            .happened(format!("It was {from} before."))
            .why(Some(reason)),
        Event::HealthChanged { from, to } => health(name, from.as_ref(), to),
        Event::DesiredReached { .. } => said(format!("{name} is as it was asked to be")),
        Event::DriftDetected { drift, policy, held } => drifted(record, drift, *policy, *held),
        Event::DriftResolved { drift, .. } => {
            said(format!("{name} is {} again, as it should be", drift.desired)).happened(format!(
                "EC2 reports the instance {}. It had been {} since {:.0}.",
                drift.desired, drift.observed, drift.since
            ))
        }
        Event::ActionOvertook { .. } => said(format!("an earlier action on {name} took its effect")),
        Event::ActionQueued { action, not_before, reason, .. } => {
            said(format!("{name} waits for its turn to {}", on_ec2(*action)))
                .happened(format!("Its turn is at {not_before:.0}."))
                .why(Some(reason))
        }
        Event::ActionIssued { action, number, deadline, alternative, reason, .. } => {
            let way = alternative.filter(|number| *number != 0);
            let way = way.map_or_else(String::new, |number| format!(" by alternative {number}"));
            said(format!("cml-fleet is about to {} {name}", on_ec2(*action)))
                .happened(format!("Attempt {number}{way}, with time until {deadline:.0}."))
                .why(Some(&reason.to_string()))
        }
        Event::ActionAccepted { action, .. } => said(format!("EC2 accepted to {} {name}", on_ec2(*action)))
            .happened("Accepted is not done yet.".to_owned()),
        Event::ActionFailed { action, number, failure, retry_at, next_alternative, .. } => {
            said(format!("an attempt to {} {name} failed", on_ec2(*action)))
                .happened(format!("Attempt {number} failed ({}).", failure.kind))
                .why(Some(&failure.message))
                .response(match failure.kind {
                    FailureKind::Withheld => {
                        "It goes on with what is asked for, unless somebody holds the worker.".to_owned()
                    }
                    _ if next_alternative.is_some_and(|next| next != 0) => {
                        "It tries the next alternative at once.".to_owned()
                    }
                    _ if next_alternative.is_some() => {
                        format!("Unless the attempts are used up, it tries all again from {retry_at:.0}.")
                    }
                    FailureKind::AlreadyLaunched => "It searches for that instance.".to_owned(),
                    kind if action.may_repeat(kind) => {
                        format!("Unless the attempts are used up, it tries again from {retry_at:.0}.")
                    }
                    kind if kind.is_open() => "It does not try again: it might be done twice.".to_owned(),
                    _ => "Trying again would not help.".to_owned(),
                })
        }
        Event::GaveUp { action, attempts, reason, .. } => gave_up(record, *action, *attempts, reason),
        Event::Launched { instance, .. } => said(format!("{name} has its instance, {instance}")),
        Event::TagsApplied { .. } => said(format!("the instance of {name} carries its tags")),
        Event::AlertRaised { alert } => alert_raised(record, alert.kind, &alert.reason),
        Event::AlertResolved { kind, reason, .. } => {
            alert_resolved(name, *kind).happened("An alert is over.".to_owned()).why(Some(reason))
        }
        Event::Terminated { expected, reason, .. } => terminated(record, *expected, reason),
    }
}

const fn said(title: String) -> Said {
    Said { title, happened: String::new(), why: None, response: None, advice: None }
}

impl Said {
    fn happened(mut self, happened: String) -> Self {
        self.happened = happened;
        self
    }

    fn why(mut self, why: Option<&str>) -> Self {
        self.why = why.map(clean).filter(|why| !why.is_empty());
        self
    }

    fn response(mut self, response: impl Into<String>) -> Self {
        self.response = Some(response.into());
        self
    }

    fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

fn who(by: &Actor) -> String {
    match by {
        Actor::Caller(identity) => clean(identity),
        Actor::Policy => "The drift policy".to_owned(),
    }
}

/// What a new worker is made of.
fn made_of(spec: &LaunchSpec) -> String {
    let kind = spec.instance_type.as_deref().map(clean);
    let image = spec.image.as_deref().map(|image| format!("from {}", clean(image)));
    let template = spec.launch_template.as_ref().map(|template| match template {
        LaunchTemplate::Id { id: which, version } | LaunchTemplate::Name { name: which, version } => {
            format!("by launch template {}, version {}", clean(which), clean(version))
        }
    });
    [kind, image, template].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

const fn source(source: Source) -> &'static str {
    match source {
        Source::Describe => "The poll",
        Source::Response => "EC2's answer to a call",
        Source::Event => "An EC2 event",
    }
}

/// What an action is called between "to" and the worker's name.
const fn on_ec2(action: ActionKind) -> &'static str {
    match action {
        ActionKind::Launch => "launch",
        ActionKind::Locate => "locate the instance of",
        ActionKind::Start => "start",
        ActionKind::Stop => "stop",
        ActionKind::Reboot => "reboot",
        ActionKind::Terminate => "terminate",
        ActionKind::Tag => "tag the instance of",
    }
}

const fn verb(desired: Desired) -> &'static str {
    match desired {
        Desired::Running => "start",
        Desired::Stopped => "stop",
        Desired::Terminated => "terminate",
    }
}

fn desired_changed(name: &domain::Name, from: Desired, to: Desired, by: &Actor) -> Said {
    let again = if from == to { " again" } else { "" };
    let said = said(format!("{name} is to be {to}{again}"));
    let happened = format!("{} asked for it; it was to be {from} before.", who(by));
    let said = said.happened(if from == to { format!("{} asked for it again.", who(by)) } else { happened });
    match to {
        Desired::Running => said.response("It starts the instance if it does not run."),
        Desired::Stopped => said.response("It stops the instance if it runs."),
        Desired::Terminated => said.response("It terminates the instance. There is no way back from that."),
    }
}

fn health(name: &domain::Name, from: Option<&Health>, to: &Health) -> Said {
    let checks = format!("System: {}, instance: {}, attached EBS: {}.", to.system, to.instance, to.ebs);
    if to.is_impaired() {
        return said(format!("status checks of {name} fail"))
            .happened(checks)
            .response("It changes nothing: AWS recovers most instances with a failed system check by itself.")
            .advice("If it lasts: a system check needs a stop and a start, an instance check a reboot.");
    }
    if from.is_some_and(Health::is_impaired) {
        return said(format!("status checks of {name} no longer fail")).happened(checks);
    }
    said(format!("status checks of {name} changed")).happened(checks)
}

fn drifted(record: &EventRecord, drift: &Drift, policy: DriftPolicy, held: bool) -> Said {
    let Drift { desired, observed, since, detected_by, reason } = drift;
    let said = said(format!("{} is {observed} and should be {desired}", record.name))
        .happened(format!(
            "EC2 reports the instance {observed} since {since:.0}, and cml-fleet did not do that. {} found it.",
            source(*detected_by)
        ))
        .why(Some(reason.as_deref().unwrap_or("EC2 gave no reason")));
    let accepting = match observed {
        Observed::Running => "start",
        _ => "stop",
    };
    // A held worker takes no such commands.
    let first = if held { "Release the worker first, then: " } else { "" };
    match policy {
        DriftPolicy::Alert => said
            .response("It changes nothing, as the drift policy is `alert`.")
            .advice(format!(
                "{first}`{}` the worker to bring it back, or `{accepting}` it to accept this. Drift policy `revert` would do \
                 the former by itself, `adopt` the latter.",
                verb(*desired)
            )),
        DriftPolicy::Revert if held => said
            .response("It changes nothing, as the worker is held, whatever the drift policy `revert` says.")
            .advice(format!(
                "Release the worker when you are done: it is brought back to {desired} then, unless its policy is another."
            )),
        DriftPolicy::Revert => said
            .response(match desired {
                Desired::Running => "It is starting the instance again, as the drift policy is `revert`.",
                Desired::Stopped => "It is stopping the instance again, as the drift policy is `revert`.",
                Desired::Terminated => "It is terminating the instance, as the drift policy is `revert`.",
            })
            .advice(format!(
                "Nothing: you will be told when it is {desired} again, or if that fails. `{accepting}` the worker if \
                 this was right."
            )),
        DriftPolicy::Adopt => said
            .response(format!("It accepts this, as the drift policy is `adopt`: the worker is to be {observed} now."))
            .advice(format!("{first}`{}` the worker if this was wrong.", verb(*desired))),
    }
}

fn gave_up(record: &EventRecord, action: ActionKind, attempts: u32, reason: &str) -> Said {
    let succeeded = if action == ActionKind::Reboot { "is known to have succeeded" } else { "succeeded" };
    let times = if attempts == 1 { "attempt" } else { "attempts" };
    let said = said(format!("cml-fleet gave up trying to {} {}", on_ec2(action), record.name))
        .happened(format!("{attempts} {times}, and none {succeeded}."))
        .why(Some(reason));
    match action {
        ActionKind::Tag => said
            .response("It leaves the instance's tags as they are, and does all else that is due.")
            .advice("Remove the cause, then `sync` the worker or change its tags."),
        ActionKind::Reboot => said
            .response("It does not reboot it by itself any more, and does all else that is due.")
            .advice("Look at the instance, and `reboot` the worker again if it needs it."),
        ActionKind::Launch
        | ActionKind::Locate
        | ActionKind::Start
        | ActionKind::Stop
        | ActionKind::Terminate => said
            .response("It does not try again until somebody asks for something.")
            .advice("Remove the cause, then repeat the command."),
    }
}

fn alert_resolved(name: &domain::Name, kind: AlertKind) -> Said {
    said(match kind {
        AlertKind::Cpu => format!("{name}: processor use is no longer high"),
        AlertKind::Memory => format!("{name}: memory use is no longer high"),
        AlertKind::Disk => format!("{name}: disk use is no longer high"),
        AlertKind::Missing => format!("the instance of {name} is no longer missing"),
        AlertKind::Unobservable => format!("{name} can be observed again"),
        AlertKind::Hanging => format!("{name} no longer hangs between two states"),
    })
}

const EXCEEDED: &str = "A threshold has been exceeded for longer than it may be.";

fn alert_raised(record: &EventRecord, kind: AlertKind, reason: &str) -> Said {
    let name = &record.name;
    match kind {
        AlertKind::Cpu => said(format!("{name}: processor use is high")).happened(EXCEEDED.to_owned()),
        AlertKind::Memory => said(format!("{name}: memory use is high")).happened(EXCEEDED.to_owned()),
        AlertKind::Disk => said(format!("{name}: disk use is high")).happened(EXCEEDED.to_owned()),
        AlertKind::Missing => said(format!("the instance of {name} is missing"))
            .happened("EC2 says, repeatedly, that there is no such instance.".to_owned())
            .response("It keeps asking. Once EC2 has said so for an hour, three times or more, the instance counts as terminated.")
            .advice("Check the region and the account, and CloudTrail for TerminateInstances."),
        AlertKind::Unobservable => said(format!("{name} cannot be observed"))
            .happened("The last questions to EC2 failed, so the status is unknown.".to_owned())
            .response("It keeps asking, and changes nothing meanwhile.")
            .advice("Check the AWS Health dashboard and the permissions of the function `collect`."),
        AlertKind::Hanging => said(format!("{name} hangs between two states"))
            .happened("EC2 has been starting, stopping or ending the instance for longer than that may take.".to_owned())
            .response("It waits, as there is nothing to call meanwhile, and goes on with what is asked for once that is over.")
            .advice("Check the AWS Health dashboard. An instance that is stopping for long can be stopped with force in EC2's console."),
    }
    .why(Some(reason))
}

fn terminated(record: &EventRecord, expected: bool, reason: &str) -> Said {
    let name = &record.name;
    let said = if expected {
        said(format!("{name} was terminated")).happened("The worker has ended, as was asked for.".to_owned())
    } else {
        said(format!("{name} was terminated, and cml-fleet was not asked to"))
            .happened("The instance is gone for good, and with it what was on its instance store.".to_owned())
            .advice("Look in CloudTrail for who terminated it. Create or import another worker in its place.")
    };
    said.why(Some(reason)).response("It no longer monitors the worker. The record is kept for a while.")
}

/// What changed in a worker's own settings, with `fleet` for those that follow the fleet's.
fn difference(from: &Overrides, to: &Overrides) -> String {
    fn show<T: ToString>(value: Option<T>) -> String {
        value.map_or_else(|| "fleet".to_owned(), |value| value.to_string())
    }
    let all = [
        ("monitoring", show(from.monitoring), show(to.monitoring)),
        ("interval", show(from.interval.map(|v| v.get())), show(to.interval.map(|v| v.get()))),
        ("drift policy", show(from.drift), show(to.drift)),
        ("cpu threshold", show(from.cpu.map(|v| v.get())), show(to.cpu.map(|v| v.get()))),
        ("memory threshold", show(from.memory.map(|v| v.get())), show(to.memory.map(|v| v.get()))),
        ("disk threshold", show(from.disk.map(|v| v.get())), show(to.disk.map(|v| v.get()))),
        (
            "alert duration",
            show(from.alert_duration.map(|v| v.get())),
            show(to.alert_duration.map(|v| v.get())),
        ),
    ];
    let changed: Vec<String> = all
        .iter()
        .filter(|(_, before, after)| before != after)
        .map(|(what, before, after)| format!("{what} {before} -> {after}"))
        .collect();
    changed.join(", ")
}
