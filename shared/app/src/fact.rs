//! The wire form of facts, version 1. One form, used in three places: the stored event item,
//! `GET /workers/{id}/events`, and the `data` of published CloudEvents.
//!
//! A fact is an object: `fact` holds its name, the other members are its particulars. Times are RFC 3339, UTC, with
//! milliseconds; what is not known is absent; nothing in it is secret. Readers ignore members they do not know. A fact
//! whose name is not known cannot be read: who meets one in the table has an older release than who wrote it.
//!
//! Design note: the form is declared next to the domain's types, not derived from them, so that a change of the form
//! is always a change of a file in this folder. It is declared with serde's remote definitions, which the compiler
//! holds to the domain's types: a new fact does not compile without a form. Identifiers and words are checked as they
//! are read, so a [`Fact`] that was read is always a sound [`Event`].

mod event;
pub(crate) mod form;
pub(crate) mod shape;
#[cfg(test)]
mod tests;

use domain::Event;
use serde::{Deserialize, Serialize};
use serde_with::serde_as;

pub(crate) use event::EventShape;

/// The version of this form; part of the CloudEvents type.
pub const VERSION: u32 = 1;

/// One fact in its wire form.
#[serde_as]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fact(#[serde_as(as = "EventShape")] Event);

impl Fact {
    /// Its CloudEvents type, `cml.worker.<fact>.v1`.
    pub fn cloud_event_type(&self) -> String {
        format!("cml.worker.{}.v{VERSION}", self.0.name())
    }

    /// What it says.
    pub const fn event(&self) -> &Event {
        &self.0
    }
}

impl From<Event> for Fact {
    fn from(event: Event) -> Self {
        Self(event)
    }
}

impl From<&Event> for Fact {
    fn from(event: &Event) -> Self {
        Self(event.clone())
    }
}

impl From<Fact> for Event {
    fn from(fact: Fact) -> Self {
        fact.0
    }
}
