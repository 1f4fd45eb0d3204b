//! What an observation teaches us about a worker.

use jiff::SignedDuration;

use crate::evidence::{Details, Evidence, Finding, Sighting, Source, effective, is_since};
use crate::worker::{BLIND_AFTER, Drift};
use crate::{
    Actor, Alert, AlertKind, Desired, DriftPolicy, Event, Metric, Observed, Policy, Timestamp, Vitals, Worker,
};

/// A metric alert is over when the values are this many percent points under the threshold, or under half of it where
/// it is that low: without a gap, a value that hovers at the threshold would tell people something every few minutes.
const HYSTERESIS: f64 = 5.0;

/// CloudWatch publishes a value within this time after its period (EC2 user guide, "CloudWatch metrics that are available
/// for your instances"); when the newest is older than that, there are none.
const PUBLISHED_WITHIN: SignedDuration = SignedDuration::from_mins(5);

/// A worker as it was, the facts so far, and the worker as it is with them.
struct Draft<'a> {
    before: &'a Worker,
    after: Worker,
    events: Vec<Event>,
}

impl Draft<'_> {
    fn record(&mut self, event: Event) {
        self.after.apply(&event);
        self.events.push(event);
    }
}

impl Worker {
    /// What an observation teaches us. Infallible: older than what we know teaches nothing about the present, and a
    /// failed call teaches only that it failed.
    ///
    /// The law: any permutation, repetition or delay of the same evidence ends in the same state, that is, in the same
    /// newest sighting, misses, failures, status and alerts, with the same attempt open or closed, reached and last idle
    /// at the same time, and adrift or not. Its limits, each for a reason:
    ///
    /// - An end is final, so what arrives after it teaches nothing. If there is a `terminated` among the evidence, every
    ///   order ends terminated, and that is all that is the same. An end by an hour of misses is decided on what is
    ///   known by then: a sighting from within that hour that arrives after it comes too late.
    /// - While the newest sighting is one of a transition, the record keeps the drift it knew, and an older settled
    ///   sighting that arrives meanwhile does not add one: only the newest sighting is kept, so nothing tells whether
    ///   EC2 was as asked in between. A transition never is drift, and the next settled sighting makes up for it.
    /// - Under [`DriftPolicy::Adopt`] evidence changes what is asked for, and what was reached is reached for another
    ///   wish. There the sighting, the misses, the failures and the alerts are the same; and once a worker was as asked
    ///   and nothing of ours is under way, a settled newest sighting always is what is asked for.
    /// - That a transition hangs is found by the clock (see [`Worker::proceed`]), and over with any settled sighting that is
    ///   the newest when it arrives. If the next transition was seen first, the alert stays up until that one is over. Nor is it
    ///   the same since when EC2 moves the instance: of two sightings of a transition that arrive in reverse, the newer counts.
    ///
    /// It speaks of evidence that is recorded. Whoever does not write what only confirms (see
    /// [`Event::only_confirms`]) takes evidence from between the recorded sighting and the confirmation for news.
    pub fn observe(&self, evidence: &Evidence, policy: &Policy) -> Vec<Event> {
        if self.is_over() {
            return Vec::new();
        }
        let mut draft = Draft { before: self, after: self.clone(), events: Vec::new() };
        match &evidence.finding {
            // Not answers of EC2 but conclusions of ours.
            Finding::State { observed: Observed::Unknown | Observed::Missing, .. } => {}
            Finding::State { observed, details } => draft.sight(evidence, *observed, details),
            Finding::NotFound => draft.miss(evidence),
            Finding::Failed { reason } => draft.fail(evidence, reason),
        }
        if draft.events.is_empty() {
            return draft.events;
        }
        draft.conclude(policy, evidence.seen_at);
        draft.events
    }

