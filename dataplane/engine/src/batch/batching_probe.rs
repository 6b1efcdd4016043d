//! Finds out, before a model is ready, whether its rows may run together.
//!
//! The signature does not tell: models exist whose rows influence each other although every input
//! and output has the same variable first axis (a set's mean, a dynamic quantisation scale, time on
//! axis 0). So made-up rows are run alone and together, and merged only if every row's answer stays
//! the same. Evidence, not certainty: batching can be switched off.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::compare::{Refusal, check_rows};
use super::merge::cut;
use super::sample::{GUESSES, Guess, sample};
use crate::{Engine, RunError, Stop, thread_time};
use serin_core::types::{Batching, Dimension, Signature, Tensor};

/// Bounds of the proof and of what it allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most rows that it may allow in one run.
    pub max_rows: usize,
    /// Longest run that merging may make: more rows than fit into it are not merged.
    pub longest_run: Duration,
    /// How long warm-up and proof may take together.
    pub budget: Duration,
}

impl Default for Limits {
    /// 64 rows (larger batches gained nothing for any model measured), 250 ms, 30 s.
    fn default() -> Self {
        Self {
            max_rows: 64,
            longest_run: Duration::from_millis(250),
            budget: Duration::from_secs(30),
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Whether rows may be merged.
    pub batching: Batching,
    /// Time of one row at the largest batch allowed; `None` if the model was never run.
    pub row_time: Option<Duration>,
}

/// Warms the engine up and proves or disproves that its rows may be merged.
pub fn prove(engine: &mut dyn Engine, limits: Limits) -> Proof {
    within(engine, limits.budget, |trial, signature| {
        trial.prove(signature, limits)
    })
}

/// Made-up inputs that a model accepted, and how long it took over them.
#[derive(Clone, Copy, Debug)]
pub struct Warm {
    pub(super) guess: Guess,
    /// Time of one row.
    pub row_time: Duration,
}

/// Why a model accepted no made-up input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// The reason, for people.
    pub reason: String,
    /// It was stopped: it may go on for ever.
    pub stopped: bool,
}

impl Warm {
    /// What is tried where a model accepted none, without being stopped.
    pub fn guess() -> Self {
        Self {
            guess: GUESSES[0],
            row_time: Duration::ZERO,
        }
    }
}

/// Runs the engine on made-up inputs, for at most about `budget`.
///
/// # Errors
/// Why no made-up input was accepted, or that it took too long.
pub fn warm_up(engine: &mut dyn Engine, budget: Duration) -> Result<Warm, Unanswered> {
    within(engine, budget, |trial, signature| {
        let warm = trial.warm_up(signature);
        let stopped = trial.stop.is_raised();
        warm.map(|(guess, row_time)| Warm { guess, row_time })
            .map_err(|reason| Unanswered { reason, stopped })
    })
}

/// Stops what the engine does when the budget is spent: a model may loop for ever on what it is
/// given here.
pub(super) fn within<T>(
    engine: &mut dyn Engine,
    budget: Duration,
    work: impl FnOnce(&mut Trial<'_>, &Signature) -> T,
) -> T {
    let stop = Stop::new();
    let (finished, watch) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let raise = &stop;
        scope.spawn(move || {
            if watch.recv_timeout(budget) == Err(mpsc::RecvTimeoutError::Timeout) {
                raise.raise();
            }
        });
        let signature = engine.signature().clone();
        let outputs: Vec<usize> = (0..signature.outputs.len()).collect();
        let mut trial = Trial {
            engine,
            outputs,
            stop: &stop,
        };
        let done = work(&mut trial, &signature);
        drop(finished);
        done
    })
}

/// Runs of one engine under one budget.
pub(super) struct Trial<'e> {
    engine: &'e mut dyn Engine,
    outputs: Vec<usize>,
    stop: &'e Stop,
}

