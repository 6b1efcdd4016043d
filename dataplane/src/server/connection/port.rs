//! What the connections of one port share, and what they do when a request ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::guard::Guard;
use crate::runtime::Resources;
use crate::telemetry::{Metrics, TracerHandle};

/// What connections do when a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(in crate::server) enum Stage {
    /// They stay open.
    Open = 0,
    /// They are asked to close: `Connection: close` with the next answer, GOAWAY.
    Draining = 1,
    /// Idle ones close at once.
    Closing = 2,
}

/// One port, as its connections see it.
pub(in crate::server) struct Port {
    pub(in crate::server) resources: Resources,
    pub(in crate::server) metrics: Arc<Metrics>,
    /// Samples traces; there is one only with a collector, on ports for callers.
    pub(in crate::server) tracer: TracerHandle,
    /// What the port takes no request for.
    pub(super) guard: Guard,
    stage: AtomicU8,
}

impl Port {
    pub(in crate::server) fn new(
        resources: Resources,
        metrics: Arc<Metrics>,
        tracer: TracerHandle,
        guard: Guard,
    ) -> Self {
        Self {
            resources,
            metrics,
            tracer,
            guard,
            stage: AtomicU8::new(Stage::Open as u8),
        }
    }

    pub(super) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Open,
            1 => Stage::Draining,
            _ => Stage::Closing,
        }
    }

    /// Moves to a later stage.
    pub(super) fn advance(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::AcqRel);
    }
}
