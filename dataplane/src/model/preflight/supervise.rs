//! The child process that tries a model, watched from outside.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use super::child::{Job, Message, VARIABLE};
use crate::model::memory;

/// Most that is read of what a child says, in bytes.
const LONGEST_REPORT: u64 = 256 << 10;

/// Interval of looking at the child's memory, of which a process gets some 10 MiB meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// An edge takes this, and eight times what the first runs took, or it hangs.
const SLOW_EDGE: Duration = Duration::from_secs(5);

/// Ends the preflight when it is dropped.
pub(in crate::model) struct GiveUp(Sender<Event>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        let _ = self.0.send(Event::GivenUp);
    }
}

/// What a preflight waits for: what its child says, or that it is given up.
pub(in crate::model) struct Watch(Sender<Event>, Receiver<Event>);

enum Event {
    Said(Message),
    Closed,
    GivenUp,
}

/// The two ends of one preflight's watch.
pub(in crate::model) fn watch() -> (GiveUp, Watch) {
    let (sender, receiver) = mpsc::channel();
    (GiveUp(sender.clone()), Watch(sender, receiver))
}

/// Why a child did not come to its end.
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
    /// From its start to the end of its first runs, and for each step after that.
    pub(super) time: Duration,
    /// In bytes.
    pub(super) memory: u64,
}

/// What came of a child.
#[derive(Debug)]
pub(super) struct Ended {
    /// What it said, in order.
    pub(super) said: Vec<Message>,
    /// Why it did not say that it had ended.
    pub(super) failure: Option<Failure>,
}

/// Waits for the child's last message or its end; afterwards there is no child.
pub(super) fn finish(mut child: Child, watch: &Watch, limits: Limits) -> io::Result<Ended> {
    let Watch(sender, events) = watch;
    let (sender, output) = (sender.clone(), child.stdout.take());
    let reader = std::thread::Builder::new()
        .name("model-preflight".to_owned())
        .spawn(move || {
            if let Some(output) = output {
                read(output, &sender);
            }
            let _ = sender.send(Event::Closed);
        });
    let mut said = Vec::new();
    let heard = match &reader {
        Ok(_) => listen(events, child.id(), limits, &mut said),
        Err(_) => Err(Failure::GivenUp),
    };
    // It has ended, or may not go on; killing one that ended changes nothing.
    let _ = child.kill();
    let status = child.wait()?;
    // Its last event is the reader's own, so nothing of this child is left for the next one.
    let _ = reader?.join();
    let mut given_up = false;
    while let Ok(event) = events.try_recv() {
        given_up |= matches!(event, Event::GivenUp);
    }
    let failure = match heard {
        _ if given_up => Some(Failure::GivenUp),
        Err(failure) => Some(failure),
        Ok(()) if said.last().is_some_and(Message::is_last) => None,
        Ok(()) => Some(Failure::Ended(status)),
    };
    Ok(Ended { said, failure })
}

/// Passes on what the child says, as long as it is understood.
fn read(output: impl Read, sender: &Sender<Event>) {
    let mut lines = BufReader::new(output.take(LONGEST_REPORT));
    let mut line = Vec::new();
    while let Ok(1..) = lines.read_until(b'\n', &mut line) {
        let Ok(message) = serde_json::from_slice(&line) else {
            return;
        };
        if sender.send(Event::Said(message)).is_err() {
            return;
        }
        line.clear();
    }
}

/// Collects what the child says until it says no more, while it keeps within its limits.
fn listen(
    events: &Receiver<Event>,
    child: u32,
    limits: Limits,
    said: &mut Vec<Message>,
) -> Result<(), Failure> {
    let mut begun = Instant::now();
    let mut most = limits.time;
    let mut slow_edge = limits.time;
    loop {
        match events.recv_timeout(LOOK_EVERY) {
            Ok(Event::Said(message)) => {
                match &message {
                    // Opening and running have one bound together.
                    Message::Opened(_) => {}
                    Message::Ran { ms, .. } => {
                        let ran = Duration::from_millis(*ms);
                        slow_edge = SLOW_EDGE
                            .saturating_add(ran.saturating_mul(8))
                            .min(limits.time);
                        begun = Instant::now();
                    }
                    Message::Edge { .. } => {
                        most = slow_edge;
                        begun = Instant::now();
                    }
                    _ => begun = Instant::now(),
                }
                said.push(message);
            }
            Ok(Event::Closed) => return Ok(()),
            Ok(Event::GivenUp) => return Err(Failure::GivenUp),
            Err(_) if begun.elapsed() > most => return Err(Failure::TimedOut),
            Err(_) if memory::held_by(child) > limits.memory => return Err(Failure::OutOfMemory),
            Err(_) => {}
        }
    }
}

