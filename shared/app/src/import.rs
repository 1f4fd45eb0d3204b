//! An import: whether an instance may get a worker, and giving it one. The only way there, for one instance that somebody
//! names, for many that a search finds, and for the schedule.

use std::collections::BTreeMap;

use domain::{
    AccountId, Actor, Evidence, Finding, HoldReason, ImportWorker, InstanceId, MANAGED_TAG, NAME_TAG, Name,
    Overrides, Region, Rejection, Source, TagKey, TagValue, Timestamp, WORKER_TAG, Worker, WorkerId,
};

use crate::collect::details;
use crate::error::{Error, StoreError};
use crate::fleet::Fleet;
use crate::ports::{Clock, Instance, InstanceKey, Workers};
use crate::record::Stored;

/// What an import gives its worker, and how far it goes.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// The worker's own tags, to be added to the instance.
    pub tags: BTreeMap<TagKey, TagValue>,
    /// Its own settings.
    pub overrides: Overrides,
    /// Hold it from the first moment.
    pub held: Option<HoldReason>,
    /// To terminate it takes its name.
    pub protected: bool,
    /// An instance is taken over although its tag names a worker that this fleet has no record of.
    pub adopt_orphans: bool,
    /// An instance whose worker was forgotten is left alone.
    pub respect_forgotten: bool,
}

/// What the worker is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// This.
    Given(Name),
    /// What EC2 calls the instance if that can be a worker's name, else the instance's id.
    Tagged,
    /// The same; and the instance's id, too, if another worker has that name.
    TaggedIfFree,
}

/// An instance, as EC2 has just described it.
#[derive(Debug, Clone)]
pub struct Sight {
    /// What EC2 said.
    pub instance: Instance,
    /// Where.
    pub region: Region,
    /// When EC2 was asked.
    pub at: Timestamp,
    /// When it answered.
    pub seen_at: Timestamp,
}

/// What came of the import of one instance.
#[derive(Debug)]
pub enum Taken {
    /// It has a new worker, from this try or an earlier one of the same request.
    Imported(Box<Stored>),
    /// It would get a worker of this name, or of its id if another worker has that name by then. Nothing was written.
    WouldImport(Name),
    /// It has a worker already.
    Known(WorkerId),
    /// It gets none.
    Refused(Refusal),
}

/// Why an instance gets no worker. Its words are for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// EC2 does not know it, or it is another account's.
    #[error("EC2 knows no instance {instance} of this account in {}", listed(.regions))]
    NoSuchInstance {
        /// The instance.
        instance: InstanceId,
        /// Where EC2 was asked.
        regions: Vec<Region>,
    },
    /// Its tag names a worker that this fleet has no record of: another fleet may answer for it.
    #[error(
        "the instance's tag {WORKER_TAG} names {} that this fleet has no record of; if another fleet answers for \
         the instance, forget it there first; then remove the tag from the instance and import it again, or import it with \
         adopt_orphans", named(.by)
    )]
    Claimed {
        /// The worker, if it names one.
        by: Option<WorkerId>,
    },
    /// The same, and it may not even be adopted: only the tags of an instance that is managed may be overwritten.
    #[error(
        "the instance's tag {WORKER_TAG} names {} that this fleet has no record of, and as it has no tag {MANAGED_TAG} with \
         the value true we may not change that; remove the tag from the instance and import it again", named(.by)
    )]
    Unmanaged {
        /// The worker, if it names one.
        by: Option<WorkerId>,
    },
    /// Its tag is a copy of another instance's.
    #[error(
        "the instance's tag {WORKER_TAG} names worker {of}, which answers for another instance; remove the tag from \
         this instance and import it again"
    )]
    Copied {
        /// Whose tag it is.
        of: WorkerId,
    },
    /// Somebody has forgotten its worker, and nobody asks for it by name.
    #[error("the instance's worker {worker} was forgotten; import it by its id if it is to have one again")]
    Forgotten {
        /// The worker.
        worker: WorkerId,
    },
    /// Another worker has the name.
    #[error("another living worker is called {name}; choose another name, or end that worker first")]
    NameTaken {
        /// The name.
        name: Name,
    },
    /// A worker cannot begin with it as it is.
    #[error(transparent)]
    Rejected(Rejection),
}

