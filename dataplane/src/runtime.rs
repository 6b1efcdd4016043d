//! What the process has once: the pool of processor threads, the memory for requests, and where it
//! stands.

pub mod cpu_pool;
pub mod lifecycle;
pub mod memory_budget;
