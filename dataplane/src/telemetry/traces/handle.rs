//! Who traces requests now: it may change while the process serves.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::{Shared, Tracer};

/// The tracer of the policy in force, read for each request without a lock. Clones share it.
#[derive(Clone, Default)]
pub struct TracerHandle(Arc<ArcSwapOption<Shared>>);

impl TracerHandle {
    /// The tracer now; `None` where no traces are sent.
    pub fn current(&self) -> Option<Tracer> {
        self.0.load_full().map(Tracer)
    }

    /// Requests that begin from now on are traced by `tracer`.
    pub(super) fn replace(&self, tracer: Option<Tracer>) {
        self.0.store(tracer.map(|tracer| tracer.0));
    }
}
