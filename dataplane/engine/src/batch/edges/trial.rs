//! Runs an engine on the edges of its signature.

use std::time::{Duration, Instant};

use super::{Edge, edges};
use crate::Engine;
use crate::batch::batching_probe::{Warm, within};
use crate::batch::sample::sample;
use serin_core::types::Tensor;

/// Rows that a request may bring at once, as far as they are tried.
const ROWS: [usize; 3] = [2, 3, 64];

/// Longest run of several rows, by the time of one.
const LONGEST_ROWS: Duration = Duration::from_secs(1);

/// Most bytes of inputs in a run of several rows: a small container has no more for them.
const MOST_BYTES: usize = 8 << 20;

/// How long edges may take.
#[derive(Clone, Copy, Debug)]
pub struct EdgeTime {
    /// A run is told to stop after this.
    pub run: Duration,
    /// No edge is begun after this.
    pub all: Duration,
}

/// Runs the edges from `first` on; `begin` is told of each before it runs. What the engine answers does
/// not matter: it is still there afterwards. Gives the first edge that was not tried.
pub fn try_edges(
    engine: &mut dyn Engine,
    warm: &Warm,
    first: usize,
    time: EdgeTime,
    mut begin: impl FnMut(usize, &Edge),
) -> usize {
    let signature = engine.signature().clone();
    let all = edges(&signature);
    let begun = Instant::now();
    for (at, edge) in all.iter().enumerate().skip(first) {
        if begun.elapsed() > time.all {
            return at;
        }
        begin(at, edge);
        for inputs in edge.inputs(&signature, warm.guess) {
            within(engine, time.run, |trial, _| {
                // An error is as good as an answer.
                let _ = trial.timed(&inputs);
            });
        }
    }
    all.len().max(first)
}

/// Runs several rows at once, whether or not requests may share a run: one request may bring them all.
pub fn try_rows(engine: &mut dyn Engine, warm: &Warm, time: Duration) {
    let affordable = LONGEST_ROWS.as_nanos() / warm.row_time.as_nanos().max(1);
    let most = usize::try_from(affordable).unwrap_or(usize::MAX);
    within(engine, time, |trial, signature| {
        let one = sample(signature, 1, warm.guess, 1).unwrap_or_default();
        let bytes: usize = one.iter().map(Tensor::byte_size).sum();
        let most = most.min(MOST_BYTES / bytes.max(1)).max(2);
        for rows in ROWS {
            if let Some(inputs) = sample(signature, rows.min(most), warm.guess, rows as u64) {
                // An error is as good as an answer.
                let _ = trial.timed(&inputs);
            }
        }
    });
}
