//! A model is an untrusted program: before this process loads it, a child process does, with bounds
//! on memory and time, and runs it once. What crashes, hangs or swells does so there.
//!
//! The child is this same program, started anew; [`enter`] is its way in.

mod cache;
mod child;

use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

pub(super) use cache::PreflightCache;
#[cfg(test)]
pub(super) use child::attempt as run_job;
pub(super) use child::{Job, Report};
use serde::{Deserialize, Serialize};

use super::load::LoadBounds;
use super::{LoadError, memory};
use serin_engine::{Artifact, Backend, OpenError};

/// Makes a process a child that tries a model.
const VARIABLE: &str = "SERIN_MODEL_TRIAL";

/// Longest report that is read, in bytes.
const LONGEST_REPORT: u64 = 64 << 10;

/// Longest reason that is passed on, in characters.
const LONGEST_REASON: usize = 1000;

/// How long the model may run on made-up inputs, and at most half of the time that loading has; one
/// that needs longer is told to stop, which is no fault.
const RUN: Duration = Duration::from_secs(30);

/// Between two looks at what the child holds; a process gets some 10 MiB of new memory meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What the child needs besides the model.
const OWN_MEMORY: u64 = 32 << 20;

/// For each so many bytes of a model, loading may take a second more.
const BYTES_PER_SECOND: u64 = 16 << 20;

/// Whether `main` has called [`enter`]: only such a program can be its own child.
static ABLE: OnceLock<()> = OnceLock::new();

/// One model is tried and opened at a time, so that what memory is left for it is known.
static OPENING: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(1);

/// To be called first in `main`, after the runtimes of models are silenced. Where this process
/// was started to try a model, does so and gives the exit status to end with; else returns at
/// once, and models that are loaded later are tried in a child first.
pub fn enter() -> Option<ExitCode> {
    if std::env::var_os(VARIABLE).is_some_and(|value| value == "1") {
        return Some(child::run());
    }
    ABLE.get_or_init(|| ());
    None
}

/// Whether models can be tried here.
pub(super) fn is_able() -> bool {
    ABLE.get().is_some()
}

/// The right to open a model, held until it is open.
pub(super) async fn opening_permit() -> Option<tokio::sync::SemaphorePermit<'static>> {
    // It is never closed.
    OPENING.acquire().await.ok()
}

/// Ends the preflight when it is dropped.
pub(super) struct GiveUp(Sender<Event>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        let _ = self.0.send(Event::GivenUp);
    }
}

/// Where a preflight listens.
pub(super) struct Watch(Sender<Event>, Receiver<Event>);

enum Event {
    Said(Vec<u8>),
    GivenUp,
}

/// For one preflight: what ends it early, and what the preflight needs.
pub(super) fn watch() -> (GiveUp, Watch) {
    let (sender, receiver) = mpsc::channel();
    (GiveUp(sender.clone()), Watch(sender, receiver))
}

/// How a preflight went wrong, where the model itself said nothing.
#[derive(Debug, PartialEq, Eq)]
enum Broken {
    TimeOver,
    /// It took more memory than it may.
    OutOfMemory,
    GivenUp,
    Ended(ExitStatus),
}

/// What is known of a model that has passed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// Why no made-up input gave an answer, where none did: such a run is not to be tried again in
    /// the serving process.
    pub(super) unanswered: Option<String>,
}

/// A model to be tried.
#[derive(Clone)]
pub(super) struct Trial<'a> {
    /// Opens it.
    pub(super) backend: &'a dyn Backend,
    pub(super) artifact: &'a Artifact,
    /// What the backend runs models with, where it needs a library.
    pub(super) library: Option<PathBuf>,
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
pub(super) fn attempt(trial: Trial<'_>, watch: Watch) -> Result<Option<Outcome>, LoadError> {
    let Trial {
        backend,
        artifact,
        library,
        shown,
        bounds,
    } = trial;
    let most = longest(bounds.timeout, artifact.bytes());
    let left = bounds
        .memory
        .saturating_sub(memory::held())
        .max(memory::LEAST);
    let job = Job {
        backend: backend.name().to_owned(),
        library,
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
        // Loading it here says why, with the cure.
        Ok(Report::Unavailable) => Ok(None),
        Ok(Report::Changed) => Err(LoadError::passing(format!(
            "model source {shown}: {}",
            OpenError::Changed
        ))),
        Ok(Report::Refused(reason)) => Err(LoadError::permanent(format!(
            "model source {shown}: {}",
            readable(&reason)
        ))),
        Err(Broken::GivenUp) => Err(LoadError::passing(format!(
            "model source {shown}: loading it was given up"
        ))),
        Err(broken) => Err(LoadError::permanent(format!(
            "model source {shown}: {}",
            explain(&broken, backend.runtime(), most, left)
        ))),
    }
}

