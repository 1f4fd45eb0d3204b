//! The one word people read.

use crate::state::words;

/// What a worker is doing, derived from what was asked for and what EC2 told us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Recorded; nothing has been asked of EC2 yet.
    Pending,
    /// EC2 is launching the instance for the first time.
    Provisioning,
    /// On its way to running.
    Starting,
    /// Running.
    Running,
    /// On its way to stopped.
    Stopping,
    /// Stopped.
    Stopped,
    /// On its way to the end.
    Terminating,
    /// Gone for good; the record stays for a while.
    Terminated,
    /// We gave up bringing it where it was asked to go; a command tries again.
    Failed,
    /// EC2 has not told us, or has stopped telling us.
    Unknown,
}

words!(Status {
    Pending => "pending",
    Provisioning => "provisioning",
    Starting => "starting",
    Running => "running",
    Stopping => "stopping",
    Stopped => "stopped",
    Terminating => "terminating",
    Terminated => "terminated",
    Failed => "failed",
    Unknown => "unknown",
});
