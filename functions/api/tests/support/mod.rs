//! An in-memory outside that counts what is written and what is asked of AWS, and a client of the API.
mod client;
pub(crate) mod log;
pub(crate) mod openapi;
mod world;

pub(crate) use crate::bad_input::creation;
pub(crate) use client::{Answer, Client};
pub(crate) use world::World;
