//! What people order: new workers, as plain or as particular as the API lets them be, instances that exist, and commands for many.

use std::collections::BTreeSet;

use domain::{InstanceId, LaunchSpec, Observed, UserData, WorkerId};
use serde_json::{Value, json};

use crate::ec2::SUBNETS;
use crate::listeners::USER_DATA;
use crate::world::Inner;

/// What a request for a new worker is called.
pub(crate) const CREATION: &str = "creation";

/// What a command for many workers is called.
pub(crate) const MANY: &str = "command for many";

/// One in so many creations has something that most do not have, in a million.
const SOME: u64 = 100_000;

impl Inner {
    /// Somebody wants one more worker, or some at once.
    pub(crate) fn begin(&mut self, name: &str) -> (&'static str, &'static str, String, Value) {
        let tags = json!({ "team": "lab" });
        let several = self.chance.hits(200_000);
        let found = self.strangers(if several { 4 } else { 1 });
        if several && !found.is_empty() {
            // The one that asked counts already.
            self.people.begun += found.len() - 1;
            let ids: Vec<&str> = found.iter().map(InstanceId::as_str).collect();
            return (
                "import",
                "POST",
                "/workers/import".to_owned(),
                json!({ "instance_ids": ids, "tags": tags }),
            );
        }
        if let Some(instance) = found.first() {
            let body = json!({
                "name": name, "region": "us-east-1", "instance_id": instance.as_str(), "tags": tags,
            });
            return ("import", "POST", "/workers/import".to_owned(), body);
        }
        let body = json!({
            "name": name, "region": "us-east-1", "tags": tags, "protected": self.chance.hits(100_000),
            "spec": self.spec(name),
        });
        (CREATION, "POST", "/workers".to_owned(), body)
    }

    /// Something is asked of some workers or of all, or what was asked last is called off.
    pub(crate) fn command_many(
        &mut self,
        alive: &[WorkerId],
        name: &str,
    ) -> (&'static str, &'static str, String, Value) {
        if let Some(id) = self.people.commands.last().filter(|_| self.chance.hits(200_000)) {
            return ("anything", "POST", format!("/commands/{id}/cancel"), Value::Null);
        }
        let some: BTreeSet<WorkerId> =
            (0..1 + self.chance.below(9)).filter_map(|_| self.chance.one(alive).copied()).collect();
        let action = ["start", "stop", "reboot", "sync", "tag", "terminate"][self.chance.below(6) as usize];
        let mut body = json!({ "action": action });
        if action == "terminate" || self.chance.hits(700_000) {
            // No more than may be ended without their number.
            let few = if action == "terminate" { 2 } else { some.len() };
            body["workers"] = some.iter().take(few).map(ToString::to_string).collect();
        } else {
            body["filter"] = json!({});
        }
        if action == "tag" {
            body["tags"] = json!({ "shift": name });
        }
        let dry_run = self.chance.hits(100_000);
        self.people.many += usize::from(!dry_run);
        body["dry_run"] = dry_run.into();
        let what = if dry_run { "a look at many" } else { MANY };
        (what, "POST", "/commands".to_owned(), body)
    }

    /// What to launch.
    fn spec(&mut self, name: &str) -> Value {
        let metal = self.chance.hits(SOME);
        let mut spec = json!({
            "image": "ami-0123456789abcdef0",
            "instance_type": if metal { "m5zn.metal" } else { "c5.2xlarge" },
        });
        if self.chance.hits(SOME) {
            spec["image"] = json!({ "name": "cml-*", "owner": "self" });
        }
        if self.chance.hits(SOME) {
            // Nobody else's, so that it is seen whose an instance gets.
            spec["user_data"] = format!("{USER_DATA} of {name}").into();
        }
        if self.chance.hits(SOME) {
            let zone = self.chance.below(2) as usize;
            spec["subnet"] = SUBNETS[zone].into();
            // The other zone, another type, and both.
            spec["alternatives"] = json!([
                { "subnet": SUBNETS[1 - zone] },
                { "instance_type": "c5.4xlarge" },
                { "instance_type": "c5.4xlarge", "subnet": SUBNETS[1 - zone] },
            ]);
        }
        self.people.ordered.insert(name.to_owned(), spec.clone());
        spec
    }

    /// So many instances at most that nobody imported yet, and that are still there.
    fn strangers(&mut self, most: usize) -> Vec<InstanceId> {
        let left = self.people.strangers.len().saturating_sub(most);
        let mut found = self.people.strangers.split_off(left);
        found.retain(|instance| {
            self.ec2.machines.get(instance).is_some_and(|machine| {
                machine.is_live() && matches!(machine.observed(), Observed::Running | Observed::Stopped)
            })
        });
        found
    }
}

/// How what is launched is not as it was ordered, without the user data itself.
pub(crate) fn disorder(
    ordered: &Value,
    launched: &LaunchSpec,
    user_data: Option<&UserData>,
) -> Option<&'static str> {
    if ordered["user_data"].as_str() != user_data.map(UserData::expose) {
        return Some("without its user data, or with another's");
    }
    if ordered["image"].as_str().is_some_and(|image| launched.image.as_deref() != Some(image)) {
        return Some("from another image");
    }
    let itself = json!({});
    let alternatives = ordered["alternatives"].as_array().into_iter().flatten();
    let comes_to = |one: &Value| {
        let of = |field: &str| one[field].as_str().or_else(|| ordered[field].as_str()).map(str::to_owned);
        (of("instance_type"), of("subnet"))
    };
    let is = (launched.instance_type.clone(), launched.subnet.clone());
    let known = std::iter::once(&itself).chain(alternatives).any(|one| comes_to(one) == is);
    (!known).then_some("as none of its alternatives")
}
