//! The parsers that meet strangers, each fed with any bytes. What they may not do is a panic here.
//!
//! Every function takes its input as far as the first thing that has an effect, and checks that what we would write of
//! it ourselves is read back as the same. The test beside this file and the targets of `cargo fuzz` call the same functions.

#[path = "parsers/cursors.rs"]
mod cursors;
#[path = "parsers/event.rs"]
pub(crate) mod event;
#[path = "parsers/schedule.rs"]
mod schedule;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::{Api, Ports, router};
use app::bulk::BulkRunner;
use app::collect::{Collector, Memory};
use app::config::{Allowed, WebhookUrl};
use app::deliver::Report;
use app::fleet::Fleet;
use app::item::{self, EventItem};
use app::notice::{self, Notice};
use app::ports::{BulkChunk, BulkCommand, BulkCommands, BulkItem, Request as BusRequest, Sample, Samples};
use app::reconcile::Reconciler;
use app::stream;
use aws_lambda_events::event::cloudwatch_events::ec2::InstanceStateChange;
use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use domain::{
    Actor, Bulk, BulkOutcome, Command, Details, Evidence, Finding, GuardsPatch, ImportWorker, InstanceId,
    Metric, Observed, Overrides, Settings, SettingsPatch, Source, TagsPatch, WorkerId,
};
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};
use tests::world::{World, access, account, region, settings};
use tower::ServiceExt;

/// The worker, the command and the instance of the payloads, so that what is read has something to act on.
pub(crate) const WORKER: &str = "019a7dd0-5f0a-7c3e-9d52-3f6f6a1b2c3d";
pub(crate) const SECOND: &str = "019a7dd0-6a11-7f00-8a4b-0c9d8e7f6a5b";
pub(crate) const COMMAND: &str = "019a7dd0-8000-7f00-8a4b-0c9d8e7f6a5b";
const INSTANCE: &str = "i-1234567890abcdef0";
/// An instance that has no worker.
const FREE: &str = "i-0123456789abcdef1";
/// The time of the payloads, in milliseconds.
const PAYLOADS_AT: i64 = 1_794_432_600_123;
/// An answer is small, whatever was asked.
const MOST_ANSWERED: usize = 256 * 1024;

/// A parser: its name, and the function that feeds it.
pub(crate) type Parser = (&'static str, fn(&[u8]));

/// All of them.
pub(crate) const PARSERS: [Parser; 8] = [
    ("api_request", event::api_request),
    ("api_body", api_body),
    ("api_cursor", cursors::api_cursor),
    ("state_change", state_change),
    ("schedule", schedule::schedule),
    ("bus_request", bus_request),
    ("stream_batch", stream_batch),
    ("webhook_url", webhook_url),
];

/// The parser of this name.
pub(crate) fn named(name: &str) -> fn(&[u8]) {
    PARSERS.iter().find(|(other, _)| *other == name).expect("a parser of this name").1
}

/// The calls by which somebody is told, as the world names them.
const CHANNELS: [&str; 3] = ["publish", "topic", "webhook"];

/// The routes that take a body: method, path.
const BODIES: [(Method, &str); 4] = [
    (Method::POST, "/workers"),
    (Method::POST, "/workers/import"),
    (Method::PATCH, "/workers/{id}"),
    (Method::POST, "/commands"),
];

/// The world behind the API.
struct Outside(Arc<World>);

impl Ports for Outside {
    tests::api_ports!();
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

fn fleet<'a>(world: &'a World, settings: &'a Settings) -> Fleet<'a, World, World> {
    Fleet { workers: world, clock: world, settings }
}

/// A world with the worker of the payloads and two more, and the command of the payloads for two of them. There is more
/// than a page of one of everything that is listed.
async fn world() -> World {
    let (world, settings) = (World::default(), settings());
    world.state().now = PAYLOADS_AT - 3_600_000;
    for (number, id) in (0_u8..).zip([WORKER, SECOND, "019a7dd0-7000-7f00-8a4b-0c9d8e7f6a5b"]) {
        let existing = world.state().launch(Observed::Running);
        let instance: InstanceId =
            if number == 0 { INSTANCE.parse().expect("an id") } else { existing.clone() };
        let machine = world.state().machines[&existing].clone();
        world.state().machines.insert(instance.clone(), machine.clone());
        world.state().machines.insert(FREE.parse().expect("an id"), machine);
        let now = world.state().time();
        let command = ImportWorker {
            name: format!("lab-{number}").parse().expect("a name"),
            account: account(),
            region: region(),
            instance,
            evidence: Evidence {
                finding: Finding::State { observed: Observed::Running, details: Details::default() },
                source: Source::Describe,
                at: now,
                seen_at: now,
            },
            tags: BTreeMap::new(),
            overrides: Overrides::default(),
            protected: false,
            held: None,
        };
        let id: WorkerId = id.parse().expect("an id");
        fleet(&world, &settings).import(id, command, Actor::Policy).await.expect("imported");
    }
    // A second version, so that its facts are more than a page.
    let change = Command::Patch {
        name: None,
        tags: TagsPatch::default(),
        settings: SettingsPatch { monitoring: Some(Some(true)), ..SettingsPatch::default() },
        guards: GuardsPatch::default(),
    };
    let worker = WORKER.parse().expect("an id");
    fleet(&world, &settings).execute(worker, change, Actor::Policy, None, None).await.expect("changed");
    world.pass(3600);
    let now = world.state().time();
    let command = BulkCommand {
        id: COMMAND.parse().expect("an id"),
        bulk: Bulk::Stop,
        by: Actor::Policy,
        at: now,
        calls: 1,
        ends_at: now,
        dues: vec![now],
        chunks: 1,
        next: 0,
        due: Some(now),
        cancelled: None,
    };
    let item = |worker| BulkItem { worker, name: None, outcome: BulkOutcome::Planned, refusal: None };
    let items = vec![item(worker), item(SECOND.parse().expect("an id"))];
    world.accept(&command, &[BulkChunk { number: 0, items, finished: false }]).await.expect("accepted");
    let sample = |at| Sample { worker, at, values: [(Metric::Cpu, 12.5)].into() };
    world.append(&[now - SignedDuration::from_mins(1), now].map(sample)).await.expect("appended");
    world
}

/// Asks the API, and looks at the answer, which is never our fault, is JSON, and is small, and at what was written.
async fn ask(request: Request<Body>) -> (StatusCode, Value) {
    let world = Arc::new(world().await);
    let has_body = request.method() != Method::HEAD;
    let api = Api {
        ports: Outside(Arc::clone(&world)),
        settings: settings(),
        regions: vec![region()],
        account: account(),
        access: access(),
        allowed: Allowed::default(),
        mass_termination: 10,
    };
    let response = router(api).oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, MOST_ANSWERED).await.expect("a small answer");
    let json = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).expect("JSON") };
    assert!(!parts.status.is_server_error(), "{}: {json}", parts.status);
    if parts.status.is_client_error() && has_body {
        assert_eq!(json["status"], parts.status.as_u16(), "{json}");
    }
    read_back(&world);
    (parts.status, json)
}

