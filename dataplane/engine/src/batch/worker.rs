//! The engine threads of one model and the way to them.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::attempt::{broken, entry_rows, run, scatter, wanted_outputs};
use super::merge::{classify, join};
use super::observer::{Execution, Observer};
use super::order::Place;
use super::queue::{Entry, Queue, Run, Waiter};
use super::work::{Completion, Rejected, WhenBusy, Work};
use crate::{Engine, Stop};
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Standing, Tensor, Timing};

/// How a worker is made.
#[derive(Clone)]
pub struct WorkerOptions {
    /// Names the threads.
    pub name: String,
    /// Most rows of one run; 1 where rows may not be merged.
    pub max_rows: usize,
    /// Names of inputs that a request may leave out. A request that gives one runs alone: such
    /// inputs need not have rows.
    pub optional_inputs: Vec<String>,
    /// Most waiting requests.
    pub queue: usize,
    /// First estimate of what one request costs those behind it; measured from then on.
    pub per_request: Duration,
    /// Where runs and waiting requests are counted.
    pub observer: Arc<dyn Observer>,
}

/// What a worker has done and is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests waiting.
    pub queued: usize,
    /// Requests running.
    pub running: usize,
    /// Runs of the model, failed ones included.
    pub executions: u64,
    /// Rows run.
    pub rows: u64,
    /// What one request costs those behind it, of late: requests that share a run share its time.
    pub per_request: Duration,
}

/// One model's engine threads; dropping it lets them end after what is queued.
pub struct Worker {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Queue,
    options: WorkerOptions,
    /// As in the options until a merged run shows that the model cannot do it.
    max_rows: AtomicUsize,
    running: AtomicUsize,
    executions: AtomicU64,
    rows: AtomicU64,
    per_request_nanos: AtomicU64,
}

impl Worker {
    /// Starts one thread for each engine; all take from one queue.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(engines: Vec<Box<dyn Engine>>, options: WorkerOptions) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Queue::new(options.queue, Arc::clone(&options.observer)),
            max_rows: AtomicUsize::new(options.max_rows),
            running: AtomicUsize::new(0),
            executions: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            per_request_nanos: AtomicU64::new(nanos(options.per_request)),
            options,
        });
        let worker = Self { shared };
        for mut engine in engines {
            let shared = Arc::clone(&worker.shared);
            std::thread::Builder::new()
                .name(format!("engine-{}", shared.options.name))
                .spawn(move || {
                    while let Some(entries) =
                        shared.queue.take(shared.max_rows.load(Ordering::Relaxed))
                    {
                        // What breaks here, outside of the engine too, breaks for these requests
                        // only: dropping them answers their callers.
                        let run = || shared.execute(engine.as_mut(), entries);
                        if catch_unwind(AssertUnwindSafe(run)).is_err() {
                            tracing::error!(model = shared.options.name, "a run broke");
                        }
                    }
                })?;
        }
        Ok(worker)
    }

    /// Runs one request. Dropping the future before it ends gives the request up.
    ///
    /// # Errors
    /// `Overloaded` when the queue is full or the caller has its share of it, with [`WhenBusy::Wait`] until the deadline; `Timeout` at the deadline, `Inference` when the model fails on these inputs,
    /// `Internal` when the engine breaks.
    pub async fn run(&self, work: Work, when_busy: WhenBusy) -> Result<Completion, Rejected> {
        let (deadline, queue) = (work.deadline, &self.shared.queue);
        let permit = match when_busy {
            WhenBusy::Refuse => queue.try_permit(work.standing),
            WhenBusy::Wait => tokio::time::timeout_at(deadline.into(), queue.permit())
                .await
                .ok()
                .flatten(),
        };
        if permit.is_none() {
            return Err(Rejected::queue_full());
        }
        let waiter = Arc::new(Waiter::default());
        // From here on leaving early, in whichever way, gives the request up.
        let _leaving = Leaving {
            waiter: Arc::clone(&waiter),
            queue,
        };
        let (reply, answer) = oneshot::channel();
        queue.push(Entry {
            mergeable: self.shared.mergeable(&work.inputs),
            place: Place {
                standing: work.standing,
                priority: work.priority,
                ..Place::default()
            },
            permit,
            work,
            waiter,
            reply,
            runtime: Handle::current(),
        });
        let answer = match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(broken("its run broke off")),
            Err(_) => Err(Fault::new(
                FaultKind::Timeout,
                "timeout",
                "the deadline passed before the model had answered",
            )),
        };
        answer.map_err(Rejected::from)
    }

    /// Requests that run before a new one of this standing, those that run now included.
    pub fn ahead_of(&self, standing: Standing) -> usize {
        self.shared.queue.ahead_of(standing) + self.shared.running.load(Ordering::Relaxed)
    }

    /// What one request costs those behind it, of late.
    pub fn per_request(&self) -> Duration {
        Duration::from_nanos(self.shared.per_request_nanos.load(Ordering::Relaxed))
    }

    /// What it has done and is doing.
    pub fn counts(&self) -> Counts {
        Counts {
            queued: self.shared.queue.len(),
            running: self.shared.running.load(Ordering::Relaxed),
            executions: self.shared.executions.load(Ordering::Relaxed),
            rows: self.shared.rows.load(Ordering::Relaxed),
            per_request: self.per_request(),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

/// When dropped, tells the run, or else the queue, that nobody waits for the request any more.
struct Leaving<'q> {
    waiter: Arc<Waiter>,
    queue: &'q Queue,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if !self.waiter.leave() {
            self.queue.remove_left();
        }
    }
}

