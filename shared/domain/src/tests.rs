//! Tests of the core. `tests/specification.txt` is the specification: what each state calls for.

mod alerts;
mod alternatives;
mod attempts;
mod bucket;
mod bulk;
mod convergence;
mod decide;
mod drift;
mod evidence;
mod given_up;
mod guards;
mod laws;
mod plan;
mod support;
mod table;
mod tags;
mod words;
