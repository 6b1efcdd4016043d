//! A gauge that counts what is there.

use prometheus_client::metrics::gauge::Gauge;

/// Counts one in a gauge until dropped.
pub struct Counted(Gauge);

impl Counted {
    pub(super) fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