impl Trial<'_> {
    fn prove(&mut self, signature: &Signature, limits: Limits) -> Proof {
        let warm = self.warm_up(signature);
        let row_time = warm.as_ref().ok().map(|(_, time)| *time);
        let structure = refuse_by_structure(signature, limits);
        let off = |reason: Refusal| Proof {
            batching: Batching::off(reason),
            row_time,
        };
        if let Some(reason) = structure {
            return off(reason);
        }
        let graph = self.engine.row_structure();
        if let Some(reason) = graph.coupled {
            return off(reason);
        }
        let (guess, single) = match warm {
            Ok(warm) => warm,
            Err(reason) => return off(reason),
        };
        let affordable = limits.longest_run.as_nanos() / single.as_nanos().max(1);
        let max_rows = limits
            .max_rows
            .min(usize::try_from(affordable).unwrap_or(usize::MAX));
        if max_rows < 2 {
            return off(format!(
                "one row takes {single:.1?}: merging would only make others wait"
            ));
        }
        let comparison = match self.compare(signature, guess, max_rows) {
            Ok(comparison) => comparison,
            Err(reason) => return off(reason),
        };
        let mut found = worthwhile(&comparison, max_rows);
        if !found.batching.merges() {
            return found;
        }
        match self.compare_floats(signature, guess, max_rows) {
            Ok(Floats::Unseen(why)) if !has_float(signature) => {
                if graph.quantised {
                    return off(format!(
                        "it computes with quantised numbers, gives no floats, and those before its outputs cannot be \
                         compared: {why}"
                    ));
                }
                let note = format!("; outputs that are no floats were compared as they are: {why}");
                found.batching.reason.push_str(&note);
            }
            Ok(Floats::Alike) => found
                .batching
                .reason
                .push_str("; so did the floats that whole numbers and strings are made of"),
            Ok(Floats::Needless | Floats::Unseen(_)) => {}
            Err(reason) => return off(reason),
        }
        found
    }

    /// Compares the floats before outputs that are none, in an engine that shows them.
    fn compare_floats(
        &mut self,
        signature: &Signature,
        guess: Guess,
        max_rows: usize,
    ) -> Result<Floats, Refusal> {
        if signature
            .outputs
            .iter()
            .all(|output| output.datatype.is_float())
        {
            return Ok(Floats::Needless);
        }
        let mut engine = match self.engine.with_floats() {
            Ok(engine) => engine,
            Err(why) => return Ok(Floats::Unseen(why)),
        };
        let outputs = signature.outputs.len()..engine.signature().outputs.len();
        let mut trial = Trial {
            engine: engine.as_mut(),
            outputs: outputs.collect(),
            stop: self.stop,
        };
        if let Err(why) = trial.keep_rows(signature, guess) {
            return Ok(Floats::Unseen(why));
        }
        if trial.outputs.is_empty() {
            return Ok(Floats::Unseen(
                "no floats before them have a row for each row".to_owned(),
            ));
        }
        trial
            .compare(signature, guess, max_rows)
            .map(|_| Floats::Alike)
            .map_err(|why| format!("among the floats before its outputs, {why}"))
    }

    /// Keeps those outputs that have a row for each row: a tensor inside a graph may be of any
    /// shape.
    fn keep_rows(&mut self, signature: &Signature, guess: Guess) -> Result<(), Refusal> {
        let mut kept = self.outputs.clone();
        for rows in [1, 3] {
            let inputs = sample(signature, rows, guess, 1).unwrap_or_default();
            let outputs = self.timed(&inputs)?.0;
            let given = self.outputs.iter().zip(outputs);
            let by_rows: Vec<usize> = given
                .filter(|(_, output)| output.rows() == Some(rows))
                .map(|(at, _)| *at)
                .collect();
            kept.retain(|at| by_rows.contains(at));
        }
        self.outputs = kept;
        Ok(())
    }

    /// Finds inputs that the model accepts; the time of one row is the better of two runs, the
    /// first being slower by what the runtime does once.
    fn warm_up(&mut self, signature: &Signature) -> Result<(Guess, Duration), Refusal> {
        let mut reason = String::new();
        for guess in GUESSES {
            let Some(inputs) = sample(signature, 1, guess, 1) else {
                return Err(
                    "an input declares no shape, so nothing is known of its rows".to_owned(),
                );
            };
            match self.timed(&inputs) {
                Ok(_) => {
                    let (_, time) = self.timed(&inputs)?;
                    return Ok((guess, time));
                }
                Err(why) => reason = why,
            }
            if self.stop.is_raised() {
                break;
            }
        }
        Err(format!("no made-up input was accepted: {reason}"))
    }

    pub(super) fn timed(&mut self, inputs: &[Tensor]) -> Result<(Vec<Tensor>, Duration), Refusal> {
        let stopwatch = Stopwatch::start();
        match self.engine.run(inputs, &self.outputs, self.stop) {
            Ok(outputs) => Ok((outputs, stopwatch.elapsed())),
            Err(RunError::Failed(reason)) => Err(reason),
            Err(RunError::Stopped) => Err("trying it out took too long and was stopped".to_owned()),
        }
    }

    /// Compares each row's answer alone and among others.
    fn compare(
        &mut self,
        signature: &Signature,
        guess: Guess,
        max_rows: usize,
    ) -> Result<Comparison, Refusal> {
        let mut found = Comparison {
            deviation: 0.0,
            alone: Duration::MAX,
            together: Duration::MAX,
        };
        for (seed, sizes) in [
            (11, &[2, 3, max_rows][..]),
            (22, &[2, 3, max_rows]),
            (33, &[3]),
        ] {
            let most = sizes.iter().copied().max().unwrap_or(1);
            let all = sample(signature, most, guess, seed).unwrap_or_default();
            let mut alone = Vec::with_capacity(most);
            let mut times = Vec::with_capacity(most);
            for row in 0..most {
                let (outputs, time) = self.timed(&rows_of(&all, most, row, 1))?;
                alone.push(outputs);
                times.push(time);
            }
            let again = self.timed(&rows_of(&all, most, 0, 1))?.0;
            check_rows(&alone[..1], &again).map_err(|why| {
                format!("it does not answer the same input alike each time: {why}")
            })?;
            for size in sizes.iter().copied() {
                let (merged, time) = self.timed(&rows_of(&all, most, 0, size))?;
                let deviation = check_rows(&alone[..size], &merged)?;
                found.deviation = found.deviation.max(deviation);
                if size == max_rows {
                    found.alone = found.alone.min(times[..size].iter().sum());
                    found.together = found.together.min(time);
                }
            }
        }
        Ok(found)
    }
}

