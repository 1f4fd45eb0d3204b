//! Who is asked for what only an agent publishes.
//!
//! CloudWatch charges for each metric asked for ($0.01 per 1,000), answered or not. A hundred workers without an agent,
//! asked for memory and disk every five minutes, are 1,728,000 metrics and $17.28 a month; asked once an hour they are
//! 144,000 and $1.44. That saves $15.84 a month, and $84.96 where workers are looked at every minute.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use domain::{Metric, Timestamp, Vitals, Worker, WorkerId};
use jiff::SignedDuration;

use super::telemetry::LATENESS;
use crate::sweep::is_due;

/// How often a worker whose agent is silent is asked all the same, in seconds: this soon a new agent is noticed.
const SELDOM: u32 = 3600;
/// How long an answer is worth remembering.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(2);

/// What the agents last answered, as far as this environment asked them. Only saves queries: who is not known is asked.
#[derive(Debug, Default)]
pub(super) struct Agents(Mutex<BTreeMap<WorkerId, Asked>>);

/// A question to an agent.
#[derive(Debug, Clone, Copy)]
struct Asked {
    at: Timestamp,
    /// Since which question nothing has come; `None` if there were values.
    silent_since: Option<Timestamp>,
}

impl Agents {
    /// Whether a worker is asked for what only an agent publishes.
    pub(super) fn are_asked(&self, worker: &Worker, now: Timestamp) -> bool {
        // Nothing but new values ends an alert that is up.
        let alerts = &worker.state().alerts;
        let alerted = agents().any(|metric| alerts.contains_key(&metric.alert()));
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&worker.id()).copied();
        alerted || known.is_none_or(|asked| asked.is_due_again(worker.id(), now))
    }

    /// Takes in the answer for a worker that was asked.
    pub(super) fn note(&self, worker: WorkerId, answer: Option<&Vitals>, now: Timestamp) {
        let spoke = answer.is_some_and(|vitals| agents().any(|metric| !vitals.points(metric).is_empty()));
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.get(&worker).and_then(|asked| asked.silent_since);
        let silent_since = (!spoke).then(|| before.unwrap_or(now));
        known.insert(worker, Asked { at: now, silent_since });
        known.retain(|_, asked| now.duration_since(asked.at) < REMEMBERED);
    }
}

impl Asked {
    /// One that spoke is asked always; one that has fallen silent for as long as its values may be late; then in the
    /// worker's own slot of the hour, so that a fleet is not asked in the same minute.
    fn is_due_again(self, worker: WorkerId, now: Timestamp) -> bool {
        self.silent_since.is_none_or(|since| now.duration_since(since) < LATENESS)
            || is_due(worker, SELDOM, Some(self.at), now)
    }
}

/// The metrics that only an agent publishes.
fn agents() -> impl Iterator<Item = Metric> {
    Metric::ALL.iter().copied().filter(|metric| metric.is_of_agent())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Datapoint;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + minute * 60).expect("a time")
    }

    fn worker(number: u128) -> WorkerId {
        WorkerId::new(uuid::Uuid::from_u128(number << 64))
    }

    fn measured(metric: Metric) -> Vitals {
        let mut vitals = Vitals::default();
        vitals.insert(metric, Datapoint::new(at(0), 40.0).into_iter().collect());
        vitals
    }

    /// The minutes, of those after the first, at which a worker is asked that answers as `answer` says.
    fn asked(
        worker: WorkerId,
        minutes: i64,
        every: usize,
        answer: impl Fn(i64) -> Option<Vitals>,
    ) -> Vec<i64> {
        let agents = Agents::default();
        let mut asked = Vec::new();
        for minute in (0..minutes).step_by(every) {
            let known = agents.0.lock().expect("not poisoned").get(&worker).copied();
            if known.is_none_or(|asked| asked.is_due_again(worker, at(minute))) {
                agents.note(worker, answer(minute).as_ref(), at(minute));
                asked.push(minute);
            }
        }
        asked
    }

    #[test]
    fn an_agent_that_speaks_is_asked_every_time_however_seldom_that_is() {
        for every in [1, 5, 30, 60] {
            for metric in [Metric::Memory, Metric::Disk] {
                let times = asked(worker(1), 600, every, |_| Some(measured(metric)));
                assert_eq!(times.len(), 600_usize.div_ceil(every));
            }
        }
    }

    #[test]
    fn a_worker_without_an_agent_is_asked_for_a_while_and_then_once_an_hour() {
        for answer in [None, Some(measured(Metric::Cpu))] {
            let times = asked(worker(1), 600, 1, |_| answer.clone());
            let (first, later) = times.split_at(15);
            assert_eq!(first, (0..15).collect::<Vec<_>>());
            assert!(later.windows(2).all(|two| two[1] - two[0] == 60), "{later:?}");
            assert!(later[0] < 15 + 60 && later.len() >= 9, "{later:?}");
        }
    }

    #[test]
    fn a_new_agent_is_noticed_within_the_hour_and_one_that_falls_silent_is_not_given_up_at_once() {
        let speaks = |minute| (200..300).contains(&minute).then(|| measured(Metric::Memory));
        let times = asked(worker(7), 330, 1, speaks);
        let noticed = times.iter().find(|minute| **minute >= 200).expect("asked");
        assert!(*noticed < 260, "{noticed}");
        let since: Vec<i64> =
            times.iter().copied().filter(|minute| minute >= noticed && *minute < 315).collect();
        assert_eq!(since, (*noticed..315).collect::<Vec<_>>());
        assert!(times.iter().filter(|minute| **minute >= 315).count() <= 1);
    }

    #[test]
    fn workers_without_an_agent_are_not_asked_in_the_same_minute() {
        let mut minutes = std::collections::BTreeMap::<i64, usize>::new();
        for number in 0..100 {
            for minute in asked(worker(number), 120, 1, |_| None).into_iter().filter(|minute| *minute >= 60) {
                *minutes.entry(minute).or_default() += 1;
            }
        }
        assert_eq!(minutes.values().sum::<usize>(), 100);
        assert!(minutes.values().all(|asked| *asked < 15), "{minutes:?}");
    }

    #[test]
    fn what_it_saves_is_what_the_module_says() {
        const MONTH: i64 = 30 * 24 * 60;
        for (every, saved) in [(5, 15.84), (1, 84.96)] {
            let all = 100 * 2 * MONTH.unsigned_abs() / u64::try_from(every).expect("small");
            let queries: usize =
                (0..10).map(|number| 10 * 2 * asked(worker(number), MONTH, every, |_| None).len()).sum();
            let dollars = |queries: u64| f64::from(u32::try_from(queries).expect("small")) / 1000.0 * 0.01;
            let really = dollars(all) - dollars(u64::try_from(queries).expect("small"));
            // Less the first quarter of an hour, in which everybody is asked.
            assert!((saved - 0.05..=saved).contains(&really), "{really}");
        }
    }

    #[test]
    fn workers_that_are_gone_are_forgotten() {
        let agents = Agents::default();
        agents.note(worker(1), None, at(0));
        agents.note(worker(2), None, at(121));
        assert_eq!(agents.0.lock().expect("not poisoned").len(), 1);
    }
}
