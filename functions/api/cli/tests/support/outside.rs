//! A clock that nobody has to wait for, and identities in order.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use app::ports::{Clock, Ids};
use domain::{Timestamp, WorkerId};

/// What happens while the command line waits, by how often it has waited.
type Meanwhile = Box<dyn Fn(usize) + Send + Sync>;

/// Whoever makes one, no identity is made twice.
static IDS: AtomicU64 = AtomicU64::new(1);

/// A clock and a source of identities.
#[derive(Default)]
pub(crate) struct Outside {
    slept: Mutex<Vec<u64>>,
    meanwhile: Option<Meanwhile>,
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").field("slept", &self.slept).finish_non_exhaustive()
    }
}

impl Outside {
    /// An outside in which this happens while the command line waits.
    pub(crate) fn where_(meanwhile: impl Fn(usize) + Send + Sync + 'static) -> Self {
        Self { meanwhile: Some(Box::new(meanwhile)), ..Self::default() }
    }

    /// How long the command line waited, each time, in milliseconds.
    pub(crate) fn slept(&self) -> Vec<u64> {
        self.slept.lock().expect("nobody panicked").clone()
    }
}

impl Clock for Outside {
    fn now(&self) -> Timestamp {
        let slept: u64 = self.slept().iter().sum();
        let slept = i64::try_from(slept).expect("not that long");
        Timestamp::from_millisecond(1_790_000_000_000 + slept).expect("a time")
    }

    async fn sleep(&self, millis: u64) {
        let times = {
            let mut slept = self.slept.lock().expect("nobody panicked");
            slept.push(millis);
            slept.len()
        };
        if let Some(meanwhile) = &self.meanwhile {
            meanwhile(times);
        }
    }
}

impl Ids for Outside {
    fn worker_id(&self) -> WorkerId {
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        format!("01999999-ac96-774b-bcce-{id:012x}").parse().expect("an id")
    }

    fn below(&self, _: u64) -> u64 {
        0
    }
}
