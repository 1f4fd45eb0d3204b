//! One request changes a worker once, however often it is tried.

use std::collections::{BTreeMap, BTreeSet};

use app::ports::RequestKey;
use domain::WorkerId;

use crate::world::{Inner, InvocationId};

/// What is known of requests that came with a key.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// Which of them an invocation carries out.
    under_way: BTreeMap<InvocationId, (String, String)>,
    /// Which workers each has changed.
    changed: BTreeSet<((String, String), WorkerId)>,
}

impl Inner {
    /// An invocation carries a request out.
    pub(crate) fn carries_out(&mut self, invocation: InvocationId, key: &RequestKey) {
        self.requests.under_way.insert(invocation, (key.caller.clone(), key.key.clone()));
    }

    /// An invocation has changed a worker.
    pub(crate) fn changed(&mut self, invocation: InvocationId, worker: WorkerId) {
        let Some(request) = self.requests.under_way.get(&invocation).cloned() else { return };
        if !self.requests.changed.insert((request.clone(), worker)) {
            self.violated(format!("the request {request:?} has changed {worker} twice"));
        }
    }
}
