//! A model is an untrusted program: before this process loads it, a child process does, with bounds
//! on memory and time, and runs it once. What crashes, hangs or swells does so there.
//!
//! The child is this same program, started anew; [`enter`] is its way in.

mod child;
mod passed;

use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use child::{Job, Report};
pub(super) use passed::Passed;

use super::load::LoadBounds;
use super::{LoadError, Located, memory};
use crate::engine::onnx::ModelFile;

/// Makes a process a child that tries a model.
const VARIABLE: &str = "SERIN_MODEL_TRIAL";

/// Longest report that is read, in bytes.
const LONGEST_REPORT: u64 = 64 << 10;

/// Longest reason that is passed on, in characters.
const LONGEST_REASON: usize = 1000;

/// How long the model may run on made-up inputs; one that needs longer is told to stop, which is
/// no fault.
const RUN: Duration = Duration::from_secs(10);

/// For each so many bytes of a model, loading may take a second more.
const BYTES_PER_SECOND: u64 = 16 << 20;

/// Whether `main` has called [`enter`]: only such a program can be its own child.
static ABLE: OnceLock<()> = OnceLock::new();

/// One model is tried and opened at a time, so that what memory is left for it is known.
static TURN: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(1);

/// To be called first in `main`, after [`crate::engine::onnx::silence_runtime`]. Where this process
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
pub(super) async fn turn() -> Option<tokio::sync::SemaphorePermit<'static>> {
    // It is never closed.
    TURN.acquire().await.ok()
}

/// Ends the trial when it is dropped.
pub(super) struct GiveUp(Sender<Event>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        let _ = self.0.send(Event::GivenUp);
    }
}

/// Where a trial listens.
pub(super) struct Watch(Sender<Event>, Receiver<Event>);

enum Event {
    Said(Vec<u8>),
    GivenUp,
}

/// For one trial: what ends it early, and what the trial needs.
pub(super) fn watch() -> (GiveUp, Watch) {
    let (sender, receiver) = mpsc::channel();
    (GiveUp(sender.clone()), Watch(sender, receiver))
}

/// How a trial went wrong, where the model itself said nothing.
#[derive(Debug, PartialEq, Eq)]
enum Broken {
    TimeOver,
    GivenUp,
    Ended(ExitStatus),
}

/// Tries a checked file; blocks until that is over.
///
/// # Errors
/// Permanent when the model is refused, crashes, or needs more memory or time than there is;
/// passing when no process can be had.
pub(super) fn attempt(
    file: &ModelFile,
    located: &Located,
    library: &Path,
    bounds: LoadBounds,
    watch: Watch,
) -> Result<(), LoadError> {
    let most = longest(bounds.timeout, file.bytes());
    let left = bounds.memory.saturating_sub(memory::held());
    let job = Job {
        path: file.path().to_path_buf(),
        library: library.to_path_buf(),
        memory: left,
        run_ms: u64::try_from(RUN.min(most / 4).as_millis()).unwrap_or(u64::MAX),
        cpu_s: most.as_secs().saturating_add(1),
        parent: std::process::id(),
    };
    let shown = &located.shown;
    let outcome = start(&job)
        .and_then(|child| finish(child, watch, most))
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
                unanswered,
                "tried the model in a process of its own"
            );
            Ok(())
        }
        // Loading it here says why, with the cure.
        Ok(Report::NoRuntime) => Ok(()),
        Ok(Report::Refused(reason)) => Err(LoadError::permanent(format!(
            "model source {shown}: {}",
            readable(&reason)
        ))),
        Err(Broken::GivenUp) => Err(LoadError::passing(format!(
            "model source {shown}: loading it was given up"
        ))),
        Err(broken) => Err(LoadError::permanent(format!(
            "model source {shown}: {}",
            explain(&broken, most, left)
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
        .arg0("serin-model-trial")
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

/// Waits for the child's report or its end; afterwards there is no child.
fn finish(mut child: Child, watch: Watch, most: Duration) -> io::Result<Result<Report, Broken>> {
    let Watch(sender, events) = watch;
    let output = child.stdout.take();
    let reader = std::thread::Builder::new()
        .name("model-trial".to_owned())
        .spawn(move || {
            let mut said = Vec::new();
            if let Some(output) = output {
                let _ = output.take(LONGEST_REPORT).read_to_end(&mut said);
            }
            let _ = sender.send(Event::Said(said));
        });
    let event = match &reader {
        Ok(_) => events.recv_timeout(most),
        Err(_) => Ok(Event::GivenUp),
    };
    // It has said all it has to say, or its time is over; killing one that ended changes nothing.
    let _ = child.kill();
    let status = child.wait()?;
    reader?;
    Ok(match event {
        Ok(Event::Said(said)) => serde_json::from_slice(&said).map_err(|_| Broken::Ended(status)),
        Ok(Event::GivenUp) => Err(Broken::GivenUp),
        Err(_) => Err(Broken::TimeOver),
    })
}

/// What happened, and what to do.
fn explain(broken: &Broken, most: Duration, memory: u64) -> String {
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
    let status = match broken {
        Broken::TimeOver => return slow(),
        Broken::GivenUp => return "loading it was given up".to_owned(),
        Broken::Ended(status) => status,
    };
    match status.signal() {
        Some(XCPU) => slow(),
        Some(signal @ (ABRT | KILL)) => format!(
            "loading it, tried in a process of its own, ended by signal {signal}, as it does for want of memory: \
             {} MiB were left for it. Raise the container's memory limit or --model-memory-mib, or serve a smaller \
             model",
            memory >> 20
        ),
        Some(signal) => format!(
            "it crashes ONNX Runtime (signal {signal}, in a process of its own): do not serve this file; export the \
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
