//! Requests to stop the process, by signal or from code.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How to stop; later ones are more urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// No stop is requested.
    Never,
    /// Keep taking connections for the lame-duck time, then finish: an orchestrator's SIGTERM.
    Gently,
    /// Finish the requests in flight: a user's SIGINT.
    Finish,
    /// End at once: a second SIGINT.
    Now,
}

/// Requests a stop; clones belong to the same process.
#[derive(Clone, Debug)]
pub struct Trigger(watch::Sender<Stop>);

/// Observes requested stops.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<Stop>);

/// A trigger and its observer.
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(Stop::Never);
    (Trigger(sender), Shutdown(receiver))
}

impl Trigger {
    /// Requests a stop; a less urgent one than the requested one changes nothing.
    pub fn stop(&self, stop: Stop) {
        self.0.send_if_modified(|current| {
            let more_urgent = stop > *current;
            if more_urgent {
                *current = stop;
            }
            more_urgent
        });
    }

    fn interrupt(&self) {
        let next = match *self.0.borrow() {
            Stop::Never | Stop::Gently => Stop::Finish,
            Stop::Finish | Stop::Now => Stop::Now,
        };
        self.stop(next);
    }
}

impl Shutdown {
    /// Stops on SIGTERM and SIGINT. Must run inside the runtime.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (trigger, shutdown) = channel();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {
                        tracing::info!("SIGTERM: draining");
                        trigger.stop(Stop::Gently);
                    }
                    _ = interrupt.recv() => {
                        tracing::info!("SIGINT: finishing; a second one ends at once");
                        trigger.interrupt();
                    }
                }
            }
        });
        Ok(shutdown)
    }

    /// The requested stop.
    pub fn current(&self) -> Stop {
        *self.0.borrow()
    }

    /// Returns when a stop at least as urgent is requested; never once every trigger is dropped.
    pub async fn reached(&mut self, stop: Stop) {
        if self.0.wait_for(|current| *current >= stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_interrupt_ends_at_once() {
        let (trigger, shutdown) = channel();
        trigger.interrupt();
        assert_eq!(shutdown.current(), Stop::Finish);
        trigger.stop(Stop::Gently);
        assert_eq!(shutdown.current(), Stop::Finish);
        trigger.interrupt();
        assert_eq!(shutdown.current(), Stop::Now);
    }

    #[test]
    fn an_interrupt_cuts_the_lame_duck_time_short() {
        let (trigger, shutdown) = channel();
        trigger.stop(Stop::Gently);
        trigger.interrupt();
        assert_eq!(shutdown.current(), Stop::Finish);
    }
}