    /// What the metrics say about the alerts of this worker. `period` is the metrics' own, in seconds.
    ///
    /// Only what was measured since the instance last did not run counts, and only as long as new values come. Where
    /// there are no such values nothing is known: no alert is raised, and one that is up stays, for its reason.
    pub fn assess(&self, vitals: &Vitals, policy: &Policy, period: u32, now: Timestamp) -> Vec<Event> {
        if self.is_over() || self.observed() != Observed::Running {
            return Vec::new();
        }
        Metric::ALL
            .iter()
            .filter_map(|metric| self.assess_metric(*metric, vitals, policy, period, now))
            .collect()
    }

    fn assess_metric(
        &self,
        metric: Metric,
        vitals: &Vitals,
        policy: &Policy,
        period: u32,
        now: Timestamp,
    ) -> Option<Event> {
        let threshold = metric.threshold(policy);
        let limit = f64::from(threshold.percent.get());
        let period = period.max(1);
        let needed = threshold.duration.get().div_ceil(period);
        let points = vitals.points(metric);
        let points = points.split_at(points.partition_point(|point| Some(point.at) < self.0.idle_at)).1;
        // Too few values say nothing, neither that it is high nor that it is over.
        let recent = points.get(points.len().checked_sub(usize::try_from(needed).ok()?)?..)?;
        let (first, last) = (recent.first()?, recent.last()?);
        // Nor do values with a gap among them; one that is lost is none.
        let periods = |count: u32| SignedDuration::from_secs(i64::from(period) * i64::from(count));
        if last.at.duration_since(first.at) > periods(needed) {
            return None;
        }
        // Nor do values that have not been followed by others: the last period that is over began up to two ago.
        if now.duration_since(last.at) > periods(2) + PUBLISHED_WITHIN {
            return None;
        }
        let over_below = (limit - HYSTERESIS).max(limit / 2.0);
        let kind = metric.alert();
        if !self.0.alerts.contains_key(&kind) && recent.iter().all(|point| point.value >= limit) {
            let reason = format!(
                "{metric} has been at or over {limit:.0} % for {} s, last {:.1} %",
                threshold.duration.get(),
                last.value
            );
            return Some(Event::AlertRaised { alert: Alert { kind, since: first.at, reason } });
        }
        if self.0.alerts.contains_key(&kind) && recent.iter().all(|point| point.value < over_below) {
            let reason = format!("{metric} is back under {over_below:.0} %, last {:.1} %", last.value);
            return Some(Event::AlertResolved { kind, reason, at: now });
        }
        None
    }
}

