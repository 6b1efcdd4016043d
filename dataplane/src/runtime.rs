//! The resources that a process has once: the CPU pool, the memory for requests, and its phase.

pub mod cpu_pool;
mod cut_off;
pub mod lifecycle;
pub mod memory_budget;
pub mod memory_plan;

use std::sync::Arc;

use serin_core::Limits;

use self::cpu_pool::CpuPool;
use self::memory_budget::MemoryBudget;
use self::memory_plan::MemoryPlan;

/// The resources that requests of every port share; clones share them too.
#[derive(Clone)]
pub struct Resources {
    /// Bounds on what callers may send.
    pub limits: Arc<Limits>,
    /// Memory for requests and answers.
    pub memory: Arc<MemoryBudget>,
    /// Where work is done that would hold a network thread for long.
    pub cpu_pool: CpuPool,
    /// What each part of the process may take, where it was derived.
    pub plan: Option<MemoryPlan>,
}

impl Resources {
    /// Resources within these bounds.
    pub fn new(limits: Limits, cpu_pool: CpuPool) -> Self {
        Self {
            memory: MemoryBudget::shared(
                limits.body_bytes_in_flight.unwrap_or(usize::MAX),
                limits.body_bytes,
            ),
            limits: Arc::new(limits),
            cpu_pool,
            plan: None,
        }
    }

    /// These resources, whose bounds were derived with others.
    #[must_use]
    pub fn planned(mut self, plan: MemoryPlan) -> Self {
        self.plan = Some(plan);
        self
    }
}
