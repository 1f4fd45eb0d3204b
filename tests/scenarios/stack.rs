//! The handlers, wired to one world.

mod accidents;
pub(crate) mod http;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use act::ActReport;
use app::bulk::BulkRunner;
use app::collect::{CollectReport, Collector, Memory};
use app::config::WebhookUrl;
use app::deliver::Report;
use app::discover::TagSought;
use app::drift::DriftReport;
use app::fleet::{Changed, Fleet};
use app::ports::{Ids, Request};
use app::reconcile::Reconciler;
use app::record::EventRecord;
use app::sweep::{Poll, PollReport};
use aws_lambda_events::event::cloudwatch_events::ec2::InstanceStateChange;
use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use collect::{CollectError, Scheduled};
use domain::{
    Actor, Command, CreateWorker, DriftPolicy, Evidence, Finding, ImportWorker, InstanceId, LaunchSpec,
    Observed, Overrides, Region, Settings, Snapshot, Source, Worker, WorkerId,
};
use serde_json::{Value, json};
use tests::world::{World, account, region, settings};

use wire::with_image;
pub(crate) use wire::{bus_event, stream_record};

/// One deployment.
pub(crate) struct Stack {
    pub(crate) world: Arc<World>,
    pub(crate) settings: Settings,
    pub(crate) memory: Memory,
    pub(crate) shard_size: u32,
    pub(crate) metric_period: u32,
    pub(crate) regions: Vec<Region>,
    /// By which tag the schedule looks for instances.
    pub(crate) discovery: Option<TagSought>,
    acted: Cursor,
    told: Cursor,
}

/// Up to which version of each worker a consumer of the stream has read.
type Cursor = std::sync::Mutex<BTreeMap<WorkerId, u64>>;

impl Default for Stack {
    fn default() -> Self {
        Self {
            world: Arc::default(),
            settings: settings(),
            memory: Memory::default(),
            shard_size: 100,
            metric_period: 60,
            regions: vec![region()],
            discovery: None,
            acted: Cursor::default(),
            told: Cursor::default(),
        }
    }
}

impl Stack {
    pub(crate) fn with_drift_policy(policy: DriftPolicy) -> Self {
        Self { settings: Settings { drift: policy, ..settings() }, ..Self::default() }
    }

