//! The thread of the admin port. Probes are answered by it whatever the threads of callers' ports do: a
//! kubelet that gets no answer ends the process.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// A runtime with one thread, which ends when this is dropped.
pub(super) struct AdminRuntime(Option<Runtime>);

impl AdminRuntime {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives none.
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("admin-port")
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Runs `start` such that sockets and tasks that it makes belong to this runtime.
    pub(super) fn within<T>(&self, start: impl FnOnce() -> T) -> T {
        let _entered = self.0.as_ref().map(Runtime::enter);
        start()
    }
}

impl Drop for AdminRuntime {
    fn drop(&mut self) {
        // Waiting for its tasks is not allowed on a thread of another runtime, and not needed: the port has
        // finished, or its connections are given up.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
