//! Rollouts: which revision of a service answers callers, which is on its way, which is to go.
//!
//! A pure state machine, [`next`]: no cluster, no runtime, no clock. The operator observes, calls it,
//! and turns its [`Actions`] into objects; whoever else runs a rollout does the same with what it has.
//!
//! Two invariants hold after any call, wherever the one who acts is interrupted: at most two
//! revisions have objects, and callers are never led to a revision that cannot answer while another
//! one can.
#![forbid(unsafe_code)]

mod state;
mod step;

pub use state::{Actions, Candidate, Observations, Presence, State, UnixMillis};
pub use step::next;

#[cfg(test)]
mod tests;
