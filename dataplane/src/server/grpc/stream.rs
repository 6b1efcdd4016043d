//! `ModelStreamInfer`: requests for one or more models on one stream, answered in their order.
//!
//! A request that fails is answered by a message, and the stream stays open; with the metadata
//! `triton_grpc_error: true` the first failure ends it with its status.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::Stream;
use tokio::sync::mpsc;
use tonic::{Code, Status, Streaming};

use super::infer::{Asked, Infer, Reserved};
use crate::pipeline::Serve;
use crate::runtime::lifecycle::Lifecycle;
use crate::server::ordered_stream::{
    Demand, Disconnected, Ended, Incoming, StreamTransport, serve,
};
use crate::telemetry::metrics::{Metrics, Phases};
use crate::telemetry::{RequestInfo, RequestRecord, Trace};
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::ModelRef;
use serin_wire::oip_grpc;
use serin_wire::oip_grpc::prescan::Prescan;
use serin_wire::oip_grpc::proto::infer_parameter::ParameterChoice;
use serin_wire::oip_grpc::proto::{InferParameter, ModelInferResponse, ModelStreamInferResponse};
use serin_wire::oip_grpc::raw::RawInferRequest;

/// Says, on every answer, whether it is its request's last. A request has one answer here.
const FINAL_RESPONSE: &str = "triton_final_response";

/// What a stream is served with.
pub(super) struct StreamParts<S> {
    pub(super) infer: Infer<S>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) lifecycle: Lifecycle,
    pub(super) request_id: String,
    pub(super) received: Instant,
    /// Until when the caller waits for all of it.
    pub(super) until: Option<Instant>,
    /// The first failure ends the stream with its status.
    pub(super) errors_end_it: bool,
}

impl<S: Serve> StreamParts<S> {
    /// Serves the stream on a task of its own, which ends when its answers are dropped.
    pub(super) fn start(self, inbound: Streaming<RawInferRequest>) -> Answers {
        let (out, answers) = mpsc::channel(1);
        tokio::spawn(Trace::carried(self.serve(inbound, out)));
        Answers {
            answers,
            over: false,
        }
    }

    async fn serve(self, inbound: Streaming<RawInferRequest>, out: mpsc::Sender<Outgoing>) {
        let limits = Arc::clone(&self.infer.limits);
        let parts = Arc::new(self);
        let mut caller = Caller {
            inbound,
            out,
            record: None,
            stall: limits.stall_timeout,
            failed: None,
            broken: None,
            parts: Arc::clone(&parts),
        };
        let driven = serve(
            &mut caller,
            &parts.lifecycle,
            limits.body_bytes,
            |request| Arc::clone(&parts).answer(request),
        );
        let ended = match parts.until {
            None => driven.await,
            Some(until) => tokio::time::timeout_at(until.into(), driven)
                .await
                .unwrap_or_else(|_| Ended::Failed(too_late())),
        };
        caller.end(ended).await;
    }

    async fn answer(self: Arc<Self>, message: Message) -> Answer {
        let Message { prescan, taken } = message;
        let Prescan { model, id, .. } = prescan;
        let metrics = self.metrics.model(&model.name, model.version.as_deref());
        let _in_flight = metrics.enter();
        let mut phases = Phases::default();
        let asked = Asked {
            request_id: &self.request_id,
            received: Instant::now(),
            until: self.until,
        };
        let outcome = match taken {
            Ok(taken) => self.infer.run(taken, asked, &mut phases).await,
            Err(fault) => Err(fault),
        };
        if let Ok(response) = &outcome {
            let ran = &response.model_version;
            self.metrics.model(&model.name, Some(ran)).phases(&phases);
        }
        Answer { outcome, model, id }
    }
}

/// One request as it came.
struct Message {
    prescan: Prescan,
    /// What may be read of it, or why nothing.
    taken: Result<Reserved, Fault>,
}

/// What came of one request.
struct Answer {
    outcome: Result<ModelInferResponse, Fault>,
    model: ModelRef,
    id: String,
}

impl Answer {
    fn message(self, request_id: &str) -> ModelStreamInferResponse {
        let (error_message, mut response) = match self.outcome {
            Ok(response) => (String::new(), response),
            Err(fault) => {
                let id = if self.id.is_empty() {
                    request_id.to_owned()
                } else {
                    self.id
                };
                let whose = ModelInferResponse {
                    model_name: self.model.name,
                    model_version: self.model.version.unwrap_or_default(),
                    id,
                    ..Default::default()
                };
                (fault.message, whose)
            }
        };
        let last = InferParameter {
            parameter_choice: Some(ParameterChoice::BoolParam(true)),
        };
        response.parameters.insert(FINAL_RESPONSE.to_owned(), last);
        ModelStreamInferResponse {
            error_message,
            infer_response: Some(response),
        }
    }
}

