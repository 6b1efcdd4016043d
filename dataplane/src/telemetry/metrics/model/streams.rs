//! What is measured of streams.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Counted;
use super::families::ModelLabels;
use super::removable::{Family, OfModel};

/// Everything that streams come by; each has its series from the start.
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

#[derive(Clone, Default)]
pub(super) struct StreamFamilies {
    open: Family<StreamLabels, Gauge>,
    events: Family<StreamLabels, Counter>,
    cancelled: Family<StreamLabels, Counter>,
}

/// What one stream writes. It is open until this is dropped.
pub struct StreamMetrics {
    _open: Counted,
    events: Counter,
    cancelled: Counter,
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
        }
    }
}

impl StreamMetrics {
    /// Answers were handed over.
    pub fn sent(&self, answers: usize) {
        self.events.inc_by(answers as u64);
    }

    /// The caller left before the end.
    pub fn cancelled(&self) {
        self.cancelled.inc();
    }
}