/// What comparing the floats before outputs that are none gave.
enum Floats {
    /// Every output is of floats.
    Needless,
    /// They stay the same.
    Alike,
    /// Nothing is known of them, and why.
    Unseen(String),
}

fn has_float(signature: &Signature) -> bool {
    let mut outputs = signature.outputs.iter();
    outputs.any(|output| output.datatype.is_float())
}

/// Measures a run by what it cost this thread, so that a busy machine does not make a model look
/// slow; by the clock where the thread mostly waited, as it does for a GPU.
struct Stopwatch {
    wall: Instant,
    own: Duration,
}

impl Stopwatch {
    fn start() -> Self {
        Self {
            wall: Instant::now(),
            own: thread_time(),
        }
    }

    fn elapsed(&self) -> Duration {
        let (wall, own) = (self.wall.elapsed(), thread_time().saturating_sub(self.own));
        if own < wall / 50 { wall } else { own }
    }
}

/// Rows alone and together.
struct Comparison {
    /// Largest deviation of an answer.
    deviation: f64,
    /// Time of the most rows, one after the other.
    alone: Duration,
    /// Time of the same rows in one run.
    together: Duration,
}

/// Merging that makes no run cheaper only makes callers wait for each other.
fn worthwhile(found: &Comparison, max_rows: usize) -> Proof {
    let Comparison {
        deviation,
        alone,
        together,
    } = found;
    let rows = u32::try_from(max_rows).unwrap_or(u32::MAX).max(1);
    if together.mul_f64(1.1) > *alone {
        return Proof {
            batching: Batching::off(format!(
                "merging makes it no faster: {max_rows} rows take {alone:.1?} one by one and {together:.1?} together"
            )),
            row_time: Some(*alone / rows),
        };
    }
    Proof {
        batching: Batching {
            max_rows,
            reason: format!(
                "rows gave the same answers alone and together (2, 3 and {max_rows} rows, more than one seed; \
                 largest deviation {deviation:.0e} of a row's largest value)"
            ),
        },
        row_time: Some(*together / rows),
    }
}

/// What the signature alone rules out.
fn refuse_by_structure(signature: &Signature, limits: Limits) -> Option<Refusal> {
    if limits.max_rows < 2 {
        return Some("merging is switched off".to_owned());
    }
    let mut required = signature
        .inputs
        .iter()
        .filter(|input| !input.optional)
        .peekable();
    if required.peek().is_none() {
        return Some("it has no input".to_owned());
    }
    required.find_map(|input| match input.shape.as_deref() {
        None => Some(format!("input '{}' declares no shape", input.name)),
        Some([Dimension::Variable(_), ..]) => None,
        Some([]) => Some(format!("input '{}' is a scalar", input.name)),
        Some([Dimension::Fixed(rows), ..]) => Some(format!(
            "the first axis of input '{}' is fixed at {rows}",
            input.name
        )),
    })
}

fn rows_of(inputs: &[Tensor], total: usize, start: usize, count: usize) -> Vec<Tensor> {
    inputs
        .iter()
        .filter_map(|input| cut(input, total, start, count))
        .collect()
}

#[cfg(test)]
mod tests;
