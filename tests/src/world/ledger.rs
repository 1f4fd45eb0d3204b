//! The delivery ledger, and the index of what in it is due.

use std::collections::{BTreeMap, BTreeSet};

use app::error::StoreError;
use app::ports::{Claim, Deliveries, Delivery, DeliveryKey, Outcome};
use domain::Timestamp;

use super::World;
use super::journal::refused;

/// An entry of the delivery ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// How often it was tried.
    pub attempts: u32,
    /// When it was first entered.
    pub first_at: Timestamp,
    /// When it is due; `None` once it is settled.
    pub due: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// The notice.
    pub payload: String,
}

/// A notice and a channel.
type Place = (String, String);

fn place(key: &DeliveryKey) -> Place {
    (key.notice.clone(), key.channel.clone())
}

/// All entries, by notice and channel.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<Place, Entry>,
    /// Those that are due once, by when.
    due: BTreeSet<(Timestamp, Place)>,
}

impl Ledger {
    /// The entry of a notice and a channel.
    pub fn get(&self, key: &(String, String)) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// Each of them, with its notice and channel.
    pub fn iter(&self) -> impl Iterator<Item = (&(String, String), &Entry)> {
        self.entries.iter()
    }

    /// Forgets an entry.
    pub fn remove(&mut self, key: &(String, String)) {
        if let Some(at) = self.entries.remove(key).and_then(|entry| entry.due) {
            self.due.remove(&(at, key.clone()));
        }
    }

    /// What is due by now, the oldest first.
    fn due(&self, now: Timestamp) -> impl Iterator<Item = (&Place, &Entry)> {
        let due = self.due.iter().take_while(move |(at, _)| *at <= now);
        due.filter_map(|(_, key)| Some((key, self.entries.get(key)?)))
    }

    /// Enters what is not there yet.
    fn enter(&mut self, key: &Place, payload: &str, now: Timestamp, due: Timestamp) {
        if !self.entries.contains_key(key) {
            let payload = payload.to_owned();
            let entry = Entry { attempts: 0, first_at: now, due: Some(due), outcome: None, payload };
            self.entries.insert(key.clone(), entry);
            self.due.insert((due, key.clone()));
        }
    }

    /// Changes an entry, if it is there.
    fn change<T>(&mut self, key: &Place, how: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let entry = self.entries.get_mut(key)?;
        let was = entry.due;
        let done = how(entry);
        let is = entry.due;
        if is != was {
            if let Some(at) = was {
                self.due.remove(&(at, key.clone()));
            }
            self.due.extend(is.map(|at| (at, key.clone())));
        }
        Some(done)
    }
}

impl Deliveries for World {
    async fn claim(
        &self,
        key: &DeliveryKey,
        payload: &str,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Claim, StoreError> {
        let mut state = self.state();
        if !state.call("claim") {
            return Err(refused());
        }
        let key = place(key);
        state.ledger.enter(&key, payload, now, now);
        let claim = state.ledger.change(&key, |entry| match entry.due {
            None => Claim::Settled,
            Some(due) if due > now => Claim::Waiting,
            Some(_) => {
                entry.due = Some(lease_until);
                entry.attempts += 1;
                Claim::Granted { attempts: entry.attempts - 1, first_at: entry.first_at }
            }
        });
        claim.ok_or_else(refused)
    }

    async fn defer(
        &self,
        key: &DeliveryKey,
        payload: &str,
        now: Timestamp,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        if !state.call("defer") {
            return Err(refused());
        }
        state.ledger.enter(&place(key), payload, now, at);
        Ok(())
    }

    async fn record(&self, key: &DeliveryKey, _: Timestamp, outcome: &Outcome) -> Result<(), StoreError> {
        let mut state = self.state();
        if !state.call("record") {
            return Err(refused());
        }
        state.ledger.change(&place(key), |entry| {
            if entry.due.is_some() || *outcome == Outcome::Delivered {
                entry.due = match outcome {
                    Outcome::Retry { at, .. } => Some(*at),
                    Outcome::Delivered | Outcome::Parked { .. } => None,
                };
                entry.outcome = Some(outcome.clone());
            }
        });
        Ok(())
    }

    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        let mut state = self.state();
        if !state.call("due") {
            return Err(refused());
        }
        let delivery = |(key, entry): (&Place, &Entry)| {
            let (notice, channel) = key.clone();
            let (attempts, first_at, payload) = (entry.attempts, entry.first_at, entry.payload.clone());
            Delivery { key: DeliveryKey { notice, channel }, attempts, first_at, payload }
        };
        Ok(state.ledger.due(now).take(limit as usize).map(delivery).collect())
    }

    async fn permits(
        &self,
        name: &str,
        now: Timestamp,
        wanted: u32,
        per_second: u32,
    ) -> Result<u32, StoreError> {
        let mut state = self.state();
        if wanted == 0 {
            return Ok(0);
        }
        let now = now.as_millisecond();
        let windows = state.permits.entry(name.to_owned()).or_default();
        let open = |since: i64| since > now - 1000 && since <= now + 10_000;
        if windows.last().is_none_or(|(since, _)| !open(*since)) {
            windows.push((now, 0));
        }
        let left = windows.last_mut().map(|(_, taken)| {
            let granted = wanted.min(per_second.saturating_sub(*taken));
            *taken += granted;
            granted
        });
        Ok(left.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_what_the_entries_say() {
        let mut ledger = Ledger::default();
        let at = |second| Timestamp::from_second(second).expect("a time");
        let key = |name: &str| (name.to_owned(), "bus".to_owned());
        for (name, due) in [("a", 3), ("b", 2), ("c", 1), ("d", 9)] {
            ledger.enter(&key(name), "payload", at(0), at(due));
        }
        ledger.enter(&key("a"), "another", at(0), at(1));
        let due = |ledger: &Ledger| ledger.due(at(5)).map(|(key, _)| key.0.clone()).collect::<String>();
        assert_eq!(due(&ledger), "cba");
        ledger.change(&key("b"), |entry| entry.due = None);
        ledger.change(&key("c"), |entry| entry.due = Some(at(4)));
        assert_eq!((due(&ledger).as_str(), ledger.due.len()), ("ac", 3));
        ledger.remove(&key("a"));
        ledger.remove(&key("b"));
        assert_eq!((due(&ledger).as_str(), ledger.due.len(), ledger.iter().count()), ("c", 2, 2));
    }
}
