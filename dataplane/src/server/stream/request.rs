//! One request of a stream, from its text to the text of its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Deserialize;

use super::super::app::App;
use crate::pipeline::Serve;
use crate::runtime::memory_budget::Reservation;
use crate::telemetry::metrics::Phases;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Call, CallMeta, ModelRef, Reply};
use serin_wire::deadline;
use serin_wire::errors::{self, EventContext};
use serin_wire::oip_rest::{self, InferRequest};

/// A request as it came.
#[derive(Debug)]
pub(super) struct StreamRequest {
    /// Its line, or its place among the messages; from 1.
    pub(super) number: u64,
    pub(super) text: Result<Bytes, Fault>,
    /// Its share of the memory for bodies.
    pub(super) held: Option<Reservation>,
}

/// What came of it, as JSON on one line.
pub(super) struct Answered {
    pub(super) json: Vec<u8>,
    /// The version that ran.
    pub(super) version: Option<String>,
}

/// Answers the requests of one stream.
pub(super) struct StreamRequests<S> {
    pub(super) app: Arc<App<S>>,
    pub(super) model: ModelRef,
    pub(super) request_id: String,
    budget: Option<Duration>,
}

impl<S: Serve> StreamRequests<S> {
    pub(super) fn new(
        app: &Arc<App<S>>,
        model: ModelRef,
        request_id: &str,
        budget: Option<Duration>,
    ) -> Self {
        Self {
            app: Arc::clone(app),
            model,
            request_id: request_id.to_owned(),
            budget,
        }
    }

    /// Answers one row among others; a fault is its answer. Where the model is busy the row waits
    /// within its time: a single caller is sent away.
    pub(super) async fn answer(self: Arc<Self>, row: StreamRequest) -> Answered {
        let outcome = match &row.text {
            Err(fault) => Err(fault.clone()),
            Ok(text) => {
                let serve = |call| self.app.service.infer_queued(call);
                self.serve_by(text, Instant::now(), serve).await
            }
        };
        drop(row.held);
        outcome.unwrap_or_else(|fault| {
            let id = row.text.as_ref().ok().and_then(|text| id_in(text));
            let context = EventContext {
                request_id: &self.request_id,
                id: id.as_deref(),
                line: Some(row.number),
            };
            Answered {
                json: errors::event(&fault, context),
                version: None,
            }
        })
    }

    /// Answers one request whose time began at `received`.
    ///
    /// # Errors
    /// Whatever is wrong with it.
    pub(super) async fn serve(&self, text: &Bytes, received: Instant) -> Result<Answered, Fault> {
        let serve = |call| self.app.service.serve(call);
        self.serve_by(text, received, serve).await
    }

    async fn serve_by<F>(
        &self,
        text: &Bytes,
        received: Instant,
        serve: impl FnOnce(Call) -> F,
    ) -> Result<Answered, Fault>
    where
        F: Future<Output = Result<Reply, Fault>>,
    {
        let app = &self.app;
        let metrics = app
            .metrics
            .model(&self.model.name, self.model.version.as_deref());
        let _in_flight = metrics.enter();
        let mut phases = Phases::default();
        let begun = Instant::now();
        let request = self.decode(text).await?;
        phases.decode = begun.elapsed();
        let id = request.id.unwrap_or_else(|| self.request_id.clone());
        let call = Call {
            meta: CallMeta {
                request_id: self.request_id.clone(),
                id: id.clone(),
                received,
                deadline: self.deadline(received, request.timeout),
                priority: request.priority,
            },
            model: self.model.clone(),
            inputs: request.inputs,
            outputs: request.outputs,
        };
        let reply = serve(call).await?;
        phases.timing = Some(reply.timing);
        let version = reply.model_version.clone();
        let begun = Instant::now();
        let json = self.encode(reply, id, request.forms).await?;
        phases.encode = begun.elapsed();
        app.metrics
            .model(&self.model.name, Some(&version))
            .phases(&phases);
        Ok(Answered {
            json,
            version: Some(version),
        })
    }

    /// The least of what the server, the stream's header and the request itself allow.
    fn deadline(&self, received: Instant, own: Option<Duration>) -> Instant {
        received + deadline::least(self.app.limits.request_timeout, [self.budget, own])
    }

    async fn decode(&self, text: &Bytes) -> Result<InferRequest, Fault> {
        let (size, text, limits) = (text.len(), text.clone(), Arc::clone(&self.app.limits));
        let parse = move || oip_rest::parse(&text, size, &limits);
        let request = self.app.heavy.run_sized(size, parse).await?;
        if request.forms.any_binary() {
            return Err(Fault::new(
                FaultKind::Unsupported,
                "unsupported_parameter",
                "outputs of a stream are JSON: remove binary_data and binary_data_output, or use /infer",
            )
            .with_param("binary_data"));
        }
        Ok(request)
    }

    async fn encode(
        &self,
        reply: Reply,
        id: String,
        forms: oip_rest::Forms,
    ) -> Result<Vec<u8>, Fault> {
        let (size, choice) = (reply.byte_size(), self.app.api().non_finite);
        let render = move || {
            let answer = oip_rest::render(&reply, &id, &forms, choice)?;
            Ok(Vec::from(answer.body))
        };
        self.app.heavy.run_sized(size, render).await
    }
}

/// The id of a request that cannot be served, if that much of it can be read.
fn id_in(text: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Id {
        id: Option<String>,
    }
    serde_json::from_slice::<Id>(text).ok()?.id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_bad_request_is_found_where_it_can_be_read() {
        assert_eq!(id_in(br#"{"inputs":7,"id":"a"}"#).as_deref(), Some("a"));
        assert_eq!(id_in(br#"{"inputs":7}"#), None);
        assert_eq!(id_in(br#"{"id":7}"#), None);
        assert_eq!(id_in(b"{"), None);
    }
}
