//! The fleet table's stream, and the event-source mappings that read it.
//!
//! Facts: "DynamoDB Streams and Lambda" and "Batching, retries and failures" (Lambda developer guide): per shard one batch at
//! a time, in order; a failed batch is split; one that failed too often or is too old goes to the on-failure destination;
//! a finished batch may come again; what no filter lets through is passed over. "Change data capture for DynamoDB Streams"
//! (DynamoDB developer guide): records are kept for 24 hours. Where a mapping gives up on them before, that is a dead letter;
//! what the stream has dropped is gone without one.

use std::collections::VecDeque;

use app::item::{self, EventItem, Key};
use app::record::EventRecord;
use domain::WorkerId;
use serde_json::{Value, json};

use crate::faults::Fault;
use crate::listeners::holds_secret;
use crate::trace::Step;
use crate::wiring::Function;
use crate::world::{Call, Due, From, Inner, MINUTE, SECOND};

/// How many shards the stream has.
const SHARDS: usize = 2;
/// How often an idle mapping looks (Lambda polls a stream four times a second).
const PACE: i64 = 250;
/// How long after the last fault its dead letters may come.
const OVER: i64 = 60 * MINUTE;
/// For how long the stream keeps a record.
pub(crate) const KEPT: i64 = 24 * 60 * MINUTE;

/// One record.
#[derive(Debug, Clone)]
struct Record {
    at: i64,
    /// Nobody can read it.
    poison: bool,
    /// As a consumer gets it.
    json: Value,
}

/// The records of one shard, but for those that everybody is done with.
#[derive(Debug, Default)]
struct Shard {
    /// The sequence number of the first that is kept.
    first: usize,
    records: VecDeque<Record>,
}

impl Shard {
    /// The sequence number of the next record.
    fn end(&self) -> usize {
        self.first + self.records.len()
    }

    fn get(&self, sequence: usize) -> Option<&Record> {
        self.records.get(sequence.checked_sub(self.first)?)
    }

    fn between(&self, from: usize, to: usize) -> impl Iterator<Item = &Record> {
        self.records.range(from - self.first..to - self.first)
    }

    /// Nobody comes back for what was before this.
    fn forget_before(&mut self, sequence: usize) {
        self.records.drain(..sequence - self.first);
        self.first = sequence;
    }
}

/// One mapping on one shard.
#[derive(Debug)]
struct Consumer {
    function: Function,
    shard: usize,
    position: usize,
    /// The end of the batch that is tried again, after a split.
    until: Option<usize>,
    tries: u32,
    busy: bool,
    /// A look is on the queue.
    looking: bool,
    down_until: i64,
}

/// The stream.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    shards: [Shard; SHARDS],
    consumers: Vec<Consumer>,
    /// Somebody has switched the mappings off, and when they were switched on last.
    off: bool,
    on_at: i64,
}

impl Stream {
    /// Nothing is left to be read or under way.
    pub(crate) fn is_drained(&self) -> bool {
        self.consumers.iter().all(|c| !c.busy && c.position == self.shards[c.shard].end())
    }

    /// What every consumer of a shard is done with is of no use any more.
    fn trim(&mut self, shard: usize) {
        let positions = self.consumers.iter().filter(|c| c.shard == shard).map(|c| c.position);
        if let Some(oldest) = positions.min() {
            self.shards[shard].forget_before(oldest);
        }
    }
}

fn shard(worker: WorkerId) -> usize {
    (worker.stable_hash() % SHARDS as u64) as usize
}

impl Inner {
    /// Makes the mappings of the template.
    pub(crate) fn map_stream(&mut self) {
        for mapping in &self.wiring.clone().mappings {
            for shard in 0..SHARDS {
                self.stream.consumers.push(Consumer {
                    function: mapping.function,
                    shard,
                    position: 0,
                    until: None,
                    tries: 0,
                    busy: false,
                    looking: false,
                    down_until: 0,
                });
            }
        }
    }

