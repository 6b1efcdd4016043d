//! The operator: turns `InferenceService` objects into running pods.
//!
//! One pass over one object reads top to bottom in [`reconcile`]: gather, decide, apply, prune,
//! report. What is decided is pure ([`rollout`], [`desired`], [`observe`]); what is written goes
//! through one [`writer`]. Imports go one way: pure modules know neither a client nor a clock.
#![forbid(unsafe_code)]

pub mod child;
pub mod decide;
pub mod desired;
pub mod drift;
pub mod live;
pub mod observe;
pub mod quantity;
pub mod rollout;
#[cfg(test)]
pub(crate) mod testing;
pub mod validated;
