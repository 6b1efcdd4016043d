//! The process that tries one model: it binds itself, runs whatever of
//! the model the process that serves would run for the first time, says what it begins and finds, and ends.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setrlimit,
};
use rustix::thread::set_no_new_privs;
use serde::{Deserialize, Serialize};

use super::merging::{self, Merging};
use crate::backends;
use crate::model::memory;
use serin_engine::batch::{self, Edge, EdgeTime, Warm};
use serin_engine::text::{Embedder, NoEmbedder};
use serin_engine::{Artifact, Backends, Engine, OpenError, OpenOptions};

/// After this, and four times what one row takes, an edge is stopped.
const SHORTEST_EDGE: Duration = Duration::from_millis(250);

/// The variable that makes a process a child that tries a model.
pub(super) const VARIABLE: &str = "SERIN_MODEL_TRIAL";

/// What the child is to do, on standard input, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::model) struct Job {
    /// Name of the backend that opens the model.
    pub(in crate::model) backend: String,
    /// The library that runs it.
    pub(in crate::model) runtime_library: Option<PathBuf>,
    /// The model.
    pub(in crate::model) artifact: Artifact,
    /// Threads within one operator.
    pub(in crate::model) threads: usize,
    /// What the tensors of the model may take, in bytes.
    pub(in crate::model) memory: u64,
    /// Whether to find out if rows may be merged.
    pub(in crate::model) merging: bool,
    /// The first edge to try. Only the edges are tried where it is not 0: the rest was, by a child
    /// that an edge ended.
    pub(in crate::model) first_edge: usize,
    /// How long a run may take, in milliseconds, before it is stopped.
    pub(in crate::model) run_ms: u64,
    /// How long all edges may take, in milliseconds.
    pub(in crate::model) edges_ms: u64,
    /// How long all of it may take, in seconds of CPU time; the parent watches the clock.
    pub(in crate::model) cpu_s: u64,
    /// The process that waits.
    pub(in crate::model) parent: u32,
}

/// What the child says on standard output, one JSON document a line: what it begins before it begins
/// it, so that its end shows what ended it, and what it found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::model) enum Message {
    /// The model is open, after so many milliseconds. It is run on one row next.
    Opened(u64),
    /// It ran.
    Ran {
        /// For so long, in milliseconds.
        ms: u64,
        /// Why no made-up input gave an answer, where none did.
        unanswered: Option<String>,
    },
    /// What lies beside the model is read next, and texts are tried with it.
    Texts,
    /// So many bytes has the longest text that the model's tokenizer takes in bearable time.
    LongestText(usize),
    /// Several rows are run next.
    Rows,
    /// Whether rows may be merged.
    Probed(Merging),
    /// This edge is run next.
    Edge {
        /// Its place.
        at: usize,
        /// Whether it is one of values.
        of_values: bool,
    },
    /// The end: the model passed.
    Passed {
        /// The most memory that the process held, in bytes.
        peak: u64,
        /// The first edge that was not tried.
        untried: usize,
    },
    /// The end: the model cannot be served, for this reason.
    Refused(String),
    /// The end: the model's files were replaced since they were found.
    Changed,
    /// The end: the runtime of the backend cannot be used, nothing is known of the model.
    Unavailable,
}

impl Message {
    /// Whether the child ends after it.
    pub(super) fn is_last(&self) -> bool {
        matches!(
            self,
            Self::Passed { .. } | Self::Refused(_) | Self::Changed | Self::Unavailable
        )
    }
}

/// Longest job that is read, in bytes.
const LONGEST_JOB: u64 = 64 << 10;

