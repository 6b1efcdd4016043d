//! The data plane: answers inference requests in one pod, or in `serin run`.
//!
//! A request's way. Each arrow points down a layer, and no layer knows one above it:
//!
//! ```text
//! server::listener -> connection -> context -> server::unary (drive)
//!     access -> routing -> pipeline (the model) -> serin_wire (bytes -> Call) -> tasks
//!     -> pipeline -> admission -> serin_engine::batch -> engine -> back
//! ```
//!
//! `tests/layout.rs` checks that modules import only what this order allows.
#![forbid(unsafe_code)]

pub mod access;
mod address;
pub mod admission;
pub mod backends;
pub mod config;
pub mod context;
pub mod envelope;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod model;
pub mod pipeline;
pub mod policy;
pub mod routing;
mod run;
pub mod runtime;
pub mod server;
pub mod tasks;
pub mod telemetry;
mod tls_roots;

pub use run::{Running, ServeError, serve};
