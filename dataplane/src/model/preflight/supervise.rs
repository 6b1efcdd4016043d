//! The child process that tries a model, watched from outside.

use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use super::child::{Job, Report, VARIABLE};
use crate::model::memory;

/// Longest report that is read, in bytes.
const LONGEST_REPORT: u64 = 64 << 10;

/// Interval of looking at the child's memory, of which a process gets some 10 MiB meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Ends the preflight when it is dropped.
pub(in crate::model) struct GiveUp(Sender<Event>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        let _ = self.0.send(Event::GivenUp);
    }
}

/// What a preflight waits for: a report, or that it is given up.
pub(in crate::model) struct Watch(Sender<Event>, Receiver<Event>);

enum Event {
    Reported(Vec<u8>),
    GivenUp,
}

/// The two ends of one preflight's watch.
pub(in crate::model) fn watch() -> (GiveUp, Watch) {
    let (sender, receiver) = mpsc::channel();
    (GiveUp(sender.clone()), Watch(sender, receiver))
}

/// Why a child gave no report.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It took longer than it may.
    TimedOut,
    /// It took more memory than it may.
    OutOfMemory,
    /// Nobody waits for the model any more.
    GivenUp,
    /// It ended by itself.
    Ended(ExitStatus),
}

/// Starts the child.
pub(super) fn start(job: &Job) -> io::Result<Child> {
    let job = serde_json::to_vec(job)?;
    // Not by its path, where a newer program may be by now.
    let mut child = Command::new("/proc/self/exe")
        .arg0("serin-model-preflight")
        .env(VARIABLE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // Where it has ended already, waiting for its report finds that.
        let _ = input.write_all(&job);
    }
    Ok(child)
}

/// Bounds of a child.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// From its start to its report.
    pub(super) time: Duration,
    /// In bytes.
    pub(super) memory: u64,
}

/// Waits for the child's report or its end; afterwards there is no child.
pub(super) fn finish(
    mut child: Child,
    watch: Watch,
    limits: Limits,
) -> io::Result<Result<Report, Failure>> {
    let Watch(sender, events) = watch;
    let output = child.stdout.take();
    let reader = std::thread::Builder::new()
        .name("model-preflight".to_owned())
        .spawn(move || {
            let mut report = Vec::new();
            if let Some(output) = output {
                let _ = output.take(LONGEST_REPORT).read_to_end(&mut report);
            }
            let _ = sender.send(Event::Reported(report));
        });
    let report = match &reader {
        Ok(_) => listen(&events, child.id(), limits),
        Err(_) => Err(Failure::GivenUp),
    };
    // It has reported, or may not go on; killing one that ended changes nothing.
    let _ = child.kill();
    let status = child.wait()?;
    reader?;
    Ok(report
        .and_then(|report| serde_json::from_slice(&report).map_err(|_| Failure::Ended(status))))
}

/// The child's report, while it keeps within its limits.
fn listen(events: &Receiver<Event>, child: u32, limits: Limits) -> Result<Vec<u8>, Failure> {
    let begun = Instant::now();
    loop {
        match events.recv_timeout(LOOK_EVERY) {
            Ok(Event::Reported(report)) => return Ok(report),
            Ok(Event::GivenUp) => return Err(Failure::GivenUp),
            Err(_) if begun.elapsed() > limits.time => return Err(Failure::TimedOut),
            Err(_) if memory::held_by(child) > limits.memory => return Err(Failure::OutOfMemory),
            Err(_) => {}
        }
    }
}

/// What happened, and what to do, for people.
pub(super) fn explain(failure: &Failure, runtime: &str, most: Duration, memory: u64) -> String {
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
    let status = match failure {
        Failure::TimedOut => return slow(),
        Failure::OutOfMemory => return large(),
        Failure::GivenUp => return "loading it was given up".to_owned(),
        Failure::Ended(status) => status,
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

#[cfg(test)]
mod tests;