pub(in crate::model) fn run() -> ExitCode {
    let Some(job) = read_job() else {
        return ExitCode::FAILURE;
    };
    if confine(&job).is_none() {
        return ExitCode::FAILURE;
    }
    let backends = backends::all(job.runtime_library.clone());
    let mut heard = true;
    try_model(&job, &backends, &mut |message| {
        heard &= say(&message).is_some();
    });
    match heard {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Writes one line.
fn say(message: &Message) -> Option<()> {
    let mut line = serde_json::to_vec(message).ok()?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line).and_then(|()| out.flush()).ok()
}

fn read_job() -> Option<Job> {
    let mut text = Vec::new();
    let mut input = std::io::stdin().lock().take(LONGEST_JOB);
    input.read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Gives up what is not needed, before anything of the model is read. Where the system refuses one
/// of the bounds, the model is not tried without it.
///
/// Memory is bounded from outside. A limit of the system's would make allocations fail, which the
/// runtime hides in places (a constant that it cannot compute ahead is computed later), so that the
/// same model would take there what it was not given here.
fn confine(job: &Job) -> Option<()> {
    // The parent may be killed at any time: asking for the signal first, then looking at the parent,
    // leaves no gap.
    set_parent_process_death_signal(Some(Signal::KILL)).ok()?;
    if getppid().map(Pid::as_raw_nonzero) != i32::try_from(job.parent).ok()?.try_into().ok() {
        return None;
    }
    let bound = |resource, most: u64| {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit).ok()
    };
    bound(Resource::Core, 0)?;
    // No file can be written.
    bound(Resource::Fsize, 0)?;
    bound(Resource::Cpu, job.cpu_s)?;
    set_no_new_privs(true).ok()?;
    // Short of memory, the system should end this process and not its parent. Not every system
    // permits that.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    Some(())
}

/// Tries the model: opens it by its backend, then runs whatever the process that serves will run for the
/// first time.
pub(in crate::model) fn try_model(job: &Job, backends: &Backends, tell: &mut dyn FnMut(Message)) {
    let last = match trial(job, backends, tell) {
        Ok(passed) => passed,
        Err(OpenError::Unavailable { .. }) => Message::Unavailable,
        Err(OpenError::Changed) => Message::Changed,
        Err(error @ (OpenError::Unusable(_) | OpenError::Refused(_))) => {
            Message::Refused(error.to_string())
        }
    };
    tell(last);
}

fn trial(
    job: &Job,
    backends: &Backends,
    tell: &mut dyn FnMut(Message),
) -> Result<Message, OpenError> {
    let Some(backend) = backends.named(&job.backend) else {
        return Ok(Message::Unavailable);
    };
    let budget = Duration::from_millis(job.run_ms);
    let begun = Instant::now();
    let options = OpenOptions {
        gpu: false,
        threads: job.threads,
        memory: job.memory,
    };
    let mut opened = backend.open(&job.artifact, &options)?;
    let engine = opened.engine.as_mut();
    tell(Message::Opened(millis(begun.elapsed())));
    let begun = Instant::now();
    let warm = batch::warm_up(engine, budget);
    tell(Message::Ran {
        ms: millis(begun.elapsed()),
        unanswered: warm.as_ref().err().map(|why| why.reason.clone()),
    });
    if job.first_edge == 0 {
        tell(Message::Texts);
        if let Some(bytes) = longest_text(job, engine)? {
            tell(Message::LongestText(bytes));
        }
        if let Ok(warm) = &warm {
            tell(Message::Rows);
            batch::try_rows(engine, warm, budget);
            let proof = batch::prove(engine, merging::limits(job.merging, budget));
            tell(Message::Probed(Merging::from(proof)));
        }
    }
    let untried = match warm {
        Ok(warm) => try_edges(job, engine, &warm, tell),
        // One that was stopped would be stopped at each.
        Err(why) if why.stopped => 0,
        Err(_) => try_edges(job, engine, &Warm::guess(), tell),
    };
    Ok(Message::Passed {
        peak: memory::peak(),
        untried,
    })
}

/// The longest text that the model's tokenizer takes, in bytes; `None` where it embeds none, which is no
/// failure.
fn longest_text(job: &Job, engine: &dyn Engine) -> Result<Option<usize>, OpenError> {
    let measured = Embedder::load(job.artifact.place(), engine.signature())
        .and_then(|embedder| embedder.measure());
    match measured {
        Ok(bytes) => Ok(Some(bytes)),
        Err(NoEmbedder::Lacks(_)) => Ok(None),
        Err(NoEmbedder::Unfit(why)) => Err(OpenError::Refused(why)),
    }
}

/// An edge is stopped early: nobody waits for its answer.
fn try_edges(
    job: &Job,
    engine: &mut dyn Engine,
    warm: &Warm,
    tell: &mut dyn FnMut(Message),
) -> usize {
    let time = EdgeTime {
        run: SHORTEST_EDGE + warm.row_time * 4,
        all: Duration::from_millis(job.edges_ms),
    };
    batch::try_edges(engine, warm, job.first_edge, time, |at, edge| {
        let of_values = !matches!(edge, Edge::Zeros(_));
        tell(Message::Edge { at, of_values });
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
