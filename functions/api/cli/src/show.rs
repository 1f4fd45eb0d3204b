//! Tables and lines: what people read, and what `cut` cuts.

mod bulk;
mod facts;
mod sparkline;
mod table;
mod worker;

pub(crate) use bulk::{found, outcome, summary, targets, targets_and_why};
pub(crate) use facts::{Version, facts};
pub(crate) use sparkline::{Metric, metrics};
pub(crate) use table::{Table, dash, plain};
pub(crate) use worker::{change, details, workers};