fn listed(asked: &[Region]) -> String {
    asked.iter().map(Region::as_str).collect::<Vec<_>>().join(", ")
}

fn named(by: &Option<WorkerId>) -> String {
    by.map_or_else(|| "something".to_owned(), |worker| format!("worker {worker}"))
}

impl Refusal {
    /// One word for it, for counts and logs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NoSuchInstance { .. } => "no_such_instance",
            Self::Claimed { .. } => "claimed",
            Self::Unmanaged { .. } => "unmanaged",
            Self::Copied { .. } => "copied",
            Self::Forgotten { .. } => "forgotten",
            Self::NameTaken { .. } => "name_taken",
            Self::Rejected(_) => "rejected",
        }
    }
}

/// Imports instances on the same terms.
#[derive(Debug)]
pub struct Importer<'a, W, K> {
    /// Records the workers.
    pub fleet: Fleet<'a, W, K>,
    /// The account workers live in.
    pub account: &'a AccountId,
    /// The terms.
    pub terms: &'a Terms,
    /// Who imports.
    pub by: &'a Actor,
}

/// Whether an instance is free.
enum Verdict {
    Free(Box<ImportWorker>),
    Settled(Taken),
}

impl<W: Workers, K: Clock> Importer<'_, W, K> {
    /// What is known of an instance without asking EC2: that it has a worker. That is no obstacle if it is the one that is
    /// to be made: an earlier try of the request got that far.
    ///
    /// # Errors
    /// A failed table.
    pub async fn known(&self, id: WorkerId, key: &InstanceKey) -> Result<Option<Taken>, Error> {
        match self.fleet.workers.owner(key).await? {
            Some(owner) if owner == id => {
                let stored = self.fleet.workers.load(id).await?.ok_or(Error::NoSuchWorker(id))?;
                Ok(Some(Taken::Imported(Box::new(stored))))
            }
            Some(owner) => Ok(Some(Taken::Known(owner))),
            None => Ok(None),
        }
    }

    /// What would come of an import. Writes nothing.
    ///
    /// # Errors
    /// A failed table.
    pub async fn preview(&self, id: WorkerId, sight: &Sight, naming: &Naming) -> Result<Taken, Error> {
        if let Some(taken) = self.known(id, &sight.key()).await? {
            return Ok(taken);
        }
        match self.judge(id, sight, naming).await? {
            Verdict::Free(command) => Ok(Taken::WouldImport(command.name)),
            Verdict::Settled(taken) => Ok(taken),
        }
    }

    /// Imports an instance under this identity, if nobody has it ([`Self::known`]) and nothing speaks against it. Of several
    /// who do so at once one makes the worker, and the others know it.
    ///
    /// # Errors
    /// A failed table.
    pub async fn import(&self, id: WorkerId, sight: &Sight, naming: &Naming) -> Result<Taken, Error> {
        let command = match self.judge(id, sight, naming).await? {
            Verdict::Free(command) => *command,
            Verdict::Settled(taken) => return Ok(taken),
        };
        let key = sight.key();
        match self.write(id, command.clone(), &key).await? {
            Taken::Refused(Refusal::NameTaken { .. }) if *naming == Naming::TaggedIfFree => {
                let name = Name::from(&sight.instance.instance);
                self.write(id, ImportWorker { name, ..command }, &key).await
            }
            taken => Ok(taken),
        }
    }

    async fn write(&self, id: WorkerId, command: ImportWorker, key: &InstanceKey) -> Result<Taken, Error> {
        let error = match self.fleet.import(id, command, self.by.clone()).await {
            Ok(imported) => return Ok(Taken::Imported(Box::new(imported.stored))),
            Err(error) => error,
        };
        // Whoever was faster has the name as well, if it is the instance's.
        let taken = matches!(&error, Error::Store(StoreError::InstanceTaken | StoreError::NameTaken { .. }));
        if taken && let Some(owner) = self.fleet.workers.owner(key).await? {
            return Ok(Taken::Known(owner));
        }
        match error {
            Error::Store(StoreError::NameTaken { name }) => Ok(Taken::Refused(Refusal::NameTaken { name })),
            error => Err(error),
        }
    }

    async fn judge(&self, id: WorkerId, sight: &Sight, naming: &Naming) -> Result<Verdict, Error> {
        if sight.instance.account != *self.account {
            let (instance, regions) = (sight.instance.instance.clone(), vec![sight.region.clone()]);
            let refusal = Refusal::NoSuchInstance { instance, regions };
            return Ok(Verdict::Settled(Taken::Refused(refusal)));
        }
        if let Some(settled) = self.claim(sight).await? {
            return Ok(Verdict::Settled(settled));
        }
        let command = self.command(sight, naming.of(&sight.instance));
        match Worker::import(id, command.clone(), self.by.clone(), self.fleet.clock.now()) {
            Ok(_) => Ok(Verdict::Free(Box::new(command))),
            Err(rejection) => Ok(Verdict::Settled(Taken::Refused(Refusal::Rejected(rejection)))),
        }
    }

    /// Two fleets must not drive one instance. Its managed tag has the same value in all of them, so whose it is, is in the
    /// tag with the worker's id: nobody's without one, free again if that worker of ours is over.
    async fn claim(&self, sight: &Sight) -> Result<Option<Taken>, Error> {
        let tags = &sight.instance.tags;
        let Some(tag) = tags.get(WORKER_TAG) else { return Ok(None) };
        let by = tag.parse::<WorkerId>().ok();
        let stored = match by {
            Some(named) => self.fleet.workers.load(named).await?,
            None => None,
        };
        let refusal = match (stored, by) {
            (Some(Stored { worker, .. }), _) => {
                let (state, of) = (worker.state(), worker.id());
                let forgotten = state.forgotten_at.is_some();
                if forgotten && self.terms.respect_forgotten {
                    Refusal::Forgotten { worker: of }
                } else if worker.is_over() {
                    return Ok(None);
                } else if state.instance.as_ref().is_some_and(|its| *its != sight.instance.instance) {
                    // It has another instance: the tag came along with a copy of that one's.
                    Refusal::Copied { of }
                } else {
                    return Ok(Some(Taken::Known(of)));
                }
            }
            (None, by) if !self.terms.adopt_orphans => Refusal::Claimed { by },
            (None, by) if tags.get(MANAGED_TAG).is_none_or(|value| value != "true") => {
                Refusal::Unmanaged { by }
            }
            (None, _) => return Ok(None),
        };
        Ok(Some(Taken::Refused(refusal)))
    }

    fn command(&self, sight: &Sight, name: Name) -> ImportWorker {
        let Sight { instance, region, at, seen_at } = sight;
        let Terms { tags, overrides, held, protected, .. } = self.terms.clone();
        let evidence = Evidence {
            finding: Finding::State { observed: instance.observed, details: details(instance) },
            source: Source::Describe,
            at: *at,
            seen_at: *seen_at,
        };
        ImportWorker {
            name,
            account: instance.account.clone(),
            region: region.clone(),
            instance: instance.instance.clone(),
            evidence,
            tags,
            overrides,
            protected,
            held,
        }
    }
}

impl Sight {
    /// The key of the instance's uniqueness.
    pub fn key(&self) -> InstanceKey {
        InstanceKey {
            account: self.instance.account.clone(),
            region: self.region.clone(),
            instance: self.instance.instance.clone(),
        }
    }
}

impl Naming {
    fn of(&self, instance: &Instance) -> Name {
        let tagged = || instance.tags.get(NAME_TAG).and_then(|name| name.parse().ok());
        match self {
            Self::Given(name) => name.clone(),
            Self::Tagged | Self::TaggedIfFree => tagged().unwrap_or_else(|| Name::from(&instance.instance)),
        }
    }
}
