//! Histograms of fixed buckets whose figures can be read back, which those of prometheus-client
//! cannot. An observation is two additions, without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::family::MetricConstructor;
use prometheus_client::metrics::{MetricType, TypedMetric};

/// The buckets of a histogram, and its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::telemetry) struct Layout {
    /// Upper bounds in the metric's unit, ascending; a last bucket holds what is above.
    bounds: &'static [f64],
    /// Observations are whole numbers; this many make one of the metric's unit.
    per_unit: u32,
}

impl Layout {
    /// Durations in seconds, observed in nanoseconds.
    pub(super) const fn seconds(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            per_unit: 1_000_000_000,
        }
    }

    /// Whole numbers: bytes, rows.
    pub(super) const fn whole(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            per_unit: 1,
        }
    }
}

impl MetricConstructor<Histogram> for Layout {
    fn new_metric(&self) -> Histogram {
        let scale = f64::from(self.per_unit);
        let limits = self.bounds.iter();
        Histogram(Arc::new(Inner {
            layout: *self,
            limits: limits.map(|bound| (bound * scale).round() as u64).collect(),
            counts: (0..=self.bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }))
    }
}

/// A histogram; clones are handles of the same one.
#[derive(Clone, Debug)]
pub(super) struct Histogram(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    layout: Layout,
    /// The bounds, in what is observed.
    limits: Box<[u64]>,
    /// Observations in each bucket alone.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// Counts a whole number.
    pub(super) fn observe(&self, value: u64) {
        let bucket = self.0.limits.partition_point(|limit| *limit < value);
        self.0.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.0.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts a duration.
    pub(super) fn observe_duration(&self, took: Duration) {
        self.observe(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut figures = Figures::new(self.0.layout);
        figures.add(self);
        let buckets: Vec<(f64, u64)> = figures.buckets().collect();
        encoder.encode_histogram::<NoLabelSet>(figures.sum(), figures.count(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// What histograms of one layout hold, added up.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct Figures {
    layout: Layout,
    counts: Vec<u64>,
    sum: u64,
}

impl Figures {
    /// Of no histogram.
    pub(in crate::telemetry) fn new(layout: Layout) -> Self {
        Self {
            layout,
            counts: vec![0; layout.bounds.len() + 1],
            sum: 0,
        }
    }

    /// Adds what a histogram of this layout holds now.
    pub(super) fn add(&mut self, histogram: &Histogram) {
        debug_assert_eq!(self.layout, histogram.0.layout);
        for (sum, count) in self.counts.iter_mut().zip(&histogram.0.counts) {
            *sum += count.load(Ordering::Relaxed);
        }
        self.sum += histogram.0.sum.load(Ordering::Relaxed);
    }

    /// Upper bounds, and the observations in each bucket alone; the last bound is infinite.
    pub(in crate::telemetry) fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.layout.bounds.iter().copied().chain([f64::INFINITY]);
        bounds.zip(self.counts.iter().copied())
    }

    /// All observations.
    pub(in crate::telemetry) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum, in the metric's unit.
    pub(in crate::telemetry) fn sum(&self) -> f64 {
        self.sum as f64 / f64::from(self.layout.per_unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout::seconds(&[0.001, 1.0]);

    #[test]
    fn a_bound_belongs_to_its_bucket_and_what_is_above_all_bounds_to_the_last() {
        let histogram = LAYOUT.new_metric();
        for took in [
            Duration::ZERO,
            Duration::from_millis(1),
            Duration::from_nanos(1_000_001),
            Duration::from_secs(2),
        ] {
            histogram.observe_duration(took);
        }
        let mut figures = Figures::new(LAYOUT);
        figures.add(&histogram);
        let buckets: Vec<_> = figures.buckets().collect();
        assert_eq!(buckets, [(0.001, 2), (1.0, 1), (f64::INFINITY, 1)]);
        assert_eq!((figures.count(), figures.sum()), (4, 2.002_000_001));
    }

    #[test]
    fn figures_of_several_histograms_are_added_up() {
        let mut figures = Figures::new(LAYOUT);
        for millis in [1, 500] {
            let histogram = LAYOUT.new_metric();
            histogram.observe_duration(Duration::from_millis(millis));
            figures.add(&histogram);
        }
        let buckets: Vec<_> = figures.buckets().collect();
        assert_eq!(buckets, [(0.001, 1), (1.0, 1), (f64::INFINITY, 0)]);
        assert_eq!(figures.sum(), 0.501);
    }
}
