//! Waiting, never longer than said, and with a failure that tells what was seen instead.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at.
const EVERY: Duration = Duration::from_millis(100);

/// What a look came to.
pub(crate) enum Seen<T> {
    /// It holds.
    Yes(T),
    /// Not yet; this is how things are.
    NotYet(String),
}

/// Yes if the condition holds, else what was seen instead.
pub(crate) fn seen(holds: bool, otherwise: impl std::fmt::Display) -> Seen<()> {
    if holds { Seen::Yes(()) } else { Seen::NotYet(otherwise.to_string()) }
}

/// Looks until it holds. Fails after `within`, with what was seen last; an error of the look itself ends it at once.
pub(crate) async fn eventually<T, F>(what: &str, within: Duration, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Seen<T>>>,
{
    let start = Instant::now();
    loop {
        match look().await? {
            Seen::Yes(value) => return Ok(value),
            Seen::NotYet(last) if start.elapsed() > within => {
                bail!("{what}: not within {} s; seen last: {last}", within.as_secs())
            }
            Seen::NotYet(_) => tokio::time::sleep(EVERY).await,
        }
    }
}