/// A request as API Gateway would hand it over, from a caller it vouches for.
fn asked(method: Method, target: &str, headers: HeaderMap, body: Vec<u8>) -> Option<Request<Body>> {
    let context = json!({
        "requestId": "1", "http": { "method": method.as_str() },
        "authorizer": { "iam": { "userArn": "arn:aws:iam::123456789012:user/fuzz" } },
    });
    let context: aws_lambda_events::apigw::ApiGatewayV2httpRequestContext =
        serde_json::from_value(context).expect("a context");
    let mut request =
        Request::builder().method(method).uri(target).extension(context).body(Body::from(body)).ok()?;
    *request.headers_mut() = headers;
    Some(request)
}

/// A body: its first byte says for which route.
fn api_body(bytes: &[u8]) {
    let Some((route, body)) = bytes.split_first() else { return };
    let (method, path) = &BODIES[usize::from(*route) % BODIES.len()];
    let path = path.replace("{id}", WORKER);
    let Some(request) = asked(method.clone(), &path, keyed(), body.to_vec()) else { return };
    wait(ask(request));
}

/// The headers that a body comes with. Without a key nothing would be begun.
fn keyed() -> HeaderMap {
    let headers = [("content-type", "application/json"), ("idempotency-key", "a-key")];
    let headers =
        headers.map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
    HeaderMap::from_iter(headers)
}

/// EC2's event, for `drift`.
fn state_change(bytes: &[u8]) {
    let Ok(event) = serde_json::from_slice::<EventBridgeEvent<InstanceStateChange>>(bytes) else { return };
    let settings = settings();
    wait(async {
        let world = world().await;
        let _ = drift::handle(&fleet(&world, &settings), &world, &[region()], &event).await;
        read_back(&world);
    });
}

/// Our own request on the bus, for `collect` and `act`.
fn bus_request(bytes: &[u8]) {
    let Ok(event) = serde_json::from_slice::<Value>(bytes) else { return };
    let settings = settings();
    wait(async {
        let world = world().await;
        let fleet = || fleet(&world, &settings);
        let reconciler = Reconciler {
            fleet: fleet(),
            compute: &world,
            actuator: &world,
            buckets: &world,
            user_data: &world,
        };
        let runner = BulkRunner { fleet: fleet(), commands: &world, bus: &world };
        let _ = act::handle(&reconciler, &runner, &event).await;
        if let Ok(event) = EventBridgeEvent::<BusRequest>::deserialize(&event) {
            let written = serde_json::to_value(&event.detail).expect("JSON");
            assert_eq!(serde_json::from_value::<BusRequest>(written).expect("read back"), event.detail);
        }
        let collector = Collector {
            fleet: fleet(),
            compute: &world,
            metrics: &world,
            samples: &world,
            memory: &Memory::default(),
            metric_period: 60,
        };
        let (tag, account) = ("cml=yes".parse().expect("a tag"), account());
        let scheduled =
            collect::Scheduled { tag: Some(&tag), regions: &[region()], account: &account, ids: &world };
        let _ = collect::handle(&collector, &scheduled, &event).await;
        read_back(&world);
    });
}

