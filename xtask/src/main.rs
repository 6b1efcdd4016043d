//! `cargo xtask`: everything a contributor starts.
#![forbid(unsafe_code)]
fn main() {}
