//! The operator's process.
#![forbid(unsafe_code)]

fn main() {}
