//! The beginning of a stream: its record, and its task.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use serin_core::types::ModelRef;

use crate::context::RequestContext;
use crate::server::state::ServerState;
use crate::telemetry::{Metrics, RequestInfo, RequestRecord};

/// The route that streams are counted under.
pub(super) const INFER_STREAM: &str = "/v2/models/{name}/infer_stream";

/// A stream that begins.
pub(super) fn begin<S>(
    state: &ServerState<S>,
    protocol: &'static str,
    context: &RequestContext,
    model: &ModelRef,
) -> RequestRecord<'static> {
    let info = RequestInfo {
        protocol,
        operation: "stream",
        request_id: Cow::Owned(context.id().to_owned()),
        model: Cow::Owned(model.clone()),
        received: context.received,
    };
    RequestRecord::begin_stream(&state.metrics, info)
}

/// Runs a stream on a task of its own, which `work` ends when its caller has disconnected. A panic
/// ends this stream alone.
pub(super) fn spawn(metrics: Arc<Metrics>, work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(async move {
        if AssertUnwindSafe(work).catch_unwind().await.is_err() {
            metrics.panics.inc();
            tracing::error!("a stream panicked; please report it");
        }
    });
}
