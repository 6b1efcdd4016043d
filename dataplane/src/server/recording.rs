//! The record of a request with one answer, filled by the driver's progress.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serin_core::types::ModelRef;

use super::unary::Progress;
use crate::context::RequestContext;
use crate::tasks::Usage;
use crate::telemetry::{Metrics, RequestInfo, RequestRecord};

/// Labels of a request in metrics, logs and traces.
#[derive(Clone, Copy)]
pub(super) struct Labels {
    pub(super) protocol: &'static str,
    pub(super) operation: &'static str,
}

/// Writes the progress of a request into its record.
pub(super) struct Recording<'a> {
    pub(super) record: RequestRecord<'a>,
    /// Bytes of the request's body.
    pub(super) request_bytes: usize,
}

impl<'a> Recording<'a> {
    /// Begins the record of a request for `model`, whose name is still empty where the body names it.
    pub(super) fn begin(
        metrics: &Arc<Metrics>,
        labels: Labels,
        context: &'a RequestContext,
        model: &'a ModelRef,
    ) -> Self {
        let info = RequestInfo {
            protocol: labels.protocol,
            operation: labels.operation,
            request_id: Cow::Borrowed(context.id()),
            model: Cow::Borrowed(model),
            received: context.received,
        };
        Self {
            record: RequestRecord::begin(metrics, info),
            request_bytes: 0,
        }
    }
}

impl Progress for Recording<'_> {
    fn received(&mut self, bytes: usize) {
        self.request_bytes = bytes;
    }

    fn named(&mut self, model: &ModelRef) {
        if self.record.info().model.name != model.name {
            self.record.set_model(model.clone());
        }
    }

    fn decoded(&mut self, took: Duration) {
        self.record.phases.decode = took;
    }

    fn ran(&mut self, version: &str, usage: Usage) {
        self.record.phases.timing = Some(usage.timing);
        self.record.set_version(version);
        if usage.tokens > 0 {
            self.record.read_tokens(usage.tokens);
        }
    }

    fn encoded(&mut self, took: Duration) {
        self.record.phases.encode = took;
    }
}
