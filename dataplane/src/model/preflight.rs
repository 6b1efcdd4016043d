//! A model is an untrusted program: before this process loads it, a child process does, with bounds
//! on memory and time, and runs whatever of it this process would run for the first time: one row,
//! several rows, what lies beside the model, and the edges of its signature. What crashes, hangs or
//! takes too much memory does so there.
//!
//! An edge that ends the child is remembered, and the rest is tried in a new one.
//!
//! The child is this same program, started anew; [`enter`] is its way in.

mod cache;
mod child;
mod merging;
mod readable;
mod supervise;
mod trial;

use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub(super) use cache::{Outcome, PreflightCache};
#[cfg(test)]
pub(super) use child::try_model;
pub(super) use child::{Job, Message};
pub(super) use merging::limits as merging_limits;
pub(super) use supervise::{Watch, watch};
pub(super) use trial::Trial;

use self::readable::readable;
use self::supervise::{Failure, Limits, Stage, explain, finish, start};
use super::error::LoadError;
use super::memory;
use crate::runtime::memory_plan::LEAST_MODELS;
use serin_engine::OpenError;

/// How long the model may run on made-up inputs, and at most half of the time that loading has; one
/// that needs longer is stopped, which is no fault.
const RUN: Duration = Duration::from_secs(30);

/// How long all edges may take, and at most half of the time that loading has.
const EDGES: Duration = Duration::from_secs(30);

/// Most edges that may end the child: a model with more of values is refused, and of extents those after
/// it are.
const MOST_FATAL: usize = 16;

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

/// Tries a checked model; blocks until that is over. `None` where it could not be tried, its runtime
/// being unavailable.
///
/// # Errors
/// Permanent when the model is refused, crashes, or needs more memory or time than there is;
/// passing when no process can be started.
pub(super) fn run(trial: &Trial<'_>, watch: &Watch) -> Result<Option<Outcome>, LoadError> {
    let shown = trial.shown;
    let refused = |why: &str| LoadError::permanent(format!("model source {shown}: {why}"));
    let most = longest(trial.bounds.timeout, trial.artifact.bytes());
    let left = trial
        .bounds
        .memory
        .saturating_sub(memory::held())
        .max(LEAST_MODELS);
    let limits = Limits {
        time: most,
        // Inputs and answers are beside the tensors of the model, as they are when it serves.
        memory: left
            .saturating_add(OWN_MEMORY)
            .saturating_add(trial.bounds.memory / 8),
    };
    let edges_end = Instant::now() + most + EDGES;
    let mut outcome = Outcome::default();
    let mut first_edge = 0;
    loop {
        let edges_left = EDGES
            .min(most / 2)
            .min(edges_end.saturating_duration_since(Instant::now()));
        let job = job(trial, left, most, first_edge, edges_left);
        let ended = start(&job)
            .and_then(|child| finish(child, watch, limits))
            .map_err(|error| {
                LoadError::passing(format!(
                    "model source {shown}: no process can be had to try it in: {error}"
                ))
            })?;
        outcome.learn(&ended.said);
        let Some(failure) = ended.failure else {
            return match ended.said.last() {
                Some(Message::Refused(reason)) => Err(refused(&readable(reason))),
                Some(Message::Changed) => Err(LoadError::passing(format!(
                    "model source {shown}: {}",
                    OpenError::Changed
                ))),
                Some(Message::Passed { peak, untried }) => {
                    outcome.edges_tried = *untried;
                    told(shown, *peak, &outcome);
                    Ok(Some(outcome))
                }
                // The error of opening it in this process says what to do.
                _ => Ok(None),
            };
        };
        match (&failure, Stage::of(&ended.said)) {
            (Failure::GivenUp, _) => {
                return Err(LoadError::passing(format!(
                    "model source {shown}: loading it was given up"
                )));
            }
            (_, Stage::Edge { at, of_values }) => {
                outcome.fatal_edges.push(at);
                outcome.edges_tried = at + 1;
                let many = outcome.fatal_edges.len() >= MOST_FATAL;
                if many && of_values {
                    return Err(refused(&format!(
                        "it ends {} on {MOST_FATAL} kinds of unusual values, tried in a process of its own: do not \
                         serve this file; export the model anew",
                        trial.backend.runtime()
                    )));
                }
                if many || Instant::now() >= edges_end {
                    told(shown, 0, &outcome);
                    return Ok(Some(outcome));
                }
                first_edge = at + 1;
            }
            (failure, stage) => {
                let why = explain(failure, stage, trial.backend.runtime(), most, left);
                return Err(refused(&why));
            }
        }
    }
}

fn job(trial: &Trial<'_>, memory: u64, most: Duration, first_edge: usize, edges: Duration) -> Job {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Job {
        backend: trial.backend.name().to_owned(),
        runtime_library: trial.runtime_library.clone(),
        artifact: trial.artifact.clone(),
        threads: trial.threads,
        memory,
        merging: trial.merging,
        first_edge,
        run_ms: millis(RUN.min(most / 2)),
        edges_ms: millis(edges),
        // One step after the other, on each thread.
        cpu_s: most
            .as_secs()
            .saturating_mul(4)
            .saturating_add(EDGES.as_secs() + 1)
            .saturating_mul(trial.threads as u64 + 1),
        parent: std::process::id(),
    }
}

fn told(source: &str, peak: u64, outcome: &Outcome) {
    tracing::info!(
        source,
        peak_mib = peak >> 20,
        open_ms = outcome.open_ms,
        run_ms = outcome.run_ms,
        unanswered = outcome.unanswered.as_deref(),
        edges = outcome.edges_tried,
        fatal_edges = outcome.fatal_edges.len(),
        "tried the model in a process of its own"
    );
}

/// Large models take longer.
fn longest(timeout: Duration, bytes: u64) -> Duration {
    timeout.saturating_add(Duration::from_secs(bytes / BYTES_PER_SECOND))
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
}
