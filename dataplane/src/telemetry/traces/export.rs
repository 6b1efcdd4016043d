//! Sends finished spans to the collector, in batches, off the requests' way.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, StatusCode, redirect};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::otlp::{
    self, ExportTraceServiceRequest, ExportTraceServiceResponse, InstrumentationScope, Resource,
    ResourceSpans, ScopeSpans,
};
use super::settings::{Settings, SettingsError};
use super::span::Done;
use super::{QUEUE, Tracer};
use crate::address::{CheckedResolver, Rule};
use crate::telemetry::Metrics;
use crate::tls_roots;

/// Requests whose spans are sent together.
const BATCH: usize = 256;
/// Longest wait for a batch to fill.
const GATHER: Duration = Duration::from_secs(1);
/// One attempt to send.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Attempts to send a batch, and the wait after the first; it doubles each time.
const ATTEMPTS: u32 = 4;
const BACKOFF: Duration = Duration::from_secs(1);
/// Longest wait that a collector may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Largest answer that is read.
const ANSWER_BYTES: usize = 64 << 10;

/// Sends what a [`Tracer`] hands over, until it is flushed.
pub struct Exporter {
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Exporter {
    /// Starts to send, on the current runtime.
    ///
    /// # Errors
    /// [`SettingsError::Tls`].
    pub fn start(
        settings: Settings,
        metrics: &Arc<Metrics>,
    ) -> Result<(Tracer, Self), SettingsError> {
        let client = client(settings.rule.as_ref())?;
        let (queue, inbox) = mpsc::channel(QUEUE);
        let tracer = Tracer::new(&settings, queue, Arc::clone(metrics));
        let (stop, stopped) = oneshot::channel();
        for reason in ["queue_full", "exporter_ended", "export_failed", "rejected"] {
            metrics.traces_dropped(reason, 0);
        }
        tracing::info!(
            endpoint = %settings.endpoint,
            sample_percent = settings.sample_percent,
            "traces are sent"
        );
        let sender = Sender {
            client,
            settings,
            metrics: Arc::clone(metrics),
            failing: false,
        };
        let task = tokio::spawn(sender.run(inbox, stopped));
        Ok((tracer, Self { task, stop }))
    }

    /// Sends what has been handed over, and what the requests that are traced now hand over when they
    /// end, and ends. No request may begin any more. Gives up after `deadline`.
    pub async fn retire(mut self, deadline: Duration) {
        let for_requests = deadline * 2 / 3;
        // The task ends by itself once the last of those requests has.
        if timeout(for_requests, &mut self.task).await.is_err() {
            self.flush(deadline - for_requests).await;
        }
    }

    /// Sends what has been handed over and ends; gives up after `deadline`.
    pub async fn flush(self, deadline: Duration) {
        // The task may have ended; then there is nothing to tell it.
        let _ = self.stop.send(());
        let abort = self.task.abort_handle();
        if timeout(deadline, self.task).await.is_err() {
            abort.abort();
            tracing::warn!("the last traces could not be sent in time");
        }
    }
}

fn client(rule: Option<&Rule>) -> Result<Client, SettingsError> {
    let tls =
        tls_roots::client_config(None).map_err(|error| SettingsError::Tls(error.to_string()))?;
    let mut builder = Client::builder();
    if let Some(rule) = rule {
        builder = builder.dns_resolver(Arc::new(CheckedResolver::new(rule.clone())));
    }
    builder
        .redirect(redirect::Policy::none())
        .timeout(TIMEOUT)
        .no_proxy()
        .user_agent(concat!("serin/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls)
        .build()
        .map_err(|error| SettingsError::Tls(error.to_string()))
}

struct Sender {
    client: Client,
    settings: Settings,
    metrics: Arc<Metrics>,
    /// The last batch could not be delivered, which the log has said.
    failing: bool,
}

/// Why a batch was not taken.
enum Refused {
    /// Trying again may help, after this time.
    ForNow(Option<Duration>, String),
    ForGood(String),
}

impl Sender {
    async fn run(mut self, mut inbox: mpsc::Receiver<Done>, mut stopped: oneshot::Receiver<()>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut stopping = false;
        loop {
            tokio::select! {
                got = inbox.recv_many(&mut batch, BATCH) => {
                    if got == 0 {
                        return;
                    }
                }
                // Resolves as well where the exporter was dropped.
                _ = &mut stopped, if !stopping => {
                    stopping = true;
                    inbox.close();
                    continue;
                }
            }
            let full = Instant::now() + GATHER;
            while !stopping && batch.len() < BATCH {
                let room = BATCH - batch.len();
                tokio::select! {
                    got = timeout_at(full, inbox.recv_many(&mut batch, room)) => {
                        if !matches!(got, Ok(1..)) {
                            break;
                        }
                    }
                    _ = &mut stopped => {
                        stopping = true;
                        inbox.close();
                    }
                }
            }
            self.send(&batch, &mut stopped, &mut stopping).await;
            if stopping {
                inbox.close();
            }
            batch.clear();
        }
    }

    /// Sends a batch, several times if need be; while stopping, once.
    async fn send(
        &mut self,
        batch: &[Done],
        stopped: &mut oneshot::Receiver<()>,
        stopping: &mut bool,
    ) {
        let body = bytes::Bytes::from(self.request(batch).encode_to_vec());
        let mut wait = BACKOFF;
        for attempt in 1..=ATTEMPTS {
            let (asked, reason) = match self.attempt(body.clone()).await {
                Ok(rejected) => {
                    self.metrics.traces_dropped("rejected", rejected);
                    if std::mem::take(&mut self.failing) {
                        tracing::info!("traces are delivered again");
                    }
                    return;
                }
                Err(Refused::ForNow(asked, reason)) => (asked, reason),
                Err(Refused::ForGood(reason)) => return self.lost(batch.len(), &reason),
            };
            if attempt == ATTEMPTS || *stopping {
                return self.lost(batch.len(), &reason);
            }
            // Up to a quarter more, so that pods do not come back together.
            let jitter = wait.mul_f64(fastrand::f64() / 4.0);
            let pause = asked.unwrap_or(wait).min(LONGEST_WAIT) + jitter;
            tokio::select! {
                () = sleep(pause) => {}
                _ = &mut *stopped => *stopping = true,
            }
            wait *= 2;
        }
    }

    /// One attempt; how many spans the collector took no part of.
    async fn attempt(&self, body: bytes::Bytes) -> Result<u64, Refused> {
        let mut answer = self
            .client
            .post(self.settings.endpoint.clone())
            .header(CONTENT_TYPE, otlp::CONTENT_TYPE)
            .body(body)
            .send()
            .await
            .map_err(|error| Refused::ForNow(None, reason(&error)))?;
        let status = answer.status();
        if !status.is_success() {
            let told = format!("the collector answered {status}");
            // OTLP over HTTP, "Retryable Response Codes".
            return Err(match status {
                StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT => {
                    let after = answer.headers().get(RETRY_AFTER);
                    let seconds = after.and_then(|after| after.to_str().ok()?.parse().ok());
                    Refused::ForNow(seconds.map(Duration::from_secs), told)
                }
                _ => Refused::ForGood(told),
            });
        }
        // A success whose details cannot be read is a success.
        let mut details = Vec::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            if details.len() + chunk.len() > ANSWER_BYTES {
                return Ok(0);
            }
            details.extend_from_slice(&chunk);
        }
        let partial = ExportTraceServiceResponse::decode(details.as_slice())
            .ok()
            .and_then(|answer| answer.partial_success);
        Ok(partial.map_or(0, |partial| {
            let rejected = u64::try_from(partial.rejected_spans).unwrap_or(0);
            if rejected > 0 {
                tracing::warn!(
                    rejected,
                    reason = partial.error_message,
                    "the collector rejected spans"
                );
            }
            rejected
        }))
    }

    fn lost(&mut self, requests: usize, reason: &str) {
        self.metrics
            .traces_dropped("export_failed", requests as u64);
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(
                endpoint = %self.settings.endpoint,
                reason,
                "traces cannot be delivered and are dropped until they can"
            );
        }
    }

    fn request(&self, batch: &[Done]) -> ExportTraceServiceRequest {
        let resource = self.settings.resource.iter();
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource {
                    attributes: resource
                        .map(|(key, value)| otlp::text(key, value.as_str()))
                        .collect(),
                }),
                scope_spans: vec![ScopeSpans {
                    scope: Some(InstrumentationScope {
                        name: "serin".to_owned(),
                        version: env!("CARGO_PKG_VERSION").to_owned(),
                    }),
                    spans: batch.iter().flat_map(Done::spans).collect(),
                }],
            }],
        }
    }
}

/// The innermost reason: reqwest's own words are `error sending request`.
fn reason(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
