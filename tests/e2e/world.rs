//! Everything a scenario works with: the cloud, clients for it, and the listeners that hear what is told.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::api::Api;
use crate::cloud::Cloud;
use crate::ec2::Ec2;
use crate::functions::Functions;
use crate::receiver::Receiver;
use crate::report::Report;
use crate::table::Table;
use crate::topic::Subscriber;

/// How long something may take that happens at once: an event, its consequences, a notice.
pub(crate) const SOON: Duration = Duration::from_secs(15);
/// How long a poll may take to come by and do its work. A minute is swept once: if a scenario asked for this minute's poll
/// and the schedule's own comes late in the minute, the next one that looks is almost two minutes away.
pub(crate) const NEXT_POLL: Duration = Duration::from_secs(130);
/// How long people may wait for a notice. Their topic takes five messages a second of the whole fleet, and scenarios that
/// run at the same time share them: what gets no permit is told by the next minute's sweep.
pub(crate) const NEXT_SWEEP: Duration = Duration::from_secs(75);

/// The world.
pub(crate) struct World {
    pub(crate) cloud: Cloud,
    pub(crate) api: Api,
    pub(crate) ec2: Ec2,
    pub(crate) functions: Functions,
    pub(crate) fleet: Table,
    pub(crate) journal: Table,
    /// A receiver that always works.
    pub(crate) steady: Arc<Receiver>,
    /// A receiver that can be told not to.
    pub(crate) fickle: Arc<Receiver>,
    pub(crate) topic: Arc<Subscriber>,
    pub(crate) report: Report,
    /// The image that instances are started from.
    pub(crate) image: String,
    run: String,
}

impl World {
    /// Finds the cloud and starts to listen.
    pub(crate) async fn new() -> Result<Self> {
        let cloud = Cloud::from_environment()?;
        let [steady, fickle] = cloud.webhooks.as_slice() else {
            anyhow::bail!("NOTIFICATION_WEBHOOKS must name two receivers, not {:?}", cloud.webhooks)
        };
        let request = json!({ "SecretId": cloud.output("WebhookSecretArn")? });
        let secret = cloud.json("secretsmanager", "secretsmanager.GetSecretValue", &request).await?;
        let secret =
            format!("whsec_{}", secret["SecretString"].as_str().context("the signing secret is a text")?);
        let ec2 = Ec2::new(&cloud, &cloud.region);
        let run = format!("{:x}", jiff::Timestamp::now().as_second());
        Ok(Self {
            api: Api::new(&cloud),
            functions: Functions::new(&cloud),
            fleet: Table::fleet(&cloud)?,
            journal: Table::journal(&cloud)?,
            steady: Receiver::start(steady, &secret).await?,
            fickle: Receiver::start(fickle, &secret).await?,
            topic: Subscriber::start(&cloud).await?,
            report: Report::default(),
            image: ec2.image(&format!("cml-2.9.0-{run}")).await?,
            ec2,
            run,
            cloud,
        })
    }

    /// A name that no other run has used.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{name}-{}", self.run)
    }

    /// An instance that runs and that cml-fleet does not know.
    pub(crate) async fn instance(&self, name: &str) -> Result<String> {
        let ids = self.ec2.launch(&self.image, &self.name(name), 1).await?;
        ids.into_iter().next().context("one instance was started")
    }

    /// A worker made of such an instance, at rest. Answers its id and the instance's.
    pub(crate) async fn worker(&self, name: &str) -> Result<(String, String)> {
        let instance = self.instance(name).await?;
        let worker = self.api.import(&self.cloud.region, &instance, &self.name(name)).await?;
        let id = worker["id"].as_str().context("a worker has an id")?.to_owned();
        self.api.settled(&id).await?;
        Ok((id, instance))
    }

    /// Changes the worker's own settings.
    pub(crate) async fn set(&self, worker: &str, settings: Value) -> Result<()> {
        let body = json!({ "settings": settings }).to_string();
        let path = format!("/workers/{worker}");
        self.api.send("PATCH", &path, Some(&body), &[]).await?.ok("PATCH of the settings").map(drop)
    }

    /// An event of a recorded shape, for this account and region, that happened now.
    pub(crate) fn event(&self, fixture: &str) -> Value {
        let mut event = tests::fixtures::read(fixture);
        event["account"] = json!(self.cloud.account);
        event["region"] = json!(self.cloud.region);
        event["time"] = json!(jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        event
    }

    /// EC2's event that an instance is in a state.
    pub(crate) fn state_change(&self, instance: &str, state: &str) -> Value {
        let mut event = self.event("ec2-state-change.json");
        event["detail"] = json!({ "instance-id": instance, "state": state });
        event["resources"] =
            json!([format!("arn:aws:ec2:{}:{}:instance/{instance}", self.cloud.region, self.cloud.account)]);
        event
    }

    /// The record of the stream that a worker's facts of one version were.
    pub(crate) async fn stream_record(&self, worker: &str, version: u64) -> Result<Value> {
        let (pk, sk) = (format!("WORKER#{worker}"), format!("EVENT#{version:020}"));
        let item = self.fleet.get(&pk, &sk).await?.with_context(|| format!("{pk} has no {sk}"))?;
        Ok(insertion(item, version))
    }
}

/// A stream record of the recorded shape that says that this item was inserted.
pub(crate) fn insertion(item: Value, sequence: u64) -> Value {
    let mut record = tests::fixtures::read("fleet-stream.json")["Records"][1].clone();
    record["eventID"] = json!(format!("{sequence:032x}"));
    record["dynamodb"]["Keys"] = json!({ "pk": item["pk"], "sk": item["sk"] });
    record["dynamodb"]["SequenceNumber"] = json!(format!("{sequence:021}"));
    record["dynamodb"]["NewImage"] = item;
    record
}