/// Large models take longer.
fn longest(timeout: Duration, bytes: u64) -> Duration {
    timeout.saturating_add(Duration::from_secs(bytes / BYTES_PER_SECOND))
}

fn start(job: &Job) -> io::Result<Child> {
    let job = serde_json::to_vec(job)?;
    // Not by its path: there a newer program may lie by now.
    let mut child = Command::new("/proc/self/exe")
        .arg0("serin-model-preflight")
        .env(VARIABLE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // One that ended before it read this is found to have ended.
        let _ = input.write_all(&job);
    }
    Ok(child)
}

/// Bounds of a child.
#[derive(Clone, Copy)]
struct Limits {
    time: Duration,
    /// In bytes.
    memory: u64,
}

/// Waits for the child's report or its end; afterwards there is no child.
fn finish(mut child: Child, watch: Watch, limits: Limits) -> io::Result<Result<Report, Broken>> {
    let Watch(sender, events) = watch;
    let output = child.stdout.take();
    let reader = std::thread::Builder::new()
        .name("model-preflight".to_owned())
        .spawn(move || {
            let mut said = Vec::new();
            if let Some(output) = output {
                let _ = output.take(LONGEST_REPORT).read_to_end(&mut said);
            }
            let _ = sender.send(Event::Said(said));
        });
    let said = match &reader {
        Ok(_) => listen(&events, child.id(), limits),
        Err(_) => Err(Broken::GivenUp),
    };
    // It has said all it has to say, or may say no more; killing one that ended changes nothing.
    let _ = child.kill();
    let status = child.wait()?;
    reader?;
    Ok(said.and_then(|said| serde_json::from_slice(&said).map_err(|_| Broken::Ended(status))))
}

/// What the child says, while it keeps within its limits.
fn listen(events: &Receiver<Event>, child: u32, limits: Limits) -> Result<Vec<u8>, Broken> {
    let begun = Instant::now();
    loop {
        match events.recv_timeout(LOOK_EVERY) {
            Ok(Event::Said(said)) => return Ok(said),
            Ok(Event::GivenUp) => return Err(Broken::GivenUp),
            Err(_) if begun.elapsed() > limits.time => return Err(Broken::TimeOver),
            Err(_) if memory::held_by(child) > limits.memory => return Err(Broken::OutOfMemory),
            Err(_) => {}
        }
    }
}

/// What happened, and what to do.
fn explain(broken: &Broken, runtime: &str, most: Duration, memory: u64) -> String {
    const XCPU: i32 = 24;
    const ABRT: i32 = 6;
    const KILL: i32 = 9;
    let slow = || {
        format!(
            "it was not loaded within {} s, tried in a process of its own: give it longer with \
             --model-load-timeout, or serve a smaller model",
            most.as_secs()
        )
    };
    let large = || {
        format!(
            "loading it, tried in a process of its own, takes more than the {} MiB that are left for it: raise the \
             container's memory limit or --model-memory-mib, or serve a smaller model",
            memory >> 20
        )
    };
    let status = match broken {
        Broken::TimeOver => return slow(),
        Broken::OutOfMemory => return large(),
        Broken::GivenUp => return "loading it was given up".to_owned(),
        Broken::Ended(status) => status,
    };
    match status.signal() {
        Some(XCPU) => slow(),
        // What a process does that gets no memory, and what the system does to one that takes it.
        Some(ABRT | KILL) => large(),
        Some(signal) => format!(
            "it crashes {runtime} (signal {signal}, in a process of its own): do not serve this file; export the \
             model anew"
        ),
        None => format!(
            "the process that tried it ended without a word (exit status {}): see whether limits are set that keep \
             it from starting",
            status.code().unwrap_or_default()
        ),
    }
}

/// One bounded line, whatever was said: the one who said it may have been taken over.
fn readable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST_REASON)
        .collect()
}

#[cfg(test)]
mod tests;