/// What a child was doing when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It opened the model, or ran one row.
    Opening,
    /// It read or tried what lies beside the model.
    Texts,
    /// It ran several rows.
    Rows,
    /// It ran an edge.
    Edge {
        /// Its place.
        at: usize,
        /// Whether it is one of values.
        of_values: bool,
    },
}

impl Stage {
    /// By what the child said last.
    pub(super) fn of(said: &[Message]) -> Self {
        match said.last() {
            None | Some(Message::Opened(_)) => Self::Opening,
            Some(Message::Texts | Message::LongestText(_)) => Self::Texts,
            Some(Message::Edge { at, of_values }) => Self::Edge {
                at: *at,
                of_values: *of_values,
            },
            Some(_) => Self::Rows,
        }
    }

    /// What it was, before a verb that says what became of it.
    fn subject(self) -> &'static str {
        match self {
            Self::Opening => "loading it",
            Self::Texts => "trying texts with its tokenizer.json",
            Self::Rows | Self::Edge { .. } => "running several rows at once",
        }
    }

    /// What to do about what is large or slow.
    fn cure(self) -> &'static str {
        match self {
            Self::Opening | Self::Rows | Self::Edge { .. } => "serve a smaller model",
            Self::Texts => "serve it with a simpler or smaller tokenizer",
        }
    }
}

/// What happened, and what to do, for people.
pub(super) fn explain(
    failure: &Failure,
    stage: Stage,
    runtime: &str,
    most: Duration,
    memory: u64,
) -> String {
    const XCPU: i32 = 24;
    const ABRT: i32 = 6;
    const KILL: i32 = 9;
    let (subject, cure) = (stage.subject(), stage.cure());
    let slow = || {
        let seconds = most.as_secs();
        match stage {
            Stage::Opening => format!(
                "it was not loaded within {seconds} s, tried in a process of its own: give it longer with \
                 --model-load-timeout, or {cure}"
            ),
            _ => format!(
                "{subject} did not end within {seconds} s, tried in a process of its own: give it longer with \
                 --model-load-timeout, or {cure}"
            ),
        }
    };
    let large = || {
        format!(
            "{subject}, tried in a process of its own, takes more than the {} MiB that are left for it: raise the \
             container's memory limit or --model-memory-mib, or {cure}",
            memory >> 20
        )
    };
    let status = match failure {
        Failure::TimedOut => return slow(),
        Failure::OutOfMemory => return large(),
        Failure::GivenUp => return "loading it was given up".to_owned(),
        Failure::Ended(status) => status,
    };
    match (status.signal(), stage) {
        (Some(XCPU), _) => slow(),
        // What a process does that gets no memory, and what the system does to one that takes it.
        (Some(ABRT), Stage::Opening) | (Some(KILL), _) => large(),
        (Some(signal), Stage::Texts) => format!(
            "its tokenizer.json crashes (signal {signal}, in a process of its own): export the tokenizer anew"
        ),
        (Some(signal), Stage::Rows) => format!(
            "it runs one row, and several rows at once crash {runtime} (signal {signal}, in a process of its own): do \
             not serve this file; export the model anew"
        ),
        (Some(signal), _) => format!(
            "it crashes {runtime} (signal {signal}, in a process of its own): do not serve this file; export the \
             model anew"
        ),
        (None, _) => format!(
            "the process that tried it ended without a word (exit status {}): see whether limits are set that keep \
             it from starting",
            status.code().unwrap_or_default()
        ),
    }
}

#[cfg(test)]
mod tests;
