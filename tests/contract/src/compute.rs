//! Laws of reading EC2.

use std::collections::{BTreeMap, BTreeSet};

use app::ports::{Actuator, Answered, Compute, ImageQuery, Instance, WantedImage};
use domain::{Action, InstanceId, Observed, WORKER_TAG, WorkerId};

use crate::Subject;
use crate::made::spec;

/// The tags an instance of a worker is launched with.
pub(crate) fn tags(worker: WorkerId) -> BTreeMap<String, String> {
    let pairs = [(WORKER_TAG, worker.to_string()), ("Name", "law".to_owned()), ("empty", String::new())];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The call that launches the instance of a worker.
pub(crate) fn launch(subject: &impl Subject, worker: WorkerId) -> Action {
    let spec = Box::new(spec(subject.image()));
    Action::Launch { spec, token: worker.to_string(), tags: tags(worker), user_data: None }
}

/// A new instance, and the worker it was launched for. It may still be pending.
pub(crate) async fn launched(subject: &impl Subject) -> (WorkerId, InstanceId) {
    let worker = subject.new_worker();
    let answer = subject.actuator().call(&subject.region(), worker, &launch(subject, worker)).await;
    (worker, answer.expect("launched").instance)
}

/// Waits until the instance is in this state.
pub(crate) async fn until(subject: &impl Subject, id: &InstanceId, observed: Observed) {
    let ids = std::slice::from_ref(id);
    let seen = || async {
        let answer = subject.compute().statuses(&subject.region(), ids).await.expect("answered");
        answer.found.first().is_some_and(|status| status.observed == observed).then_some(())
    };
    subject.eventually(&format!("{id} is {observed}"), seen).await;
}

/// A new instance that runs.
pub async fn running(subject: &impl Subject) -> (WorkerId, InstanceId) {
    let (worker, instance) = launched(subject).await;
    until(subject, &instance, Observed::Running).await;
    (worker, instance)
}

/// What EC2 says in full.
pub(crate) async fn described(subject: &impl Subject, id: &InstanceId) -> Instance {
    let answer = subject.compute().describe(&subject.region(), std::slice::from_ref(id)).await;
    answer.expect("answered").found.into_iter().next().expect("EC2 knows it")
}

fn ids<T>(answer: &Answered<T>, id: fn(&T) -> &InstanceId) -> (BTreeSet<InstanceId>, BTreeSet<InstanceId>) {
    (answer.found.iter().map(id).cloned().collect(), answer.unknown.iter().cloned().collect())
}

/// Without it one terminated worker would blind us for all the others of its shard: EC2 refuses a whole call for one id that it
/// does not know (EC2 API reference, "Error codes", `InvalidInstanceID.NotFound`).
pub async fn unknown_instances_are_reported_and_the_others_are_answered(subject: &impl Subject) {
    let region = subject.region();
    let (one, other) = (running(subject).await.1, running(subject).await.1);
    let nobody: Vec<InstanceId> = (0..3).map(|_| subject.new_instance()).collect();
    let asked = [&nobody[0], &one, &nobody[1], &other, &nobody[2]].map(InstanceId::clone);
    let expected = (BTreeSet::from([one, other]), nobody.iter().cloned().collect());
    let statuses = subject.compute().statuses(&region, &asked).await.expect("answered");
    assert_eq!(ids(&statuses, |status| &status.instance), expected);
    let described = subject.compute().describe(&region, &asked).await.expect("answered");
    assert_eq!(ids(&described, |instance| &instance.instance), expected);
    let none = subject.compute().describe(&region, &nobody).await.expect("answered");
    assert_eq!((none.found, none.unknown.len()), (Vec::new(), 3));
}

/// Without it one look would count as two.
pub async fn an_instance_that_is_asked_for_twice_is_answered_once(subject: &impl Subject) {
    let region = subject.region();
    let (instance, nobody) = (running(subject).await.1, subject.new_instance());
    let asked = [&instance, &nobody, &instance, &nobody].map(InstanceId::clone);
    let statuses = subject.compute().statuses(&region, &asked).await.expect("answered");
    assert_eq!((statuses.found.len(), statuses.unknown.len()), (1, 1));
    let described = subject.compute().describe(&region, &asked).await.expect("answered");
    assert_eq!((described.found.len(), described.unknown.len()), (1, 1));
}

/// Without it an empty shard would ask about every instance of the account.
pub async fn no_question_has_no_answer(subject: &impl Subject) {
    running(subject).await;
    let statuses = subject.compute().statuses(&subject.region(), &[]).await.expect("answered");
    assert_eq!(statuses, Answered { found: Vec::new(), unknown: Vec::new() });
    let described = subject.compute().describe(&subject.region(), &[]).await.expect("answered");
    assert_eq!(described, Answered { found: Vec::new(), unknown: Vec::new() });
}

/// Without it a record would not say what it stands for.
pub async fn a_new_instance_is_described_as_it_was_launched(subject: &impl Subject) {
    let (worker, id) = running(subject).await;
    let instance = described(subject, &id).await;
    assert_eq!(instance.instance, id);
    assert_eq!(instance.account, subject.account());
    assert_eq!(instance.observed, Observed::Running);
    assert_eq!(instance.instance_type.as_deref(), Some("m5zn.metal"));
    assert_eq!(instance.tags, tags(worker));
    let zone = instance.zone.expect("it is somewhere");
    assert!(zone.as_str().starts_with(subject.region().as_str()), "{zone}");
    let statuses = subject.compute().statuses(&subject.region(), &[id]).await.expect("answered");
    assert_eq!(statuses.found[0].zone, Some(zone));
}

/// Without it a launch whose answer was lost would leave an instance that nobody answers for and somebody pays for. EC2 shows
/// terminated instances for a while (EC2 user guide, "Terminate an instance").
pub async fn the_instances_of_a_worker_are_found_by_its_tag(subject: &impl Subject) {
    let region = subject.region();
    assert_eq!(subject.compute().locate(&region, subject.new_worker()).await.expect("answered"), []);
    let (worker, id) = running(subject).await;
    running(subject).await;
    let found = subject.compute().locate(&region, worker).await.expect("answered");
    assert_eq!(found, [described(subject, &id).await]);
    subject.actuator().call(&region, worker, &Action::Terminate(id.clone())).await.expect("accepted");
    until(subject, &id, Observed::Terminated).await;
    let found = subject.compute().locate(&region, worker).await.expect("answered");
    let found: Vec<_> = found.iter().map(|instance| (&instance.instance, instance.observed)).collect();
    assert_eq!(found, [(&id, Observed::Terminated)]);
}

/// Without it a worker would be created that can never be launched, or an outage would be taken for a wrong name (EC2 API
/// reference, "`DescribeImages`", and "Error codes", `InvalidAMIID.NotFound`).
pub async fn an_image_that_is_not_there_is_none(subject: &impl Subject) {
    let ask = async |image, owners: &[&str]| {
        let owners = owners.iter().map(|owner| owner.parse().expect("an owner")).collect();
        subject.compute().image(&subject.region(), &ImageQuery { image, owners }).await.expect("answered")
    };
    assert_eq!(ask(WantedImage::Id(subject.image()), &[]).await, Some(subject.image()));
    assert_eq!(ask(WantedImage::Id("ami-00000000000000000".to_owned()), &[]).await, None);
    let nobodys = WantedImage::Newest(format!("{}-*", subject.new_name()));
    assert_eq!(ask(nobodys, &["self"]).await, None);
}
