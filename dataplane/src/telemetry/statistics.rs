//! Counts per model for the statistics endpoints: atomics only, of a fixed size.
//!
//! These are separate from the metrics: metrics are histograms in seconds by protocol and outcome,
//! these are Triton's exact sums of requests and of their phases.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serin_core::types::{BatchStatistics, Statistics, Tally};
use serin_engine::batch::Execution;

/// Sizes of runs up to this many rows are counted one by one.
const EXACT_SIZES: usize = 256;
/// Powers of two above that which fit a `usize`.
const LARGE_SIZES: usize = 56;

/// The counters of one version of a model.
pub struct InferenceCounters {
    last_inference_ms: AtomicU64,
    inferences: AtomicU64,
    executions: AtomicU64,
    success: Counter,
    fail: Counter,
    queue: Counter,
    input_ns: AtomicU64,
    infer_ns: AtomicU64,
    output_ns: AtomicU64,
    batches: Box<[Batch]>,
}

#[derive(Default)]
struct Counter {
    count: AtomicU64,
    ns: AtomicU64,
}

#[derive(Default)]
struct Batch {
    runs: AtomicU64,
    input_ns: AtomicU64,
    infer_ns: AtomicU64,
    output_ns: AtomicU64,
}

impl Default for InferenceCounters {
    fn default() -> Self {
        Self {
            last_inference_ms: AtomicU64::new(0),
            inferences: AtomicU64::new(0),
            executions: AtomicU64::new(0),
            success: Counter::default(),
            fail: Counter::default(),
            queue: Counter::default(),
            input_ns: AtomicU64::new(0),
            infer_ns: AtomicU64::new(0),
            output_ns: AtomicU64::new(0),
            batches: (0..=EXACT_SIZES + LARGE_SIZES)
                .map(|_| Batch::default())
                .collect(),
        }
    }
}

impl InferenceCounters {
    /// Counts one request: as answered by [`CountedRequest::answered`], else as failed.
    pub fn request(&self, begun: Instant) -> CountedRequest<'_> {
        CountedRequest {
            counters: self,
            begun,
            answered: false,
        }
    }

    /// Counts a run that gave answers.
    pub fn ran(&self, run: &Execution) {
        let requests = run.requests;
        add(&self.executions, 1);
        add(&self.inferences, run.rows as u64);
        add(&self.queue.count, requests);
        add(&self.queue.ns, nanos(run.queued));
        let (input, infer, output) = (nanos(run.input), nanos(run.infer), nanos(run.output));
        add(&self.input_ns, input.saturating_mul(requests));
        add(&self.infer_ns, infer.saturating_mul(requests));
        add(&self.output_ns, output.saturating_mul(requests));
        if let Some(batch) = self.batches.get(place(run.rows)) {
            add(&batch.runs, 1);
            add(&batch.input_ns, input);
            add(&batch.infer_ns, infer);
            add(&batch.output_ns, output);
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.last_inference_ms.store(now, Ordering::Relaxed);
    }

    /// The counts now. Requests that end meanwhile may be in some and not yet in others.
    pub fn snapshot(&self) -> Statistics {
        let queue = self.queue.tally();
        let phase = |ns: &AtomicU64| tally(queue.count, ns);
        Statistics {
            last_inference_ms: self.last_inference_ms.load(Ordering::Relaxed),
            inference_count: self.inferences.load(Ordering::Relaxed),
            execution_count: self.executions.load(Ordering::Relaxed),
            success: self.success.tally(),
            fail: self.fail.tally(),
            queue,
            compute_input: phase(&self.input_ns),
            compute_infer: phase(&self.infer_ns),
            compute_output: phase(&self.output_ns),
            batches: self.batches(),
        }
    }

    fn batches(&self) -> Vec<BatchStatistics> {
        let used = |(place, batch): (usize, &Batch)| {
            let runs = batch.runs.load(Ordering::Relaxed);
            (runs > 0).then(|| BatchStatistics {
                batch_size: size(place),
                compute_input: tally(runs, &batch.input_ns),
                compute_infer: tally(runs, &batch.infer_ns),
                compute_output: tally(runs, &batch.output_ns),
            })
        };
        self.batches.iter().enumerate().filter_map(used).collect()
    }
}

