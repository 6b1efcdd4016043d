//! The data plane: answers inference requests in one pod, or in `serin run`.
//!
//! A request's way, each arrow pointing down, nothing below knowing what is above:
//!
//! ```text
//! server::listener -> server::routes -> protocol (bytes -> Call) -> pipeline::serve
//!     -> model::registry (resolve) -> admission -> batch::worker -> engine -> back
//! ```
//!
//! `tests/layout.rs` checks that the modules import only what this order allows.
#![deny(unsafe_code)]

pub mod access;
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
