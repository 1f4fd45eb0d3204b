//! What comes in between: somebody else, or the end of a process.

use app::record::Stored;
use domain::{Command, WorkerId};

use super::{Stack, operator};

impl Stack {
    /// Somebody else carries out a command just before the next save.
    pub(crate) fn meanwhile(&self, worker: WorkerId, command: Command) {
        let stored = self.world.worker(worker);
        let policy = stored.worker.overrides().over(&self.settings);
        let mut state = self.world.state();
        let events = stored.worker.decide(command, operator(), state.time()).expect("carried out");
        let next = Stored::next(Some(&stored), events, &policy, state.time()).expect("a change");
        state.meanwhile.push_back(next);
    }

    /// Runs a handler until it is done, or until the process dies in it: then nothing comes of what it was about to do.
    pub(crate) async fn until_death<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.world.death() => None,
        }
    }

    /// Runs a handler, and something else while it stands still after its first call of this name.
    pub(crate) async fn pausing<T, O>(
        &self,
        call: &'static str,
        work: impl Future<Output = T>,
        other: impl Future<Output = O>,
    ) -> T {
        self.world.state().pauses_after = Some(call);
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            _ = &mut work => panic!("it stands still after {call}"),
            () = std::future::ready(()) => {}
        }
        other.await;
        work.await
    }
}
