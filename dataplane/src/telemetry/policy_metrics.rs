//! What the metrics say of the policy in force.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Metrics;
use crate::policy::PolicyStore;

impl Metrics {
    /// Adds what is known of the policy in `store`, read when a page is rendered.
    #[must_use]
    pub fn with_policy(mut self, store: Arc<PolicyStore>) -> Self {
        self.registry
            .register_collector(Box::new(PolicyCollector(store)));
        self
    }
}

struct PolicyCollector(Arc<PolicyStore>);

impl fmt::Debug for PolicyCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PolicyCollector")
    }
}

impl Collector for PolicyCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let report = self.0.report();
        let mut family = encoder.encode_descriptor(
            "serin_policy_info",
            "The policy in force; always 1",
            None,
            MetricType::Gauge,
        )?;
        let labels = [("hash", report.hash.as_str())];
        ConstGauge::new(1_i64).encode(family.encode_family(&labels)?)?;

        let age = ConstGauge::new(report.age_seconds);
        let encoder_of_age = encoder.encode_descriptor(
            "serin_policy_age_seconds",
            "Time since the policy came into force",
            None,
            age.metric_type(),
        )?;
        age.encode(encoder_of_age)?;

        let errors = ConstCounter::new(self.0.reload_errors());
        let encoder_of_errors = encoder.encode_descriptor(
            "serin_policy_reload_errors",
            "Policies that could not be put in force",
            None,
            errors.metric_type(),
        )?;
        errors.encode(encoder_of_errors)
    }
}
