//! The operator: turns `InferenceService` objects into running pods.
//!
//! One pass over one object reads top to bottom in [`reconcile`]: gather, decide, apply, prune,
//! report. What is decided is pure ([`serin_rollout`], [`desired`], [`observe`]); what is written goes
//! through one [`writer`]. Imports go one way: pure modules know neither a client nor a clock.
#![forbid(unsafe_code)]

pub mod backoff;
pub mod child;
pub mod child_kind;
pub mod deadline;
pub mod decide;
pub mod declared;
pub mod desired;
pub mod drift;
pub mod error;
pub mod events;
pub mod exchange;
pub mod expectations;
pub mod http;
pub mod leader;
pub mod metrics;
pub mod observe;
pub mod observed;
pub mod quantity;
pub mod reader;
pub mod reconcile;
pub mod run;
pub mod settings;
pub mod stores;
pub mod telemetry;
#[cfg(test)]
pub(crate) mod testing;
pub mod validated;
pub mod watches;
pub mod writer;
