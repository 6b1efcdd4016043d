//! Metric families from which the series of one version of a model can be removed.

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::family::{self, MetricConstructor};
use prometheus_client::metrics::{MetricType, TypedMetric};

use super::super::histogram::{Histogram, Layout};
use super::labels::{ModelLabels, OfModel};

/// A family that knows its series.
#[derive(Clone)]
pub(super) struct Family<S, M, C = fn() -> M> {
    series: family::Family<S, M, C>,
    known: Arc<RwLock<HashSet<S>>>,
}

/// A family of histograms.
pub(super) type Histograms<L> = Family<L, Histogram, Layout>;

/// The buckets of every duration of a request.
pub(in crate::telemetry) const LATENCY: Layout = Layout::seconds(&[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
]);

impl<S: Clone + Hash + Eq, M: Default> Default for Family<S, M> {
    fn default() -> Self {
        Self {
            series: family::Family::default(),
            known: Arc::default(),
        }
    }
}

impl<S: Clone + Hash + Eq, M, C> Family<S, M, C> {
    pub(super) fn new_with_constructor(constructor: C) -> Self {
        Self {
            series: family::Family::new_with_constructor(constructor),
            known: Arc::default(),
        }
    }
}

impl<S: OfModel + Clone + Hash + Eq, M, C: MetricConstructor<M>> Family<S, M, C> {
    pub(super) fn get_or_create(&self, labels: &S) -> impl Deref<Target = M> + '_ {
        self.remember(labels);
        self.series.get_or_create(labels)
    }

    pub(super) fn get_or_create_owned(&self, labels: &S) -> M
    where
        M: Clone,
    {
        self.remember(labels);
        self.series.get_or_create_owned(labels)
    }

    fn remember(&self, labels: &S) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.contains(labels) {
            return;
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(labels.clone());
    }

    /// Removes one series.
    pub(super) fn remove(&self, labels: &S) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.remove(labels);
        self.series.remove(labels);
    }

    /// Removes the series of one version of a model.
    pub(super) fn remove_model(&self, model: &ModelLabels) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|labels| {
            let is_other = !labels.is_of(model);
            if !is_other {
                self.series.remove(labels);
            }
            is_other
        });
    }
}

impl<S, M, C> fmt::Debug for Family<S, M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family").finish_non_exhaustive()
    }
}

impl<S, M, C> EncodeMetric for Family<S, M, C>
where
    S: Clone + Hash + Eq + EncodeLabelSet,
    M: EncodeMetric + TypedMetric,
    C: MetricConstructor<M>,
{
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        self.series.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }

    fn is_empty(&self) -> bool {
        self.series.is_empty()
    }
}
