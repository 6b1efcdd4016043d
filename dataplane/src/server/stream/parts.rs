//! The answer to one request of a stream: whole, or in parts.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use serin_core::fault::Fault;
use serin_core::types::ModelRef;

use crate::server::unary::Progress;
use crate::tasks::Usage;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::{Counted, Phases};

/// An answer in progress. Dropping it cancels the rest.
pub(in crate::server) enum Answer<T> {
    /// The whole answer.
    Whole(T),
    /// Its parts, in their order.
    Parts(Pin<Box<dyn Stream<Item = Result<T, Fault>> + Send>>),
}

impl<T: 'static> Answer<T> {
    /// Keeps a request in flight until its last part is made.
    pub(in crate::server) fn while_in(self, in_flight: Option<Counted>) -> Self {
        match self {
            Self::Whole(whole) => Self::Whole(whole),
            Self::Parts(parts) => {
                let parts = parts.inspect(move |_| {
                    let _ = &in_flight;
                });
                Self::Parts(Box::pin(parts))
            }
        }
    }
}

/// The progress of a request within a stream: it is in flight while it is answered, and the phases of
/// an answered one are counted. The stream has a record of its own.
pub(in crate::server) struct StreamProgress<'a> {
    metrics: &'a Metrics,
    model: Option<ModelRef>,
    /// Counts it as in flight.
    pub(in crate::server) in_flight: Option<Counted>,
    phases: Phases,
    /// The version that ran.
    pub(in crate::server) version: Option<String>,
}

impl<'a> StreamProgress<'a> {
    pub(in crate::server) fn new(metrics: &'a Metrics) -> Self {
        Self {
            metrics,
            model: None,
            in_flight: None,
            phases: Phases::default(),
            version: None,
        }
    }
}

impl Progress for StreamProgress<'_> {
    fn received(&mut self, _: usize) {}

    fn named(&mut self, model: &ModelRef) {
        let metrics = self.metrics.model(&model.name, model.version.as_deref());
        self.in_flight = Some(metrics.enter());
        self.model = Some(model.clone());
    }

    fn decoded(&mut self, took: Duration) {
        self.phases.decode = took;
    }

    fn ran(&mut self, version: &str, usage: Usage) {
        self.phases.timing = Some(usage.timing);
        self.version = Some(version.to_owned());
    }

    fn encoded(&mut self, took: Duration) {
        self.phases.encode = took;
        if let Some(model) = &self.model {
            let metrics = self.metrics.model(&model.name, self.version.as_deref());
            metrics.phases(&self.phases);
        }
    }
}
