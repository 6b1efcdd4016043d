//! A model is an untrusted program: before this process loads it, a child process does, with bounds
//! on memory and time, and runs it once. What crashes, hangs or takes too much memory does so there.
//!
//! The child is this same program, started anew; [`enter`] is its way in.

mod cache;
mod child;
mod supervise;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

pub(super) use cache::{Outcome, PreflightCache};
#[cfg(test)]
pub(super) use child::try_model;
pub(super) use child::{Job, Report};
pub(super) use supervise::{Watch, watch};

use self::supervise::{Failure, Limits, explain, finish, start};
use super::error::LoadError;
use super::memory;
use super::options::LoadBounds;
use crate::runtime::memory_plan::LEAST_MODELS;
use serin_engine::{Artifact, Backend, OpenError};

/// Longest reason that is passed on, in characters.
const LONGEST_REASON: usize = 1000;

/// How long the model may run on made-up inputs, and at most half of the time that loading has; one
/// that needs longer is stopped, which is no fault.
const RUN: Duration = Duration::from_secs(30);

/// What the child needs besides the model.
const OWN_MEMORY: u64 = 32 << 20;

/// For each so many bytes of a model, loading may take a second more.
const BYTES_PER_SECOND: u64 = 16 << 20;

/// Whether `main` has called [`enter`]: only such a program can be its own child.
static AVAILABLE: OnceLock<()> = OnceLock::new();

/// Held while a model is tried and opened: one at a time, so that the memory left for it is known.
/// Everything else of several loads (fetching, hashing, warming up) runs beside each other.
static OPENING: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(1);

/// To be called first in `main`, after the runtimes of models are silenced. Where this process
/// was started to try a model, does so and gives the exit status to end with; else returns at
/// once, and models that are loaded later are tried in a child first.
pub fn enter() -> Option<ExitCode> {
    if std::env::var_os(child::VARIABLE).is_some_and(|value| value == "1") {
        return Some(child::run());
    }
    AVAILABLE.get_or_init(|| ());
    None
}

/// Whether models can be tried here.
pub(super) fn is_available() -> bool {
    AVAILABLE.get().is_some()
}

/// The right to open a model, held until it is open.
pub(super) async fn opening_permit() -> Option<tokio::sync::SemaphorePermit<'static>> {
    // It is never closed.
    OPENING.acquire().await.ok()
}

/// A model to be tried.
#[derive(Clone)]
pub(super) struct Trial<'a> {
    /// Opens it.
    pub(super) backend: &'a dyn Backend,
    pub(super) artifact: &'a Artifact,
    /// What the backend runs models with, where it needs a library.
    pub(super) runtime_library: Option<PathBuf>,
    /// The source as messages name it.
    pub(super) shown: &'a str,
    pub(super) bounds: LoadBounds,
}

/// Tries a checked model; blocks until that is over. `None` where it could not be tried, its runtime
/// being unavailable.
///
/// # Errors
/// Permanent when the model is refused, crashes, or needs more memory or time than there is;
/// passing when no process can be started.
pub(super) fn run(trial: Trial<'_>, watch: Watch) -> Result<Option<Outcome>, LoadError> {
    let Trial {
        backend,
        artifact,
        runtime_library,
        shown,
        bounds,
    } = trial;
    let most = longest(bounds.timeout, artifact.bytes());
    let left = bounds
        .memory
        .saturating_sub(memory::held())
        .max(LEAST_MODELS);
    let job = Job {
        backend: backend.name().to_owned(),
        runtime_library,
        artifact: artifact.clone(),
        memory: left,
        run_ms: u64::try_from(RUN.min(most / 2).as_millis()).unwrap_or(u64::MAX),
        cpu_s: most.as_secs().saturating_add(1),
        parent: std::process::id(),
    };
    let limits = Limits {
        time: most,
        memory: left.saturating_add(OWN_MEMORY),
    };
    let outcome = start(&job)
        .and_then(|child| finish(child, watch, limits))
        .map_err(|error| {
            LoadError::passing(format!(
                "model source {shown}: no process can be had to try it in: {error}"
            ))
        })?;
    match outcome {
        Ok(Report::Loaded {
            peak,
            open_ms,
            run_ms,
            unanswered,
        }) => {
            let unanswered = unanswered.map(|reason| readable(&reason));
            tracing::info!(
                source = shown,
                peak_mib = peak >> 20,
                open_ms,
                run_ms,
                unanswered = unanswered.as_deref(),
                "tried the model in a process of its own"
            );
            Ok(Some(Outcome { unanswered }))
        }
        // The error of opening it in this process says what to do.
        Ok(Report::Unavailable) => Ok(None),
        Ok(Report::Changed) => Err(LoadError::passing(format!(
            "model source {shown}: {}",
            OpenError::Changed
        ))),
        Ok(Report::Refused(reason)) => Err(LoadError::permanent(format!(
            "model source {shown}: {}",
            readable(&reason)
        ))),
        Err(Failure::GivenUp) => Err(LoadError::passing(format!(
            "model source {shown}: loading it was given up"
        ))),
        Err(failure) => Err(LoadError::permanent(format!(
            "model source {shown}: {}",
            explain(&failure, backend.runtime(), most, left)
        ))),
    }
}

/// Large models take longer.
fn longest(timeout: Duration, bytes: u64) -> Duration {
    timeout.saturating_add(Duration::from_secs(bytes / BYTES_PER_SECOND))
}

/// One line of bounded length: a hostile model may have taken over the child that reports.
fn readable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST_REASON)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_models_may_take_longer() {
        let minute = Duration::from_secs(60);
        assert_eq!(longest(minute, 680), minute);
        assert_eq!(longest(minute, 2 << 30), minute + Duration::from_secs(128));
    }

    #[test]
    fn what_a_child_reports_is_one_bounded_line() {
        let text = readable(&"a\n\u{1b}[2J".repeat(10_000));
        assert!(text.len() <= LONGEST_REASON && !text.contains(char::is_control));
    }
}
