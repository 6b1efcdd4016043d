//! The CPU pool: work that would block the network's threads.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;

use serin_core::fault::{Fault, FaultKind};

/// Bodies above this many bytes are read and written off the network's threads: parsing one takes
/// longer than the 500 µs that a request may hold such a thread.
pub const INLINE_LIMIT: usize = 64 << 10;

/// Threads for blocking work; as many run at once as there are cores.
#[derive(Clone)]
pub struct CpuPool(Arc<Semaphore>);

impl CpuPool {
    pub fn new() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Semaphore::new(cores)))
    }

    /// Runs `work` on this many bytes: on this thread up to [`INLINE_LIMIT`], else in the pool.
    ///
    /// # Errors
    /// Those of `work`, and those of [`CpuPool::run`].
    pub async fn run_sized<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        if bytes <= INLINE_LIMIT {
            return work();
        }
        self.run(work).await?
    }

    /// Runs `work` in the pool, in the order of the calls.
    ///
    /// # Errors
    /// `NotReady` when the process is stopping.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        // The semaphore is never closed; a panic of `work` is raised again here, where it is
        // counted and answered.
        let turn = Arc::clone(&self.0).acquire_owned().await;
        let task = tokio::task::spawn_blocking(move || {
            let done = work();
            // The permit is kept by work whose caller has left: it still takes a core.
            drop(turn);
            done
        });
        match task.await {
            Ok(done) => Ok(done),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Fault::new(
                    FaultKind::NotReady,
                    "model_not_ready",
                    "the server is stopping",
                )),
            },
        }
    }
}
