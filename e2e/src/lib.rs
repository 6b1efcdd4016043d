//! Tests of Serin on a real Kubernetes cluster.
//!
//! Each file under `tests/` is one theme and runs by itself:
//! `cargo xtask cluster exec -- cargo test -p serin-e2e --test serving`. What they share is here:
//! [`world()`] brings the images and the chart into the cluster once, [`TestNamespace`] gives a
//! test a place of its own, [`ClientPod`] sends requests from inside it.
//!
//! A test's helper fails by panicking: there is nobody to hand an error to.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod answers;
pub mod audit;
pub mod chart;
pub mod client_pod;
pub mod examples;
mod images;
pub mod kubelet;
pub mod namespace;
pub mod node;
pub mod pods;
pub mod program;
pub mod service;
pub mod wait;
pub mod world;

pub use client_pod::ClientPod;
pub use namespace::TestNamespace;
pub use wait::{eventually, seconds};
pub use world::{World, world};