impl Counter {
    fn add(&self, took: Duration) {
        add(&self.count, 1);
        add(&self.ns, nanos(took));
    }

    fn tally(&self) -> Tally {
        tally(self.count.load(Ordering::Relaxed), &self.ns)
    }
}

/// A request being served; one that is dropped before its answer has failed.
pub struct CountedRequest<'a> {
    counters: &'a InferenceCounters,
    begun: Instant,
    answered: bool,
}

impl CountedRequest<'_> {
    /// The request has been answered.
    pub fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for CountedRequest<'_> {
    fn drop(&mut self) {
        let counter = if self.answered {
            &self.counters.success
        } else {
            &self.counters.fail
        };
        counter.add(self.begun.elapsed());
    }
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

fn tally(count: u64, ns: &AtomicU64) -> Tally {
    Tally {
        count,
        ns: ns.load(Ordering::Relaxed),
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Where runs of so many rows are counted.
fn place(rows: usize) -> usize {
    if rows <= EXACT_SIZES {
        return rows;
    }
    // The exponent of the next power of two, from 9 (512 rows) upwards.
    let exponent = (usize::BITS - (rows - 1).leading_zeros()) as usize;
    EXACT_SIZES + exponent - EXACT_SIZES.trailing_zeros() as usize
}

/// The rows that a place stands for.
fn size(place: usize) -> u64 {
    if place <= EXACT_SIZES {
        return place as u64;
    }
    let exponent = place - EXACT_SIZES + EXACT_SIZES.trailing_zeros() as usize;
    1u64.checked_shl(u32::try_from(exponent).unwrap_or(u32::MAX))
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(requests: u64, rows: usize) -> Execution {
        Execution {
            requests,
            rows,
            queued: Duration::from_nanos(70),
            input: Duration::from_nanos(1),
            infer: Duration::from_nanos(10),
            output: Duration::from_nanos(2),
        }
    }

    #[test]
    fn a_shared_run_is_one_execution_and_counts_for_each_of_its_requests() {
        let counters = InferenceCounters::default();
        counters.ran(&run(3, 8));
        let seen = counters.snapshot();
        assert_eq!((seen.execution_count, seen.inference_count), (1, 8));
        assert_eq!(seen.queue, Tally { count: 3, ns: 70 });
        assert_eq!(seen.compute_infer, Tally { count: 3, ns: 30 });
        assert_eq!(seen.compute_output, Tally { count: 3, ns: 6 });
        let [batch] = seen.batches[..] else {
            panic!("{:?}", seen.batches)
        };
        assert_eq!(batch.batch_size, 8);
        assert_eq!(batch.compute_infer, Tally { count: 1, ns: 10 });
        assert!(seen.last_inference_ms > 1_600_000_000_000);
    }

    #[test]
    fn sizes_are_exact_up_to_256_and_powers_of_two_above_whatever_a_caller_sends() {
        let counters = InferenceCounters::default();
        for rows in [0, 1, 256, 257, 512, 513, 1 << 40, usize::MAX] {
            counters.ran(&run(1, rows));
        }
        let sizes: Vec<_> = counters
            .snapshot()
            .batches
            .iter()
            .map(|batch| (batch.batch_size, batch.compute_input.count))
            .collect();
        let expected = [
            (0, 1),
            (1, 1),
            (256, 1),
            (512, 2),
            (1024, 1),
            (1 << 40, 1),
            (u64::MAX, 1),
        ];
        assert_eq!(sizes, expected);
    }

    #[test]
    fn a_request_that_is_dropped_has_failed() {
        let counters = InferenceCounters::default();
        counters.request(Instant::now()).answered();
        drop(counters.request(Instant::now()));
        let seen = counters.snapshot();
        assert_eq!((seen.success.count, seen.fail.count), (1, 1));
        assert!(seen.success.ns > 0 && seen.fail.ns > 0);
    }
}
