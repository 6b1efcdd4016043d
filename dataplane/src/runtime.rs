//! The resources that a process has once: the CPU pool, the memory for requests, and its phase.

pub mod cpu_pool;
mod cut_off;
pub mod lifecycle;
pub mod memory_budget;

use std::sync::Arc;

use serin_core::Limits;

use self::cpu_pool::CpuPool;
use self::memory_budget::MemoryBudget;

/// The resources that requests of every port share; clones share them too.
#[derive(Clone)]
pub struct Resources {
    /// Bounds on what callers may send.
    pub limits: Arc<Limits>,
    /// Memory for requests and answers.
    pub memory: Arc<MemoryBudget>,
    /// Where work is done that would hold a network thread for long.
    pub cpu_pool: CpuPool,
}

impl Resources {
    /// Resources within these bounds.
    pub fn new(limits: Limits, cpu_pool: CpuPool) -> Self {
        Self {
            memory: MemoryBudget::new(limits.body_bytes_in_flight.unwrap_or(usize::MAX)),
            limits: Arc::new(limits),
            cpu_pool,
        }
    }
}
