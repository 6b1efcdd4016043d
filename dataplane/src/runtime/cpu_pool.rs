//! Long work off the network's threads.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use serin_core::fault::{Fault, FaultKind};

/// Bodies above this many bytes are read and written off the network's threads: parsing one takes
/// longer than the 500 µs that a request may hold such a thread.
pub const INLINE_LIMIT: usize = 64 << 10;

/// Threads that may block, as many at once as there are processors. The process has one pool; clones
/// share it.
#[derive(Clone)]
pub struct CpuPool(Arc<Semaphore>);

impl Default for CpuPool {
    fn default() -> Self {
        Self::new()
    }
}

impl CpuPool {
    /// As many threads as the process may use processors: the cgroup's quota where there is one.
    pub fn new() -> Self {
        Self::with_threads(available_parallelism().map_or(1, usize::from))
    }

    /// So many threads.
    pub fn with_threads(threads: usize) -> Self {
        Self(Arc::new(Semaphore::new(threads)))
    }

    /// Runs `work` on so many bytes: here and now if they are few, else when it is its turn.
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

    /// Runs `work` when it is its turn. Dropping the future cancels work that has not begun.
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
        let mut task = CancelledUnlessBegun(task);
        match (&mut task.0).await {
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

/// A blocking task; dropping it cancels work that has not begun.
struct CancelledUnlessBegun<T>(JoinHandle<T>);

impl<T> Drop for CancelledUnlessBegun<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
