//! What was told, and to whom: every CloudEvent that reached one of our listeners, in the order of arrival.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use crate::wait::{Seen, eventually};

/// One CloudEvent that arrived and was accepted.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) at: Instant,
    /// The notice.
    pub(crate) id: String,
    /// The worker.
    pub(crate) worker: String,
    /// The fact's name.
    pub(crate) fact: String,
    pub(crate) severity: String,
    /// The whole CloudEvent.
    pub(crate) event: Value,
}

impl Told {
    fn new(event: &Value, at: Instant) -> Self {
        let text =
            |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            at,
            id: text("/id"),
            worker: text("/data/worker/id"),
            fact: text("/data/fact"),
            severity: text("/data/severity"),
            event: event.clone(),
        }
    }
}

/// The log of one listener.
#[derive(Debug, Default)]
pub(crate) struct Log {
    told: Mutex<Vec<Told>>,
    omitted: AtomicU64,
}

impl Log {
    /// Writes down a CloudEvent; a digest as the CloudEvents in it, and how many it had no room for.
    pub(crate) fn add(&self, event: &Value, at: Instant) {
        let several = event.pointer("/data/events").and_then(Value::as_array);
        let each = several.map_or(std::slice::from_ref(event), Vec::as_slice);
        let omitted = event.pointer("/data/omitted").and_then(Value::as_u64).unwrap_or_default();
        self.omitted.fetch_add(omitted, Ordering::Relaxed);
        let mut log = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        log.extend(each.iter().map(|event| Told::new(event, at)));
    }

    /// Everything.
    pub(crate) fn all(&self) -> Vec<Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many notices were only counted, in digests of more than one message holds.
    pub(crate) fn omitted(&self) -> usize {
        usize::try_from(self.omitted.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    /// Everything about one worker.
    pub(crate) fn of(&self, worker: &str) -> Vec<Told> {
        self.all().into_iter().filter(|told| told.worker == worker).collect()
    }

    /// This fact about this worker, as often as it was told.
    pub(crate) fn facts(&self, worker: &str, fact: &str) -> Vec<Told> {
        self.of(worker).into_iter().filter(|told| told.fact == fact).collect()
    }

    /// Waits until this fact about this worker was told.
    pub(crate) async fn wait_for(
        &self,
        who: &str,
        worker: &str,
        fact: &str,
        within: Duration,
    ) -> Result<Told> {
        self.wait_for_after(who, worker, fact, 0, within).await
    }

    /// Waits until this fact about this worker was told more than `times` times.
    pub(crate) async fn wait_for_after(
        &self,
        who: &str,
        worker: &str,
        fact: &str,
        times: usize,
        within: Duration,
    ) -> Result<Told> {
        eventually(&format!("{who} is told {fact} of {worker} (time {})", times + 1), within, || async {
            Ok(match self.facts(worker, fact).into_iter().nth(times) {
                Some(told) => Seen::Yes(told),
                None => {
                    let facts: Vec<String> = self.of(worker).into_iter().map(|told| told.fact).collect();
                    Seen::NotYet(format!("told so far: [{}]", facts.join(", ")))
                }
            })
        })
        .await
    }
}
