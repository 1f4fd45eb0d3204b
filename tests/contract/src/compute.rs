//! Laws of reading EC2.

use std::collections::{BTreeMap, BTreeSet};

use app::ports::{Actuator, Answered, Compute, ImageFound, ImageQuery, Instance, InstanceQuery, WantedImage};
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
    assert_eq!(ask(WantedImage::Id(subject.image()), &[]).await, ImageFound::One(subject.image()));
    let nobodys = WantedImage::Id("ami-00000000000000000".to_owned());
    assert_eq!(ask(nobodys, &[]).await, ImageFound::None);
    let nobodys = WantedImage::Newest(format!("{}-*", subject.new_name()));
    assert_eq!(ask(nobodys, &["self"]).await, ImageFound::None);
}

/// Without it an image would be missed, or so many be taken that EC2 refuses to search for their instances.
pub async fn all_images_of_a_name_are_found_or_said_to_be_too_many(subject: &impl Subject) {
    let ask = async |name: &str, most| {
        subject.compute().images(&subject.region(), name, most).await.expect("answered")
    };
    assert_eq!(ask(&format!("{}-*", subject.new_name()), 1).await, Some(Vec::new()));
    assert_eq!(ask("*", 0).await, None);
    assert!(ask("*", 100_000).await.expect("all").contains(&subject.image()));
}

/// Every instance of a search, page by page.
async fn all(subject: &impl Subject, query: &InstanceQuery) -> Vec<Instance> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = subject.compute().search(&subject.region(), query, after.as_deref(), 5).await;
        let page = page.expect("answered").expect("a position of ours");
        assert!(page.items.len() <= 5, "{page:?}");
        found.extend(page.items);
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

/// Without it a discovery would take over what nobody meant, or miss what somebody did (EC2 API reference,
/// "`DescribeInstances`": filters are joined by "and", and pages by their token).
pub async fn a_search_finds_what_carries_all_tags_was_launched_from_the_image_and_does_not_end(
    subject: &impl Subject,
) {
    let (mark, mut expected) = (subject.new_name(), BTreeSet::new());
    let marked = |more: &[(&str, &str)]| InstanceQuery {
        tags: [("law-mark", mark.as_str())]
            .iter()
            .chain(more)
            .map(|(key, value)| (key.parse().expect("a key"), value.parse().expect("a value")))
            .collect(),
        images: Vec::new(),
    };
    assert_eq!(all(subject, &marked(&[])).await, []);
    for number in 0..7 {
        let worker = subject.new_worker();
        let Action::Launch { spec, token, mut tags, user_data } = launch(subject, worker) else {
            unreachable!()
        };
        tags.insert("law-mark".to_owned(), mark.to_string());
        let action = Action::Launch { spec, token, tags, user_data };
        let region = subject.region();
        let instance = subject.actuator().call(&region, worker, &action).await.expect("launched").instance;
        until(subject, &instance, Observed::Running).await;
        if number == 0 {
            subject
                .actuator()
                .call(&region, worker, &Action::Terminate(instance.clone()))
                .await
                .expect("accepted");
            until(subject, &instance, Observed::Terminated).await;
        } else {
            expected.insert(instance);
        }
    }
    let found = all(subject, &marked(&[("Name", "law")])).await;
    assert_eq!(found.len(), 6, "each once: {found:?}");
    assert_eq!(found.iter().map(|instance| instance.instance.clone()).collect::<BTreeSet<_>>(), expected);
    let first = described(subject, &found[0].instance).await;
    assert_eq!(found[0], first, "as if it had been described");
    assert_eq!(all(subject, &marked(&[("Name", "la")])).await, [], "a value is the whole value");
    let from = |image: String| InstanceQuery { images: vec![image], ..marked(&[]) };
    assert_eq!(all(subject, &from(subject.image())).await.len(), 6);
    assert_eq!(all(subject, &from("ami-00000000000000000".to_owned())).await, []);
}
