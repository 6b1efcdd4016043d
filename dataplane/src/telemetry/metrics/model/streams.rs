//! What is measured of streams.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::super::histogram::Histogram;
use super::counted::Counted;
use super::labels::{ModelLabels, OfModel};
use super::removable::{Family, Histograms, LATENCY};

/// The protocols of streams; each has its series from the start.
const PROTOCOLS: [&str; 3] = ["rest", "websocket", "grpc"];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StreamLabels {
    model: String,
    version: String,
    protocol: &'static str,
}

impl OfModel for StreamLabels {
    fn is_of(&self, model: &ModelLabels) -> bool {
        self.model == model.model && self.version == model.version
    }
}

#[derive(Clone)]
pub(super) struct StreamFamilies {
    open: Family<StreamLabels, Gauge>,
    events: Family<StreamLabels, Counter>,
    cancelled: Family<StreamLabels, Counter>,
    first_part: Histograms<StreamLabels>,
}

impl Default for StreamFamilies {
    fn default() -> Self {
        Self {
            open: Family::default(),
            events: Family::default(),
            cancelled: Family::default(),
            first_part: Family::new_with_constructor(LATENCY),
        }
    }
}

/// The handles of one stream. It is open until this is dropped.
pub struct StreamMetrics {
    _open: Counted,
    events: Counter,
    cancelled: Counter,
    first_part: Histogram,
}

impl StreamFamilies {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("serin_stream_open", "Open streams", self.open.clone());
        registry.register(
            "serin_stream_events",
            "Answers sent on streams, errors included",
            self.events.clone(),
        );
        registry.register(
            "serin_stream_cancelled",
            "Streams whose caller left before their end",
            self.cancelled.clone(),
        );
        registry.register(
            "serin_time_to_first_part_seconds",
            "From receiving the header of a stream's request to its first answer",
            self.first_part.clone(),
        );
    }

    /// Shows the series of a configured model.
    pub(super) fn list(&self, labels: &ModelLabels) {
        for protocol in PROTOCOLS {
            drop(self.enter(labels, protocol));
        }
    }

    /// Removes the series of one version of a model.
    pub(super) fn remove(&self, model: &ModelLabels) {
        self.open.remove_model(model);
        self.events.remove_model(model);
        self.cancelled.remove_model(model);
        self.first_part.remove_model(model);
    }

    pub(super) fn enter(&self, labels: &ModelLabels, protocol: &'static str) -> StreamMetrics {
        let labels = StreamLabels {
            model: labels.model.clone(),
            version: labels.version.clone(),
            protocol,
        };
        StreamMetrics {
            _open: Counted::new(&self.open.get_or_create(&labels)),
            events: self.events.get_or_create_owned(&labels),
            cancelled: self.cancelled.get_or_create_owned(&labels),
            first_part: self.first_part.get_or_create_owned(&labels),
        }
    }
}

impl StreamMetrics {
    /// Parts of the answer are sent.
    pub fn sent(&self, parts: u64) {
        self.events.inc_by(parts);
    }

    /// The first part is sent, this long after the request's header was received.
    pub fn first_part(&self, after: Duration) {
        self.first_part.observe_duration(after);
    }

    /// The caller left before the end.
    pub fn cancelled(&self) {
        self.cancelled.inc();
    }
}