    pub(crate) fn fleet(&self) -> Fleet<'_, World, World> {
        Fleet { workers: &*self.world, clock: &*self.world, settings: &self.settings }
    }

    pub(crate) fn reconciler(&self) -> Reconciler<'_, World, World, World, World, World, World> {
        Reconciler {
            fleet: self.fleet(),
            compute: &*self.world,
            actuator: &*self.world,
            buckets: &*self.world,
            user_data: &*self.world,
        }
    }

    pub(crate) fn runner(&self) -> BulkRunner<'_, World, World, World, World> {
        BulkRunner { fleet: self.fleet(), commands: &*self.world, bus: &*self.world }
    }

    /// Creates a worker, as the API would.
    pub(crate) async fn create(&self, name: &str) -> WorkerId {
        self.create_from(name, spec("m5zn.metal")).await
    }

    /// The same from any spec.
    pub(crate) async fn create_from(&self, name: &str, spec: LaunchSpec) -> WorkerId {
        let id = self.world.worker_id();
        let command = CreateWorker {
            name: name.parse().expect("a name"),
            account: account(),
            region: region(),
            spec,
            tags: BTreeMap::new(),
            overrides: Overrides::default(),
            protected: false,
        };
        self.fleet().create(id, command, operator()).await.expect("created").stored.worker.id()
    }

    /// Imports an instance, as the API would.
    pub(crate) async fn import(&self, instance: &InstanceId, observed: Observed) -> WorkerId {
        self.import_in(region(), instance, observed).await
    }

    /// The same in any region.
    pub(crate) async fn import_in(
        &self,
        region: Region,
        instance: &InstanceId,
        observed: Observed,
    ) -> WorkerId {
        let id = self.world.worker_id();
        let now = self.world.state().time();
        let command = ImportWorker {
            name: instance.as_str().parse().expect("a name"),
            account: account(),
            region,
            instance: instance.clone(),
            evidence: Evidence {
                finding: Finding::State { observed, details: domain::Details::default() },
                source: Source::Describe,
                at: now,
                seen_at: now,
            },
            tags: BTreeMap::new(),
            overrides: Overrides::default(),
            protected: false,
            held: None,
        };
        self.fleet().import(id, command, operator()).await.expect("imported").stored.worker.id()
    }

    /// A running instance, imported, adopted and looked at once.
    pub(crate) async fn running(&self) -> (WorkerId, InstanceId) {
        let instance = self.world.state().launch(Observed::Running);
        let worker = self.import(&instance, Observed::Running).await;
        self.settle().await;
        self.minute().await;
        (worker, instance)
    }

    /// The same in no time: an instance that is in this state as asked, and that carries its tags.
    pub(crate) async fn adopted(&self, observed: Observed) -> (WorkerId, InstanceId) {
        let instance = self.world.state().launch(observed);
        let worker = self.import(&instance, observed).await;
        let mut state = self.world.state();
        let stored = state.workers.get_mut(&worker).expect("imported");
        let tags = stored.worker.wanted_tags();
        let snapshot = stored.worker.state().clone();
        stored.worker = Worker::from(Snapshot { applied_tags: tags.clone(), ..snapshot });
        stored.act_by = None;
        state.machines.get_mut(&instance).expect("launched").tags = tags;
        (worker, instance)
    }

    pub(crate) async fn command(&self, worker: WorkerId, command: Command) -> Changed {
        self.fleet().execute(worker, command, operator(), None, None).await.expect("carried out")
    }

    /// The schedule fires.
    pub(crate) async fn poll(&self) -> PollReport {
        let event = wire::tick(self.world.tick());
        let regions = [region()];
        let poll = Poll {
            workers: &*self.world,
            sweeps: &*self.world,
            commands: &*self.world,
            bus: &*self.world,
            settings: &self.settings,
            regions: &regions,
            shard_size: self.shard_size,
            metric_period: self.metric_period,
        };
        let now = self.world.state().time();
        poll::handle(&poll, &event, now).await.expect("polled")
    }

    /// The bus delivers what is on it.
    pub(crate) async fn deliver(&self) -> Vec<CollectReport> {
        let requests = std::mem::take(&mut self.world.state().bus);
        let mut reports = Vec::new();
        for request in requests {
            let event = bus_event(&request);
            match request {
                Request::Collect(_) => reports.push(self.collect(&event).await),
                Request::Reconcile(_) | Request::Command(_) => {
                    self.act(&event).await;
                }
            }
        }
        reports
    }

    pub(crate) async fn collect(&self, event: &Value) -> CollectReport {
        match self.collected(event).await.expect("collected") {
            collect::Report::Collected(report) => report,
            other => panic!("a shard: {other:?}"),
        }
    }

    pub(crate) async fn collected(&self, event: &Value) -> Result<collect::Report, CollectError> {
        let collector = Collector {
            fleet: self.fleet(),
            compute: &*self.world,
            metrics: &*self.world,
            samples: &*self.world,
            memory: &self.memory,
            metric_period: self.metric_period,
        };
        let scheduled = Scheduled {
            tag: self.discovery.as_ref(),
            regions: &self.regions,
            account: &account(),
            ids: &*self.world,
        };
        collect::handle(&collector, &scheduled, event).await
    }

    /// EC2 tells that an instance changed.
    pub(crate) async fn ec2_says(
        &self,
        instance: &InstanceId,
        observed: Observed,
        seconds_ago: i64,
    ) -> DriftReport {
        self.ec2_says_in(&region(), instance, observed, seconds_ago).await
    }

    /// EC2 of any region does. The fleet has workers in `us-east-1` and `us-west-2`.
    pub(crate) async fn ec2_says_in(
        &self,
        happened_in: &Region,
        instance: &InstanceId,
        observed: Observed,
        seconds_ago: i64,
    ) -> DriftReport {
        let event = self.ec2_event(happened_in, instance, observed, seconds_ago);
        let regions = [region(), "us-west-2".parse().expect("a region")];
        drift::handle(&self.fleet(), &*self.world, &regions, &event).await.expect("taken in")
    }

    pub(crate) fn ec2_event(
        &self,
        happened_in: &Region,
        instance: &InstanceId,
        observed: Observed,
        seconds_ago: i64,
    ) -> EventBridgeEvent<InstanceStateChange> {
        let at = self.world.state().now.div_euclid(1000) - seconds_ago;
        wire::ec2_event(at, happened_in, instance, observed)
    }

    /// The stream delivers to `act` what it has not delivered yet, in batches as the template has them, until there is
    /// nothing new.
    pub(crate) async fn settle(&self) -> Vec<ActReport> {
        let mut reports = Vec::new();
        loop {
            let batch = self.new_records(&self.acted);
            if batch.is_empty() {
                return reports;
            }
            for batch in batch.chunks(100) {
                let records: Vec<Value> =
                    batch.iter().map(|record| stream_record(record.worker, record.version)).collect();
                reports.push(self.act(&json!({ "Records": records })).await);
            }
        }
    }

    pub(crate) async fn act(&self, event: &Value) -> ActReport {
        act::handle(&self.reconciler(), &self.runner(), event).await.expect("acted")
    }

    /// The stream delivers to `notify` what it has not delivered yet, in batches as the template has them.
    pub(crate) async fn tell(&self) -> Vec<Report> {
        let mut reports = Vec::new();
        for batch in self.new_records(&self.told).chunks(100) {
            let records: Vec<Value> = batch.iter().map(with_image).collect();
            reports.push(self.notify(&json!({ "Records": records })).await);
        }
        reports
    }

    /// The stream loses what it has not delivered to `notify` yet, as it does after a day.
    pub(crate) fn trim(&self) {
        self.new_records(&self.told);
    }

    /// `notify` comes by, as it does every minute.
    pub(crate) async fn sweep(&self) -> Report {
        self.notify(&json!({ "detail-type": "Scheduled Event" })).await
    }

    async fn notify(&self, event: &Value) -> Report {
        let urls = [WebhookUrl::parse("https://receiver.example.com/hook", false).expect("a URL")];
        notify::handle(&self.world.notifier(&urls), event).await.expect("told").report
    }

    fn new_records(&self, read: &Cursor) -> Vec<EventRecord> {
        let mut read = read.lock().expect("not poisoned");
        let state = self.world.state();
        let new: Vec<EventRecord> = state
            .facts
            .iter()
            .filter(|((worker, version), _)| *version > read.get(worker).copied().unwrap_or_default())
            .map(|(_, record)| record.clone())
            .collect();
        read.extend(new.iter().map(|record| (record.worker, record.version)));
        new
    }

    /// What the webhook was told, by type.
    pub(crate) fn heard(&self) -> Vec<String> {
        let hooks = self.world.state().hooks.clone();
        let told = hooks.iter().map(|request| {
            let event: Value = serde_json::from_str(&request.body).expect("JSON");
            event["type"].as_str().expect("a type").to_owned()
        });
        told.collect()
    }

    /// One minute of a deployment's life: the poll, the collections, and what follows.
    pub(crate) async fn minute(&self) -> Vec<CollectReport> {
        self.world.pass(60);
        self.poll().await;
        let reports = self.deliver().await;
        self.settle().await;
        reports
    }

    pub(crate) fn observed(&self, instance: &InstanceId) -> Observed {
        self.world.state().machines[instance].observed
    }
}

/// What to launch: an instance of this type.
pub(crate) fn spec(instance_type: &str) -> LaunchSpec {
    LaunchSpec {
        image: Some("ami-0123456789abcdef0".to_owned()),
        instance_type: Some(instance_type.to_owned()),
        ..LaunchSpec::default()
    }
}

pub(crate) fn operator() -> Actor {
    Actor::Caller("arn:aws:iam::123456789012:user/ann".to_owned())
}
