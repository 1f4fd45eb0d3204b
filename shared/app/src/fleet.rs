//! Commands and observations: load, decide, save; and what to do about a lost race.

use domain::{
    Actor, Command, CreateWorker, Event, Evidence, ImportWorker, Rejection, RequestId, Settings, Timestamp,
    Worker, WorkerId,
};
use jiff::SignedDuration;

use crate::error::{Error, StoreError};
use crate::ports::{Clock, Workers};
use crate::record::{EventRecord, Stored};

/// How often a change is tried when others change the same worker. Each round somebody makes progress, so more than
/// this many losses in a row mean that something is wrong.
pub(crate) const MAX_ROUNDS: u32 = 6;

/// For how long a request may be tried again under its key: what the journal keeps, and an hour for clocks and slow functions.
const REQUESTS_KEPT: SignedDuration = SignedDuration::from_hours(25);

/// How many facts are looked through at once for those of a request.
const PAGE: u32 = 100;

/// A try of a request that came with an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Try {
    /// The request: the same on every try.
    pub request: RequestId,
    /// It was tried before, and nobody knows what came of it.
    pub again: bool,
}

/// The use cases that change a worker's record.
#[derive(Debug)]
pub struct Fleet<'a, W, K> {
    /// The fleet table.
    pub workers: &'a W,
    /// The clock.
    pub clock: &'a K,
    /// The fleet's settings.
    pub settings: &'a Settings,
}

impl<W, K> Clone for Fleet<'_, W, K> {
    fn clone(&self) -> Self {
        *self
    }
}

// By hand: the derives would ask the same of what it borrows.
impl<W, K> Copy for Fleet<'_, W, K> {}

/// A worker after a change, and what the change came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The worker as it is now.
    pub stored: Stored,
    /// The facts that were recorded; none if all was as asked already.
    pub events: Vec<Event>,
}

