//! Fuzz targets for every reader of untrusted input.
//!
//! A [`Target`] is a function that panics when an invariant does not hold. Two drivers call
//! the same functions: libFuzzer, which looks for new ways through the code (`cargo xtask fuzz`,
//! `src/main.rs`), and a test that replays the corpus and some thousand mutations of it
//! (`tests/short_run.rs`, part of `cargo xtask test unit`). docs/fuzzing.md describes both.
#![forbid(unsafe_code)]

pub mod corpus;
mod decimal;
mod document;
mod memory;
pub mod mutate;
mod prost_oracle;
pub mod short_run;
#[allow(
    clippy::expect_used,
    clippy::panic,
    reason = "panicking is how a target says what it found"
)]
mod targets;

pub use targets::TARGETS;

/// One reader under test.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name on the command line, and of the folder in `corpus/`.
    pub name: &'static str,
    /// What is read, and the invariants.
    pub about: &'static str,
    /// Reads one input; panics when something does not hold.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Pieces that random bytes would take long to hit upon.
    pub dictionary: &'static [&'static str],
    /// Longest input that is tried, in bytes.
    pub longest: usize,
}

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
