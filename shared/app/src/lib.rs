//! The use cases of cml-fleet, and the ports they need. No SDK, no environment, no clock of its own.

pub mod bulk;
pub mod collect;
pub mod config;
pub mod deliver;
pub mod discover;
pub mod drift;
pub mod error;
pub mod fact;
pub mod fleet;
pub mod govern;
pub mod import;
pub mod item;
pub mod notice;
pub mod ports;
pub mod reconcile;
pub mod record;
mod short;
pub mod sign;
pub mod stream;
pub mod sweep;