impl Draft<'_> {
    fn sight(&mut self, evidence: &Evidence, observed: Observed, details: &Details) {
        let known = self.before.state();
        let sighting = Sighting {
            observed,
            source: evidence.source,
            at: evidence.at,
            seen_at: evidence.seen_at,
            state_reason: details.state_reason.clone(),
        };
        let counted = sighting.counted();
        if known.sighting.as_ref().is_none_or(|newest| newest.order() < sighting.order()) {
            self.news(sighting, details);
        // What came late does not tell how things are, but it may tell that the instance has run, or when it did not.
        } else if (observed.implies_run() && !known.has_run)
            || (observed != Observed::Running && known.idle_at < Some(evidence.at))
        {
            self.record(Event::InstanceObserved { sighting, details: Details::default(), confirms: false });
        }
        // Old news or not: that EC2 was as asked closes what was asked for, and decides whether another state is drift.
        self.reach(observed, counted);
        if observed == Observed::Stopped {
            self.end_load_alerts(counted, evidence.seen_at);
        }
    }

    fn news(&mut self, mut sighting: Sighting, details: &Details) {
        let known = self.before.state();
        let observed = sighting.observed;
        let same_state = known.sighting.as_ref().filter(|newest| newest.observed == observed);
        if let Some(newest) = same_state {
            sighting.state_reason = sighting.state_reason.or_else(|| newest.state_reason.clone());
        }
        let confirms = same_state.is_some_and(|newest| newest.state_reason == sighting.state_reason)
            && known.misses.is_empty()
            && known.failures.is_empty()
            && details.zone.as_ref().is_none_or(|zone| known.zone.as_ref() == Some(zone))
            && details.instance_type.as_ref().is_none_or(|name| known.instance_type.as_ref() == Some(name))
            && details.private_ip.is_none_or(|ip| known.private_ip == Some(ip))
            && details.public_beside(known.public_ip) == known.public_ip;
        self.record(Event::InstanceObserved { sighting, details: details.clone(), confirms });
        let now_known = self.after.state().health;
        if let Some(read) = details.health.filter(|_| observed == Observed::Running)
            && now_known.is_none_or(|known| read.at > known.at && !read.same_checks(&known))
        {
            self.record(Event::HealthChanged { from: now_known, to: read });
        }
    }

    /// EC2 was as asked, if it was, and since it was asked; and it was since the call, if there is one under way.
    fn reach(&mut self, observed: Observed, counted: Timestamp) {
        let state = self.after.state();
        if state.desired == Desired::Terminated
            || !observed.fulfils(state.desired)
            || !is_since(counted, state.desired_since)
        {
            return;
        }
        let earliest = state.reached_at.is_none_or(|earliest| counted < earliest);
        let under_way = state.attempt.iter().map(|attempt| (attempt.action, attempt.issued_at));
        let given_up = state.gave_up.iter().map(|(action, given_up)| (*action, given_up.tried_at));
        let closes = under_way
            .chain(given_up)
            .any(|(action, tried_at)| action.leads_to() == Some(observed) && is_since(counted, tried_at));
        if earliest || closes {
            self.record(Event::DesiredReached { at: counted });
        }
    }

    fn end_load_alerts(&mut self, stopped: Timestamp, now: Timestamp) {
        for kind in Metric::ALL.iter().map(|metric| metric.alert()) {
            if self.after.state().alerts.get(&kind).is_some_and(|alert| alert.since <= stopped) {
                self.record(Event::AlertResolved {
                    kind,
                    reason: "the instance no longer runs".to_owned(),
                    at: now,
                });
            }
        }
    }

    fn miss(&mut self, evidence: &Evidence) {
        let newest = self.before.state().sighting.as_ref();
        let older = newest.is_some_and(|s| effective(Source::Describe, evidence.at) <= s.counted());
        if !older && !self.before.state().misses.contains(&evidence.at) {
            self.record(Event::InstanceNotFound { at: evidence.at });
        }
    }

    fn fail(&mut self, evidence: &Evidence, reason: &str) {
        let known = self.before.state();
        let counted = effective(Source::Describe, evidence.at);
        let older = known.sighting.as_ref().is_some_and(|s| counted <= s.counted())
            || known.misses.last().is_some_and(|answered| evidence.at <= *answered);
        let forgotten = known.failures.len() >= BLIND_AFTER && known.failures.first() >= Some(&evidence.at);
        if !older && !forgotten && !known.failures.contains(&evidence.at) {
            self.record(Event::ObservationFailed { at: evidence.at, reason: reason.to_owned() });
        }
    }

    /// What follows from the worker as it is now, whichever evidence led to it.
    fn conclude(&mut self, policy: &Policy, now: Timestamp) {
        let observed = self.after.observed();
        if observed == Observed::Terminated || self.after.is_gone() {
            self.end(observed, now);
            return;
        }
        self.drift(policy);
        self.alert(observed, now);
        let (from, to) = (self.before.status(), self.after.status());
        if from != to {
            self.record(Event::StatusChanged { from, to, reason: self.status_reason(observed) });
        }
    }

    /// One fact for one transition: a worker that ends emits `terminated` and nothing else for that.
    fn end(&mut self, observed: Observed, now: Timestamp) {
        let state = self.after.state();
        let expected = state.desired == Desired::Terminated;
        let (at, said) = match &state.sighting {
            Some(sighting) if observed == Observed::Terminated => {
                (sighting.at, sighting.state_reason.clone())
            }
            _ => {
                (now, Some("EC2 has answered for an hour or more that it knows no such instance".to_owned()))
            }
        };
        let reason = said.unwrap_or_else(|| {
            let own = if expected { "an operator asked for it" } else { "EC2 says so and gives no reason" };
            own.to_owned()
        });
        self.record(Event::Terminated { at, expected, reason });
    }

    /// Whether EC2 has left where it was asked to be, or is back. Goes by what EC2 last said: that it says nothing any
    /// more is no drift of its own.
    fn drift(&mut self, policy: &Policy) {
        let state = self.after.state();
        let Some(sighting) = state.sighting.clone() else { return };
        let observed = sighting.observed;
        if observed.fulfils(state.desired) {
            if let Some(drift) = state.drift.clone() {
                self.record(Event::DriftResolved { drift, at: sighting.at });
            }
            return;
        }
        if !observed.is_settled() || state.desired == Desired::Terminated || state.reached_at.is_none() {
            return;
        }
        if self.after.is_strays_doing() {
            return;
        }
        let desired = state.desired;
        if state.drift.as_ref().is_none_or(|known| known.observed != observed) {
            let drift = Drift {
                desired,
                observed,
                since: sighting.at,
                detected_by: sighting.source,
                reason: sighting.state_reason.clone(),
            };
            let held = state.held.is_some();
            self.record(Event::DriftDetected { drift, policy: policy.drift, held });
        }
        let follows = match observed {
            Observed::Running => Some(Desired::Running),
            Observed::Stopped => Some(Desired::Stopped),
            _ => None,
        };
        if let Some(to) = follows.filter(|_| policy.drift == DriftPolicy::Adopt) {
            let at = sighting.counted();
            self.record(Event::DesiredChanged { from: desired, to, at, by: Actor::Policy });
            self.record(Event::DesiredReached { at });
        }
    }

    fn alert(&mut self, observed: Observed, now: Timestamp) {
        let missing = (observed == Observed::Missing).then(|| {
            "EC2 has answered at least twice, a minute apart, that it knows no such instance".to_owned()
        });
        self.hold(AlertKind::Missing, missing, "EC2 knows the instance again", now);
        let blind = self.after.is_unobservable().then(|| {
            let last = self.after.state().failure_reason.clone().unwrap_or_default();
            format!("EC2 could not be asked {BLIND_AFTER} times in a row: {last}")
        });
        self.hold(AlertKind::Unobservable, blind, "EC2 can be asked again", now);
        // That it is up is for the clock to say, and not for evidence: see `proceed`.
        let newest = self.after.state().sighting.as_ref();
        if newest.is_some_and(|sighting| sighting.observed.is_settled()) {
            self.hold(AlertKind::Hanging, None, "the transition is over", now);
        }
    }

    /// The alert is up if and only if there is a reason for it.
    fn hold(&mut self, kind: AlertKind, why: Option<String>, over: &str, now: Timestamp) {
        match (self.after.state().alerts.contains_key(&kind), why) {
            (false, Some(reason)) => {
                self.record(Event::AlertRaised { alert: Alert { kind, since: now, reason } })
            }
            (true, None) => self.record(Event::AlertResolved { kind, reason: over.to_owned(), at: now }),
            (true, Some(_)) | (false, None) => {}
        }
    }

    fn status_reason(&self, observed: Observed) -> String {
        let state = self.after.state();
        if self.after.is_unobservable() {
            return state.failure_reason.clone().unwrap_or_default();
        }
        let said = state.sighting.as_ref().and_then(|sighting| sighting.state_reason.clone());
        match (observed, said) {
            (Observed::Missing, _) => "EC2 knows no such instance".to_owned(),
            (_, Some(reason)) => reason,
            (_, None) => format!("EC2 says the instance is {observed}"),
        }
    }
}