/// Counts requests as running until it is dropped, however the run ends.
struct Running<'c>(&'c AtomicUsize, usize);

impl<'c> Running<'c> {
    fn count(counter: &'c AtomicUsize, requests: usize) -> Self {
        counter.fetch_add(requests, Ordering::Relaxed);
        Self(counter, requests)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

impl Shared {
    fn mergeable(&self, inputs: &[Tensor]) -> Option<(super::merge::RowClass, usize)> {
        let optional = |input: &Tensor| self.options.optional_inputs.contains(&input.name);
        if self.max_rows.load(Ordering::Relaxed) == 1 || inputs.iter().any(optional) {
            return None;
        }
        classify(inputs)
    }

    /// Runs what the queue gave. Where several fail together, each is run alone once, so that only
    /// the one at fault fails.
    fn execute(&self, engine: &mut dyn Engine, mut entries: Vec<Entry>) {
        let Some(run) = Run::begin(&mut entries) else {
            return;
        };
        let running = Running::count(&self.running, entries.len());
        let (results, rest) = self.run_once(engine, entries, &run.stop);
        drop(running);
        deliver(results);
        for entry in rest {
            if entry.work.deadline > Instant::now() {
                self.execute(engine, vec![entry]);
            } else {
                let _ = entry.reply.send(Err(Fault::new(
                    FaultKind::Timeout,
                    "timeout",
                    "the deadline passed before the model had answered",
                )));
            }
        }
    }

    /// One run of several requests.
    fn run_once(&self, engine: &mut dyn Engine, entries: Vec<Entry>, stop: &Stop) -> RunOnce {
        let wanted = wanted_outputs(&entries);
        let started = Instant::now();
        let mut joined_at = started;
        let result = match entries.as_slice() {
            [only] => run(engine, &only.work.inputs, &wanted, stop),
            many => {
                let inputs: Vec<&[Tensor]> = many
                    .iter()
                    .map(|entry| entry.work.inputs.as_slice())
                    .collect();
                let joined = join(&inputs);
                joined_at = Instant::now();
                run(engine, &joined, &wanted, stop)
            }
        };
        let rows: usize = entries.iter().map(entry_rows).sum();
        let number = self.executions.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.options.observer.ran(rows);
        let outputs = match result {
            Ok(outputs) => outputs,
            Err(_) if entries.len() > 1 && !stop.is_raised() => return (Vec::new(), entries),
            Err(fault) => {
                if stop.is_raised() {
                    self.took_at_least(started.elapsed() / count(&entries));
                }
                let failed = entries.into_iter().map(|entry| (entry, Err(fault.clone())));
                return (failed.collect(), Vec::new());
            }
        };
        let ran_at = Instant::now();
        self.took((ran_at - started) / count(&entries));
        let Some(answers) = scatter(&entries, &wanted, &outputs, rows) else {
            // The decision at load was wrong: from now on, slow rather than wrong.
            tracing::warn!(
                model = self.options.name,
                rows,
                "a merged run did not give one output row for each input row: rows are not merged any more"
            );
            self.max_rows.store(1, Ordering::Relaxed);
            return (Vec::new(), entries);
        };
        let waited = |entry: &Entry| started.saturating_duration_since(entry.work.arrived);
        self.options.observer.answered(&Execution {
            requests: entries.len() as u64,
            rows,
            queued: entries.iter().map(waited).sum(),
            input: joined_at - started,
            infer: ran_at - joined_at,
            output: ran_at.elapsed(),
        });
        let results = entries.into_iter().zip(answers).map(|(entry, outputs)| {
            let timing = Timing {
                queue: waited(&entry),
                batch: joined_at - started,
                compute: ran_at - joined_at,
                batch_rows: rows,
                run: number,
            };
            (entry, Ok(Completion { outputs, timing }))
        });
        (results.collect(), Vec::new())
    }
}

impl Shared {
    /// Moves the estimate an eighth of the way to what was measured. Threads of one model may
    /// overwrite each other's step: it is an estimate.
    fn took(&self, measured: Duration) {
        let old = self.per_request_nanos.load(Ordering::Relaxed);
        let new = old - old / 8 + nanos(measured) / 8;
        self.per_request_nanos.store(new, Ordering::Relaxed);
    }

    /// A run that was stopped would have taken longer.
    fn took_at_least(&self, measured: Duration) {
        if nanos(measured) > self.per_request_nanos.load(Ordering::Relaxed) {
            self.took(measured);
        }
    }
}

/// Answers the callers of a run. Those of a shared run are answered from their own runtime: from
/// here each answer would wake it, a system call and on a shared core a change of thread each.
fn deliver(results: Vec<(Entry, Result<Completion, Fault>)>) {
    let send = |results: Vec<(Entry, Result<Completion, Fault>)>| {
        for (entry, result) in results {
            // A caller that has left meanwhile wants no answer.
            let _ = entry.reply.send(result);
        }
    };
    match results.as_slice() {
        [(first, _), _, ..] => {
            let runtime = first.runtime.clone();
            runtime.spawn(async move { send(results) });
        }
        _ => send(results),
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 2)
}

fn count(entries: &[Entry]) -> u32 {
    u32::try_from(entries.len()).unwrap_or(u32::MAX).max(1)
}

/// Requests with their results, and requests to run again alone.
type RunOnce = (Vec<(Entry, Result<Completion, Fault>)>, Vec<Entry>);

#[cfg(test)]
mod tests;
