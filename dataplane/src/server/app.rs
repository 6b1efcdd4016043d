//! What every handler shares.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use serin_crds::contract::policy::{ApiConfig, StreamKeepAlive};

use crate::policy::PolicyStore;

use super::Parts;
use super::compress::PlainIfTaken;
use super::docs::Documents;
use crate::runtime::cpu_pool::CpuPool;
use crate::runtime::lifecycle::Lifecycle;
use crate::runtime::memory_budget::MemoryBudget;
use crate::telemetry::traces::TracerHandle;
use crate::telemetry::{Exposition, Metrics};
use serin_core::Limits;

pub(super) struct App<S> {
    pub(super) service: Arc<S>,
    pub(super) limits: Arc<Limits>,
    /// When the process began to serve, in Unix seconds.
    pub(super) started: u64,
    pub(super) metrics: Arc<Metrics>,
    pub(super) exposition: Exposition,
    pub(super) documents: Documents,
    pub(super) lifecycle: Lifecycle,
    /// Decides what is traced, where there is a collector.
    pub(super) tracer: TracerHandle,
    pub(super) policy: Arc<PolicyStore>,
    pub(super) bodies: Arc<MemoryBudget>,
    /// Where large bodies are read and written.
    pub(super) heavy: CpuPool,
}

impl<S> App<S> {
    pub(super) fn new(parts: Parts<S>, limits: Limits, heavy: CpuPool) -> Self {
        Self {
            service: parts.service,
            exposition: Exposition::following(
                Arc::clone(&parts.metrics),
                Arc::clone(&parts.policy),
            ),
            metrics: parts.metrics,
            documents: Documents::default(),
            lifecycle: parts.lifecycle,
            tracer: parts.monitoring.tracer,
            policy: parts.policy,
            bodies: MemoryBudget::new(limits.body_bytes_in_flight.unwrap_or(usize::MAX)),
            limits: Arc::new(limits),
            heavy,
            started: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs(),
        }
    }

    /// What the protocols offer now.
    pub(super) fn api(&self) -> ApiConfig {
        self.policy.current().policy.api.clone()
    }

    /// After how long without bytes an event stream sends a comment; never if it is not to.
    pub(super) fn keep_alive(&self) -> Option<Duration> {
        match self.api().stream_keep_alive {
            StreamKeepAlive::Comment => Some(self.limits.stream_keep_alive),
            StreamKeepAlive::Off => None,
        }
    }

    /// A small document as JSON, counted under its route.
    pub(super) fn json(
        &self,
        route: &'static str,
        status: StatusCode,
        document: &impl Serialize,
    ) -> Response<Body> {
        self.metrics.http_request(route, status.as_u16());
        // Documents are structs of strings and numbers: serialising them cannot fail.
        let body = serde_json::to_vec(document).unwrap_or_default();
        let mut response = json(Bytes::from(body));
        *response.status_mut() = status;
        response.extensions_mut().insert(PlainIfTaken);
        response
    }
}

/// An answer that is JSON.
pub(super) fn json(body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
