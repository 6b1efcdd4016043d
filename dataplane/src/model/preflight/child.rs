//! The process that tries one model: it binds itself, loads and runs the model once,
//! reports what it found, and ends.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setrlimit,
};
use rustix::thread::set_no_new_privs;
use serde::{Deserialize, Serialize};

use crate::backends;
use crate::model::memory;
use serin_engine::backend::Bounds;
use serin_engine::{Artifact, Backends, OpenError};

/// The variable that makes a process a child that tries a model.
pub(super) const VARIABLE: &str = "SERIN_MODEL_TRIAL";

/// What the child is to do, on standard input, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::model) struct Job {
    /// Name of the backend that opens the model.
    pub(in crate::model) backend: String,
    /// The library that runs it.
    pub(in crate::model) runtime_library: Option<PathBuf>,
    /// The model.
    pub(in crate::model) artifact: Artifact,
    /// What the tensors of the model may take, in bytes.
    pub(in crate::model) memory: u64,
    /// How long a run may take, in milliseconds, before it is stopped.
    pub(in crate::model) run_ms: u64,
    /// How long all of it may take, in seconds of CPU time; the parent watches the clock.
    pub(in crate::model) cpu_s: u64,
    /// The process that waits.
    pub(in crate::model) parent: u32,
}

/// What the child found, on standard output, as JSON.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::model) enum Report {
    /// The model loads, and a run of it comes to an end.
    Loaded {
        /// The most memory that the process held, in bytes.
        peak: u64,
        /// Time of loading, in milliseconds.
        open_ms: u64,
        /// Time of warming up, in milliseconds.
        run_ms: u64,
        /// Why no made-up input gave an answer, where none did.
        unanswered: Option<String>,
    },
    /// The model cannot be served, for this reason.
    Refused(String),
    /// The model's files were replaced since they were found.
    Changed,
    /// The runtime of the backend cannot be used: nothing is known of the model.
    Unavailable,
}

/// Longest job that is read, in bytes.
const LONGEST_JOB: u64 = 64 << 10;

pub(in crate::model) fn run() -> ExitCode {
    let report = read_job().and_then(|job| {
        confine(&job)?;
        let backends = backends::all(job.runtime_library.clone());
        Some(try_model(&job, &backends))
    });
    let Some(report) = report else {
        return ExitCode::FAILURE;
    };
    let written = serde_json::to_vec(&report).ok().and_then(|text| {
        let mut out = std::io::stdout().lock();
        out.write_all(&text).and_then(|()| out.flush()).ok()
    });
    match written {
        Some(()) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    }
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

/// Has the model's backend try it.
pub(in crate::model) fn try_model(job: &Job, backends: &Backends) -> Report {
    let Some(backend) = backends.named(&job.backend) else {
        return Report::Unavailable;
    };
    let bounds = Bounds {
        memory: job.memory,
        run: Duration::from_millis(job.run_ms),
    };
    match backend.preflight(&job.artifact, bounds) {
        Ok(found) => Report::Loaded {
            peak: memory::peak(),
            open_ms: millis(found.open),
            run_ms: millis(found.run),
            unanswered: found.unanswered,
        },
        Err(OpenError::Unavailable { .. }) => Report::Unavailable,
        Err(OpenError::Changed) => Report::Changed,
        Err(error @ (OpenError::Unusable(_) | OpenError::Refused(_))) => {
            Report::Refused(error.to_string())
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