    /// Facts were written.
    pub(crate) fn stream_in(&mut self, record: &EventRecord) {
        let shard = shard(record.worker);
        let at = self.now;
        let to = &mut self.stream.shards[shard];
        if self.faults.hits(Fault::PoisonRecord, &mut self.chance) {
            to.records.push_back(Record { at, poison: true, json: poison(to.end(), at) });
        }
        let inserted = inserted(record, to.end(), at);
        let leaks = holds_secret(&inserted);
        to.records.push_back(Record { at, poison: false, json: inserted });
        if leaks {
            self.violated(format!("a secret is in the facts of {}", record.worker));
        }
        self.wake_consumers(shard);
    }

    /// Facts have expired: the stream says that they are gone. Their old image is left out, as nobody's filter looks into it.
    pub(crate) fn stream_out(&mut self, record: &EventRecord) {
        let shard = shard(record.worker);
        let at = self.now;
        let to = &mut self.stream.shards[shard];
        let mut gone = json(keys(record), to.end(), at);
        gone["eventName"] = "REMOVE".into();
        gone["userIdentity"] = json!({ "type": "Service", "principalId": "dynamodb.amazonaws.com" });
        to.records.push_back(Record { at, poison: false, json: gone });
        self.wake_consumers(shard);
    }

    fn wake_consumers(&mut self, shard: usize) {
        for consumer in 0..self.stream.consumers.len() {
            if self.stream.consumers[consumer].shard == shard {
                self.look_soon(consumer, PACE);
            }
        }
    }

    /// Once a minute: a consumer may go down for hours.
    pub(crate) fn trouble_consumers(&mut self) {
        for consumer in 0..self.stream.consumers.len() {
            // It counts where it keeps records waiting.
            if self.faults.hits(Fault::ConsumerDown, &mut self.chance) {
                let until = self.now + self.chance.between(1, 150) * MINUTE;
                self.stream.consumers[consumer].down_until = until;
            }
        }
    }

    /// Somebody switches the mappings off.
    pub(crate) fn switch_off(&mut self) {
        self.stream.off = true;
        self.step(Step::Off);
    }

    /// Somebody switches the mappings on again, and they go on where they were.
    pub(crate) fn switch_on(&mut self) {
        (self.stream.off, self.stream.on_at) = (false, self.now);
        self.step(Step::On);
        (0..SHARDS).for_each(|shard| self.wake_consumers(shard));
    }

    fn look_soon(&mut self, consumer: usize, millis: i64) {
        let c = &mut self.stream.consumers[consumer];
        if !c.busy && !c.looking {
            c.looking = true;
            self.after(millis, Due::Look(consumer));
        }
    }

    /// A mapping looks for records, and invokes its function with a batch of them.
    pub(crate) fn look(&mut self, consumer: usize) {
        let (now, healed) = (self.now, self.faults.healed);
        let c = &mut self.stream.consumers[consumer];
        c.looking = false;
        if c.busy || self.stream.off {
            return;
        }
        let function = c.function;
        if now < c.down_until && !healed {
            if c.position < self.stream.shards[c.shard].end() {
                self.faults.count(Fault::ConsumerDown, Some(function));
            }
            c.looking = true;
            let until = (c.down_until - now).min(MINUTE);
            self.after(until, Due::Look(consumer));
            return;
        }
        let mapping = self.wiring.mapping(function);
        let records = &self.stream.shards[c.shard];
        let (mut lost, mut trimmed) = (0, false);
        while let Some(record) = records.get(c.position) {
            let (age, wanted) = (now - record.at, mapping.takes(&record.json));
            if wanted && age <= mapping.max_age.min(KEPT) {
                break;
            }
            (c.position, c.until, c.tries) = (c.position + 1, None, 0);
            trimmed |= wanted && age > KEPT;
            lost += u32::from(wanted && age <= KEPT);
        }
        if trimmed {
            self.faults.count(Fault::MappingsOff, Some(function));
        }
        let from = c.position;
        let to = records.end().min(from + mapping.batch).min(c.until.unwrap_or(usize::MAX));
        if lost > 0 {
            self.dead_letter(function, "records too old");
        }
        if from >= to {
            return;
        }
        let c = &mut self.stream.consumers[consumer];
        c.busy = true;
        let batch = || self.stream.shards[c.shard].between(from, to);
        if batch().any(|record| record.poison) {
            self.faults.count(Fault::PoisonRecord, Some(function));
        }
        let taken = batch().filter(|record| mapping.takes(&record.json));
        let records: Vec<Value> = taken.map(|record| record.json.clone()).collect();
        // `json!` around them would copy them once more.
        let mut event = json!({});
        event["Records"] = Value::Array(records);
        let from = From::Mapping { consumer, from, to };
        self.after(1, Due::Invoke(Call { function, event: event.into(), from }));
    }

