//! EC2's words in ours. What EC2 does not say, or says in a word we do not know, is absent, never guessed.

use app::ports::{Instance, InstanceStatus};
use aws_sdk_ec2::types;
use domain::{CheckStatus, InstanceId, Observed};

/// An instance id EC2 gave us.
pub(super) fn id(text: Option<&str>) -> Option<InstanceId> {
    text?.parse().ok()
}

pub(super) fn observed(state: Option<&types::InstanceState>) -> Option<Observed> {
    use types::InstanceStateName as Name;
    match state?.name()? {
        Name::Pending => Some(Observed::Pending),
        Name::Running => Some(Observed::Running),
        Name::ShuttingDown => Some(Observed::ShuttingDown),
        Name::Stopped => Some(Observed::Stopped),
        Name::Stopping => Some(Observed::Stopping),
        Name::Terminated => Some(Observed::Terminated),
        _ => None,
    }
}

fn check(status: Option<&types::SummaryStatus>) -> CheckStatus {
    use types::SummaryStatus as Status;
    match status {
        Some(Status::Ok) => CheckStatus::Ok,
        Some(Status::Impaired) => CheckStatus::Impaired,
        Some(Status::Initializing) => CheckStatus::Initializing,
        Some(Status::InsufficientData) => CheckStatus::InsufficientData,
        _ => CheckStatus::NotApplicable,
    }
}

pub(super) fn status(answer: &types::InstanceStatus) -> Option<InstanceStatus> {
    Some(InstanceStatus {
        instance: id(answer.instance_id())?,
        observed: observed(answer.instance_state())?,
        system: check(answer.system_status().and_then(|checks| checks.status())),
        reachability: check(answer.instance_status().and_then(|checks| checks.status())),
        ebs: check(answer.attached_ebs_status().and_then(|checks| checks.status())),
        zone: answer.availability_zone().and_then(|zone| zone.parse().ok()),
    })
}

pub(super) fn instance(answer: &types::Instance, owner: Option<&str>) -> Option<Instance> {
    let tag = |tag: &types::Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    Some(Instance {
        instance: id(answer.instance_id())?,
        account: owner?.parse().ok()?,
        observed: observed(answer.state())?,
        state_reason: state_reason(answer),
        zone: answer.placement().and_then(|placement| placement.availability_zone()?.parse().ok()),
        instance_type: answer.instance_type().map(|kind| kind.as_str().to_owned()),
        private_ip: answer.private_ip_address().and_then(|ip| ip.parse().ok()),
        public_ip: answer.public_ip_address().and_then(|ip| ip.parse().ok()),
        tags: answer.tags().iter().filter_map(tag).collect(),
    })
}

/// Code and message, the code once; else the older free text, which says when.
fn state_reason(answer: &types::Instance) -> Option<String> {
    let said = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let reason = answer.state_reason();
    let code = said(reason.and_then(|reason| reason.code()));
    let message = said(reason.and_then(|reason| reason.message()));
    match (code, message) {
        (Some(code), Some(message)) if !message.starts_with(&code) => Some(format!("{code}: {message}")),
        (code, message) => message.or(code).or_else(|| said(answer.state_transition_reason())),
    }
}
