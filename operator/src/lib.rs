//! The operator: turns `InferenceService` objects into running pods.
//!
//! One pass over one object reads top to bottom in [`reconcile`]: gather, decide, apply, prune,
//! report. What is decided is pure ([`rollout`], [`desired`], [`observe`]); what is written goes
//! through one [`writer`]. Imports go one way: pure modules know neither a client nor a clock.
#![forbid(unsafe_code)]

pub mod backoff;
pub mod barrier;
pub mod call;
pub mod child;
pub mod decide;
pub mod desired;
pub mod drift;
pub mod error;
pub mod events;
pub mod http;
pub mod leader;
pub mod live;
pub mod metrics;
pub mod observe;
pub mod quantity;
pub mod reconcile;
pub mod rollout;
pub mod run;
pub mod settings;
pub mod statusz;
pub mod telemetry;
#[cfg(test)]
pub(crate) mod testing;
pub mod validated;
pub mod watches;
pub mod writer;