    /// A batch came to an end.
    pub(crate) fn batch_ended(&mut self, consumer: usize, from: usize, to: usize, end: Result<&Value, ()>) {
        let function = self.stream.consumers[consumer].function;
        let mapping = self.wiring.mapping(function);
        let failed = end.map(first_failed);
        let finished = matches!(failed, Ok(None));
        let again = finished && self.faults.strikes(Fault::Redelivery, Some(function), &mut self.chance);
        let c = &mut self.stream.consumers[consumer];
        c.busy = false;
        let mut exhausted = false;
        let mut wait = PACE;
        match failed {
            Ok(None) if again => {}
            Ok(None) => (c.position, c.until, c.tries) = (to, None, 0),
            Ok(Some(sequence)) if mapping.reports_items => {
                let at = sequence.clamp(from, to - 1);
                c.tries = if at > from { 1 } else { c.tries + 1 };
                (c.position, c.until) = (at, Some(to));
                wait = SECOND << c.tries.min(5);
            }
            Ok(Some(_)) | Err(()) => {
                c.tries += 1;
                if mapping.bisects && to - from > 1 {
                    c.until = Some(from + (to - from) / 2);
                } else {
                    c.until = Some(to);
                }
                wait = SECOND << c.tries.min(5);
            }
        }
        if c.tries > mapping.retries {
            let end = c.until.unwrap_or(to);
            (c.position, c.until, c.tries) = (end, None, 0);
            exhausted = true;
        }
        if exhausted {
            self.dead_letter(function, "a batch was tried too often");
        }
        let shard = self.stream.consumers[consumer].shard;
        self.stream.trim(shard);
        if self.stream.consumers[consumer].position < self.stream.shards[shard].end() {
            self.look_soon(consumer, wait);
        }
    }

    /// Something went to a dead-letter queue, where an alarm says so.
    pub(crate) fn dead_letter(&mut self, function: Function, why: &'static str) {
        *self.dead_letters.entry(function).or_default() += 1;
        self.step(Step::DeadLetter(function, why));
        let calm = self.now - self.healed_at > OVER;
        // More than a day without the mappings is a fault of its own.
        let off = self.stream.off || self.now - self.stream.on_at <= OVER;
        if self.faults.set().is_empty() || (calm && !off) {
            self.violated(format!("{function} has a dead letter, and nothing fails: {why}"));
        }
    }
}

/// From which record on the batch has to come again.
fn first_failed(answer: &Value) -> Option<usize> {
    let failed = answer["batchItemFailures"].as_array()?.first()?;
    // An empty or unknown identifier means the whole batch.
    Some(failed["itemIdentifier"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// The record of these facts.
fn inserted(facts: &EventRecord, sequence: usize, at: i64) -> Value {
    let item: serde_dynamo::Item = item::encode(&EventItem::new(facts, 90)).expect("an item");
    let mut record = json(keys(facts), sequence, at);
    record["dynamodb"]["NewImage"] = serde_json::to_value(item).expect("JSON");
    record
}

/// A record that nobody can read.
fn poison(sequence: usize, at: i64) -> Value {
    let keys = json!({ "pk": { "S": "WORKER#broken" }, "sk": { "S": "EVENT#00000000000000000001" } });
    let mut record = json(keys.clone(), sequence, at);
    record["dynamodb"]["NewImage"] = keys;
    record["dynamodb"]["NewImage"]["facts"] = json!({ "S": "in no form we know" });
    record
}

fn keys(facts: &EventRecord) -> Value {
    let key = Key::event(facts.worker, facts.version);
    json!({ "pk": { "S": key.pk }, "sk": { "S": key.sk } })
}

/// A record without images.
fn json(keys: Value, sequence: usize, at: i64) -> Value {
    json!({
        "eventID": sequence.to_string(), "eventName": "INSERT", "eventVersion": "1.1",
        "eventSource": "aws:dynamodb", "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": at / 1000, "Keys": keys,
            "SequenceNumber": sequence.to_string(), "SizeBytes": 512, "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    })
}