/// A batch of the fleet table's stream, for `act` and `notify`.
fn stream_batch(bytes: &[u8]) {
    let Ok(event) = serde_json::from_slice::<Value>(bytes) else { return };
    let mut told = BTreeSet::new();
    for entry in stream::decode(&event).unwrap_or_default() {
        let Ok(record) = entry.record else { continue };
        let image: serde_dynamo::Item = item::encode(&EventItem::new(&record, 90)).expect("written");
        assert_eq!(item::decode_event(image).expect("read back"), record);
        for notice in notice::notices(&record) {
            let kept = serde_json::to_string(&notice).expect("JSON");
            assert_eq!(serde_json::from_str::<Notice>(&kept).expect("read back"), notice);
            told.insert(notice.event.to_string());
        }
    }
    let settings = settings();
    wait(async {
        let world = world().await;
        let reconciler = Reconciler {
            fleet: fleet(&world, &settings),
            compute: &world,
            actuator: &world,
            buckets: &world,
            user_data: &world,
        };
        let runner = BulkRunner { fleet: fleet(&world, &settings), commands: &world, bus: &world };
        let _ = act::handle(&reconciler, &runner, &event).await;
        read_back(&world);
        tell(&event, &told).await;
    });
}

/// `notify` takes the batch in while no channel works, and tells what it kept of it when they do, to systems and to people. What
/// the webhook gets is one of these facts, and nothing is lost for not being readable any more.
async fn tell(event: &Value, facts: &BTreeSet<String>) {
    let world = World::default();
    world.state().now = PAYLOADS_AT;
    world.state().broken.extend(CHANNELS);
    let Some(first) = notify(&world, event).await else { return };
    assert_eq!((first.delivered, first.parked, first.failed), (0, 0, 0), "{first:?}");
    world.state().broken.clear();
    world.pass(600);
    let swept = notify(&world, &json!({ "detail-type": "Scheduled Event" })).await.expect("a sweep");
    assert_eq!((swept.due, swept.parked, swept.failed), (first.deferred + first.retrying, 0, 0), "{swept:?}");
    for request in &world.state().hooks {
        assert!(facts.contains(&request.body), "{}", request.body);
    }
}

/// What `notify` makes of an event; `None` if it is none for it.
async fn notify(world: &World, event: &Value) -> Option<Report> {
    let urls = [WebhookUrl::parse("https://receiver.example.com/hook", false).expect("a URL")];
    Some(notify::handle(&world.notifier(&urls), event).await.ok()?.report)
}

/// Every fact that was written is one that can be read, and nothing was seen before it was true: what lies in the future would
/// outlast everything that is seen until then.
fn read_back(world: &World) {
    let now = world.state().time();
    for record in world.state().facts.values() {
        let image: serde_dynamo::Item = item::encode(&EventItem::new(record, 90)).expect("written");
        assert_eq!(&item::decode_event(image).expect("read back"), record);
    }
    for stored in world.state().workers.values() {
        let image: serde_dynamo::Item = item::encode(&item::WorkerItem::new(stored, 90)).expect("written");
        assert_eq!(&item::decode_worker(image).expect("read back"), stored);
        let sighting = stored.worker.state().sighting.as_ref();
        assert!(sighting.is_none_or(|sighting| sighting.at <= now), "{sighting:?}");
    }
}

/// The address of a webhook endpoint.
fn webhook_url(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for allow_private in [false, true] {
        let Ok(url) = WebhookUrl::parse(text, allow_private) else { continue };
        assert_eq!(WebhookUrl::parse(url.expose(), allow_private).as_ref(), Ok(&url), "{text:?}");
        assert!(url.expose().is_ascii(), "{text:?}");
        let shown = format!("{url} {url:?}");
        let secret = url.expose().splitn(4, '/').nth(3).unwrap_or_default();
        assert!(secret.len() < 8 || !shown.contains(secret), "{shown}");
        if !allow_private {
            assert!(url.expose().starts_with("https://"), "{text:?}");
            let host = url.to_string().split_off("https://".len());
            assert!(host.parse::<std::net::IpAddr>().is_err() && !host.contains(['@', ':', '[']), "{host}");
        }
    }
}
