//! When a request is sent again, and how long it waits before that.

use app::ports::Ids;
use domain::Timestamp;

/// The first pause, in milliseconds; each one after it is twice as long.
const FIRST_PAUSE: u64 = 400;
/// The longest pause we choose ourselves.
const LONGEST_PAUSE: u64 = 10_000;

/// The kind of problem that says that an earlier try is still being carried out.
pub(crate) const IN_PROGRESS: &str = "request-in-progress";

/// What an answer says about another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the answer.
    Final,
    /// Another try may get another answer.
    Again,
}

/// Whether an answer with this status, and of this kind of problem, may be another one next time. Every request that is
/// made here may be sent twice: it only reads, or has a key.
pub(crate) fn verdict(status: u16, problem: Option<&str>) -> Verdict {
    match (status, problem) {
        // AWS judged our call: it would do so again.
        (502, Some("refused-by-aws")) => Verdict::Final,
        // The answer to that try got lost.
        (409, Some(IN_PROGRESS)) | (429 | 502 | 503 | 504, _) => Verdict::Again,
        _ => Verdict::Final,
    }
}

/// The pause before the next try, in milliseconds, after this many: at least what the other side asked for.
pub(crate) fn pause(tries: u32, asked: Option<u64>, chance: &impl Ids) -> u64 {
    let longest = FIRST_PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
    let ours = longest / 2 + chance.below(longest / 2 + 1);
    asked.unwrap_or(0).max(ours)
}

/// The milliseconds that a `Retry-After` asks for: a number of seconds, or a date.
pub(crate) fn retry_after(text: &str, now: Timestamp) -> Option<u64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return seconds.checked_mul(1000);
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(u64::try_from(at.as_millisecond() - now.as_millisecond()).unwrap_or(0))
}

#[cfg(test)]
mod tests;