impl<W: Workers, K: Clock> Fleet<'_, W, K> {
    /// Creates a worker. Creating the same id again returns what is there, so a repeated request is the same request.
    ///
    /// # Errors
    /// A rejection, [`StoreError::NameTaken`], [`Error::Unanswered`], or a failed table.
    pub async fn create(&self, id: WorkerId, command: CreateWorker, by: Actor) -> Result<Changed, Error> {
        self.begin(id, |now| Worker::create(id, command.clone(), by.clone(), now)).await
    }

    /// Imports an instance. Importing under the same id again returns what is there.
    ///
    /// # Errors
    /// A rejection, [`StoreError::NameTaken`], [`StoreError::InstanceTaken`], [`Error::Unanswered`], or a failed table.
    pub async fn import(&self, id: WorkerId, command: ImportWorker, by: Actor) -> Result<Changed, Error> {
        self.begin(id, |now| Worker::import(id, command.clone(), by.clone(), now)).await
    }

    /// Carries out a command on a worker. With `expected`, only if the worker is at that version. One request changes a worker
    /// once, however often it is tried: a try that finds the facts of an earlier one changes nothing, and comes back with them.
    ///
    /// # Errors
    /// [`Error::NoSuchWorker`], a rejection, [`Error::Stale`], [`StoreError::NameTaken`], [`Error::Unanswered`], or a failed
    /// table.
    pub async fn execute(
        &self,
        id: WorkerId,
        command: Command,
        by: Actor,
        expected: Option<u64>,
        tried: Option<Try>,
    ) -> Result<Changed, Error> {
        self.change_for(tried, id, |stored, now| {
            if expected.is_some_and(|version| version != stored.version) {
                return Err(Error::Stale { current: stored.version });
            }
            Ok(stored.worker.decide(command.clone(), by.clone(), now)?)
        })
        .await
    }

    /// Records what observations teach about a worker; all of them together make one version. Nothing is written when
    /// they only confirm what is known.
    ///
    /// # Errors
    /// [`Error::NoSuchWorker`] or a failed table.
    pub async fn observe(&self, id: WorkerId, evidence: &[Evidence]) -> Result<Changed, Error> {
        self.change(id, |stored, _| Ok(self.learn(&stored.worker, evidence))).await
    }

    /// The facts that a series of observations amounts to.
    pub fn learn(&self, worker: &Worker, evidence: &[Evidence]) -> Vec<Event> {
        let mut worker = worker.clone();
        let mut events = Vec::new();
        for evidence in evidence {
            let policy = worker.overrides().over(self.settings);
            let learnt = worker.observe(evidence, &policy);
            worker = worker.with(&learnt);
            events.extend(learnt);
        }
        events
    }

    /// Loads, decides, saves; and again if somebody else changed the worker in between.
    ///
    /// # Errors
    /// [`Error::NoSuchWorker`], what `decide` refuses, [`Error::Unanswered`], or a failed table.
    pub async fn change(
        &self,
        id: WorkerId,
        decide: impl Fn(&Stored, Timestamp) -> Result<Vec<Event>, Error> + Send,
    ) -> Result<Changed, Error> {
        self.change_for(None, id, decide).await
    }

    async fn change_for(
        &self,
        tried: Option<Try>,
        id: WorkerId,
        decide: impl Fn(&Stored, Timestamp) -> Result<Vec<Event>, Error> + Send,
    ) -> Result<Changed, Error> {
        let mut round = 0;
        loop {
            // What cannot be read after a write without a clear answer does not say that there was none.
            let unread =
                |error| if tried.is_some() && round > 0 { Error::Unanswered(error) } else { error.into() };
            let before = self.workers.load(id).await.map_err(unread)?.ok_or(Error::NoSuchWorker(id))?;
            // An earlier try may have been on its way until now, and what a lost race was lost to may be this very write, the answer
            // to which got lost before it was sent again.
            if let Some(Try { request, again }) = tried
                && (again || round > 0)
                && let Some(record) = self.facts_of(id, request).await.map_err(unread)?
            {
                return Ok(Changed { stored: before, events: record.events });
            }
            let events = decide(&before, self.clock.now())?;
            match self.save_for(tried.map(|tried| tried.request), &before, events).await {
                Err(error) if is_lost_race(&error) && round < MAX_ROUNDS => round = self.pause(round).await,
                Err(Error::Store(error @ StoreError::Contended(_))) if tried.is_some() => {
                    return Err(Error::Unanswered(error));
                }
                other => return other,
            }
        }
    }

    /// The facts that a request brought about, if it was carried out.
    async fn facts_of(&self, id: WorkerId, request: RequestId) -> Result<Option<EventRecord>, StoreError> {
        let oldest = self.clock.now().saturating_sub(REQUESTS_KEPT).unwrap_or(Timestamp::MIN);
        let mut after = None;
        loop {
            let page = self.workers.events(id, after.as_deref(), PAGE).await?;
            let past = page.items.last().is_some_and(|record| record.at < oldest);
            if let Some(record) = page.items.into_iter().find(|record| record.request == Some(request)) {
                return Ok(Some(record));
            }
            match page.next {
                Some(next) if !past => after = Some(next),
                _ => return Ok(None),
            }
        }
    }

    /// Saves facts decided on `before`, once: a lost race is the caller's to handle.
    ///
    /// # Errors
    /// [`StoreError::Conflict`], [`Error::Unanswered`], or a failed table.
    pub async fn save(&self, before: &Stored, events: Vec<Event>) -> Result<Changed, Error> {
        self.save_for(None, before, events).await
    }

    async fn save_for(
        &self,
        request: Option<RequestId>,
        before: &Stored,
        events: Vec<Event>,
    ) -> Result<Changed, Error> {
        if events.iter().all(Event::only_confirms) {
            return Ok(Changed { stored: before.clone(), events: Vec::new() });
        }
        let policy = before.worker.with(&events).overrides().over(self.settings);
        // The clock of this machine may be behind the one that wrote the record; time on a record never goes back.
        let now = self.clock.now().max(before.updated_at);
        let Some((record, after)) = Stored::next(Some(before), events, &policy, now) else {
            return Ok(Changed { stored: before.clone(), events: Vec::new() });
        };
        let record = EventRecord { request, ..record };
        match self.workers.save(Some(before), &record, &after).await {
            Ok(()) => Ok(Changed { stored: after, events: record.events }),
            Err(error @ StoreError::Unavailable(_)) => Err(Error::Unanswered(error)),
            Err(error) => Err(error.into()),
        }
    }

    async fn begin(
        &self,
        id: WorkerId,
        decide: impl Fn(Timestamp) -> Result<Vec<Event>, Rejection> + Send,
    ) -> Result<Changed, Error> {
        let mut round = 0;
        loop {
            let now = self.clock.now();
            let events = decide(now)?;
            let Some((record, after)) = Stored::next(None, events, self.settings, now) else {
                return Err(Error::NoSuchWorker(id));
            };
            match self.workers.save(None, &record, &after).await {
                Ok(()) => return Ok(Changed { stored: after, events: record.events }),
                Err(StoreError::Contended(_)) if round < MAX_ROUNDS => round = self.pause(round).await,
                Err(error) => {
                    // Whatever was in the way: if the worker is there, an earlier try of this request made it.
                    return match self.workers.load(id).await.map_err(Error::Unanswered)? {
                        Some(stored) => Ok(Changed { stored, events: Vec::new() }),
                        None => Err(error.into()),
                    };
                }
            }
        }
    }

    /// Waits before the next round, longer each time. Returns its number.
    pub(crate) async fn pause(&self, round: u32) -> u32 {
        self.clock.sleep(10 << round).await;
        round + 1
    }
}

/// Somebody else was faster, and trying again on the new state is right.
pub(crate) fn is_lost_race(error: &Error) -> bool {
    matches!(error, Error::Store(StoreError::Conflict | StoreError::Contended(_)))
}