/// What goes to the transport.
enum Outgoing {
    Answer(Box<ModelStreamInferResponse>),
    /// The end, by a status or OK.
    End(Result<(), Status>),
}

/// The other end of a stream.
struct Caller<S> {
    inbound: Streaming<RawInferRequest>,
    out: mpsc::Sender<Outgoing>,
    /// From the first request on, which names the model that the stream is counted under.
    record: Option<RequestRecord<'static>>,
    stall: Duration,
    /// The failure that ended the stream, where failures do.
    failed: Option<Fault>,
    /// What cannot be read, in the transport's own words.
    broken: Option<Status>,
    parts: Arc<StreamParts<S>>,
}

impl<S: Serve> Caller<S> {
    async fn end(mut self, ended: Ended) {
        let fault = match ended {
            Ended::Whole => None,
            Ended::Failed(fault) => Some(fault),
            Ended::Left => match self.failed.take() {
                Some(fault) => Some(fault),
                // The record tells by itself that nobody waited for its end.
                None => return,
            },
        };
        let status = match (&fault, self.broken.take()) {
            (None, _) => Ok(()),
            (Some(_), Some(broken)) => Err(broken),
            (Some(fault), None) => Err(oip_grpc::status(fault)),
        };
        let told = self
            .out
            .send_timeout(Outgoing::End(status), self.stall)
            .await;
        match (told, self.record, fault) {
            (Ok(()), Some(record), None) => record.ended(),
            (Ok(()), Some(record), Some(fault)) => record.failed(&fault),
            _ => {}
        }
    }

    fn begin_story(&mut self, model: ModelRef) {
        let about = RequestInfo {
            protocol: "grpc",
            operation: "stream",
            request_id: Cow::Owned(self.parts.request_id.clone()),
            model: Cow::Owned(model),
            received: self.parts.received,
        };
        self.record = Some(RequestRecord::begin_stream(&self.parts.metrics, about));
    }
}

impl<S: Serve> StreamTransport for Caller<S> {
    type Request = Message;
    type Answer = Answer;

    async fn next(&mut self, wants: Demand) -> Incoming<Message> {
        let read = tokio::select! {
            biased;
            () = self.out.closed() => return Incoming::Left,
            read = self.inbound.message(), if wants.requests => read,
        };
        match read {
            Ok(Some(RawInferRequest(message))) => {
                let (prescan, taken) = self.parts.infer.take(message);
                if self.record.is_none() {
                    self.begin_story(prescan.model.clone());
                }
                let bytes = taken.as_ref().map_or(0, Reserved::len);
                Incoming::Request(Message { prescan, taken }, bytes)
            }
            Ok(None) => Incoming::End,
            // How the transport tells of a caller that is gone.
            Err(status) if matches!(status.code(), Code::Cancelled | Code::Unknown) => {
                Incoming::Left
            }
            Err(status) => {
                let fault = Fault::new(
                    FaultKind::Malformed,
                    "malformed_body",
                    status.message().to_owned(),
                );
                self.broken = Some(status);
                Incoming::Failed(fault)
            }
        }
    }

    async fn send(&mut self, answers: Vec<Answer>) -> Result<(), Disconnected> {
        for answer in answers {
            if self.parts.errors_end_it
                && let Err(fault) = &answer.outcome
            {
                self.failed = Some(fault.clone());
                return Err(Disconnected);
            }
            let message = Box::new(answer.message(&self.parts.request_id));
            self.out
                .send_timeout(Outgoing::Answer(message), self.stall)
                .await
                .map_err(|_| Disconnected)?;
            if let Some(record) = &self.record {
                record.sent(1);
            }
        }
        Ok(())
    }
}

/// What a caller reads.
pub(super) struct Answers {
    answers: mpsc::Receiver<Outgoing>,
    over: bool,
}

impl Stream for Answers {
    type Item = Result<ModelStreamInferResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        self.answers.poll_recv(cx).map(|outgoing| match outgoing {
            Some(Outgoing::Answer(message)) => Some(Ok(*message)),
            Some(Outgoing::End(status)) => {
                self.over = true;
                status.err().map(Err)
            }
            // The task gave up on a caller that did not read, or has panicked: never a good end.
            None => {
                self.over = true;
                Some(Err(Status::internal("the stream was cut off")))
            }
        })
    }
}

fn too_late() -> Fault {
    Fault::new(
        FaultKind::Timeout,
        "timeout",
        "the deadline of the stream passed before its end",
    )
}
