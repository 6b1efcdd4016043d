//! Long work off the network's threads.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use serin_core::fault::{Fault, FaultKind};

/// Bodies above this many bytes are read and written off the network's threads: parsing one takes
/// longer than the 500 µs that a request may hold such a thread.
pub const INLINE_LIMIT: usize = 64 << 10;

/// Work on so many bytes is short: some tens of milliseconds.
const SHORT_BYTES: usize = 1 << 20;

/// Threads that may block, as many at once as there are processors, and one more for short work, so that
/// a few large bodies do not keep every small one waiting. The process has one pool; clones share it.
#[derive(Clone)]
pub struct CpuPool {
    turns: Arc<Semaphore>,
    short_turns: Arc<Semaphore>,
}

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

    /// So many threads, and one for short work.
    pub fn with_threads(threads: usize) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(threads)),
            short_turns: Arc::new(Semaphore::new(1)),
        }
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
            work()
        } else if bytes <= SHORT_BYTES {
            self.run_short(work).await?
        } else {
            self.run(work).await?
        }
    }

    /// Runs `work` that takes some tens of milliseconds at most when it is its turn, or that of short
    /// work.
    ///
    /// # Errors
    /// As [`CpuPool::run`].
    pub async fn run_short<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let turn = tokio::select! {
            biased;
            turn = Arc::clone(&self.turns).acquire_owned() => turn,
            turn = Arc::clone(&self.short_turns).acquire_owned() => turn,
        };
        in_turn(turn, work).await
    }

    /// Runs `work` when it is its turn. Dropping the future cancels work that has not begun.
    ///
    /// # Errors
    /// `NotReady` when the process is stopping.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        in_turn(turn, work).await
    }
}

/// Runs `work` while it is its turn.
async fn in_turn<T: Send + 'static>(
    turn: Result<OwnedSemaphorePermit, AcquireError>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    // The semaphores are never closed; a panic of `work` is raised again here, where it is
    // counted and answered.
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

/// A blocking task; dropping it cancels work that has not begun.
struct CancelledUnlessBegun<T>(JoinHandle<T>);

impl<T> Drop for CancelledUnlessBegun<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn short_work_has_its_turn_although_long_work_has_all_threads() {
        let pool = CpuPool::with_threads(1);
        let (finish, taken) = std::sync::mpsc::channel::<()>();
        let of_another = pool.clone();
        let long = tokio::spawn(async move { of_another.run(move || taken.recv()).await });
        tokio::task::yield_now().await;
        assert_eq!(pool.run_sized(SHORT_BYTES, || Ok(7)).await.unwrap(), 7);
        let mut more = Box::pin(pool.run_sized(SHORT_BYTES + 1, || Ok(8)));
        tokio::select! {
            biased;
            _ = &mut more => panic!("long work takes no turn of short work"),
            () = tokio::task::yield_now() => {}
        }
        finish.send(()).unwrap();
        assert_eq!(more.await.unwrap(), 8);
        long.await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn work_whose_caller_has_left_does_not_begin() {
        let pool = CpuPool::with_threads(1);
        let (finish, taken) = std::sync::mpsc::channel::<()>();
        let of_another = pool.clone();
        let long = tokio::spawn(async move { of_another.run(move || taken.recv()).await });
        tokio::task::yield_now().await;
        let (began, begun) = std::sync::mpsc::channel::<()>();
        let left = pool.run(move || began.send(()));
        tokio::select! {
            biased;
            _ = left => panic!("the thread is taken"),
            () = tokio::task::yield_now() => {}
        }
        finish.send(()).unwrap();
        long.await.unwrap().unwrap().unwrap();
        pool.run(|| ()).await.unwrap();
        assert!(begun.try_recv().is_err());
    }
}
