//! `ModelStreamInfer`: requests for one or more models on one stream, answered in their order.
//!
//! A request that fails is answered by a message, and the stream stays open; with the metadata
//! `triton_grpc_error: true` the first failure ends it with its status.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt};
use http::HeaderMap;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::ModelRef;
use serin_wire::oip_grpc::proto::{ModelInferResponse, ModelStreamInferResponse};
use serin_wire::oip_grpc::raw::RawInferRequest;
use tokio::sync::mpsc;
use tokio::time::{timeout, timeout_at};
use tonic::{Code, Status, Streaming};

use super::infer::{GrpcInfer, GrpcStreamInfer, Prescanned};
use super::stream_response::{self, ResponseIdentity};
use crate::context::RequestContext;
use crate::pipeline::{Serve, WhenBusy};
use crate::runtime::memory_budget::Reservation;
use crate::server::respond::status;
use crate::server::state::ServerState;
use crate::server::stream::ordered::{
    Demand, Disconnected, Ended, Incoming, StreamTransport, serve,
};
use crate::server::stream::parts::{Answer, StreamProgress};
use crate::server::unary::{Arrival, Held, drive};
use crate::telemetry::{RequestInfo, RequestRecord, Trace};

/// The context of a stream.
pub(super) struct InferStream<S> {
    pub(super) state: Arc<ServerState<S>>,
    pub(super) context: Arc<RequestContext>,
    pub(super) headers: HeaderMap,
    /// The first failure ends the stream with its status.
    pub(super) errors_end_it: bool,
}

impl<S: Serve> InferStream<S> {
    /// Serves the stream on a task of its own, which ends when its answers are dropped.
    pub(super) fn start(self, inbound: Streaming<RawInferRequest>) -> Answers {
        let (out, answers) = mpsc::channel(1);
        tokio::spawn(Trace::carried(self.serve(inbound, out)));
        Answers {
            answers,
            held: None,
            over: false,
        }
    }

    async fn serve(self, inbound: Streaming<RawInferRequest>, out: mpsc::Sender<Outgoing>) {
        let limits = Arc::clone(&self.state.resources.limits);
        let stream = Arc::new(self);
        let mut caller = Caller {
            inbound,
            out,
            record: None,
            stall: limits.stall_timeout,
            failed: None,
            broken: None,
            stream: Arc::clone(&stream),
        };
        let served = serve(
            &mut caller,
            &stream.state.lifecycle,
            limits.body_bytes,
            |message| Arc::clone(&stream).answer(message),
        );
        let ended = match stream.until() {
            None => served.await,
            Some(until) => timeout_at(until.into(), served)
                .await
                .unwrap_or_else(|_| Ended::Failed(too_late())),
        };
        caller.end(ended).await;
    }

    /// The caller's deadline for the whole stream, if it has one.
    fn until(&self) -> Option<Instant> {
        let budget = self.context.budget().ok().flatten()?;
        self.context.received.checked_add(budget)
    }

    /// Answers one message. Its time begins now and ends with the stream's.
    async fn answer(self: Arc<Self>, message: Prescanned) -> Answered {
        let Prescanned {
            model,
            id,
            received,
        } = message;
        let begun = Instant::now();
        let latest = begun + self.state.resources.limits.request_timeout;
        let arrival = Arrival {
            context: &self.context,
            headers: &self.headers,
            begun,
            deadline: Ok(self.until().map_or(latest, |until| until.min(latest))),
            when_busy: WhenBusy::Wait,
            read: std::future::ready(received),
        };
        let protocol = GrpcStreamInfer(GrpcInfer { model: &model });
        let mut progress = StreamProgress::new(&self.state.metrics);
        let answer = drive(&self.state, &protocol, arrival, &mut progress).await;
        let outcome = answer.map(|answer| answer.while_in(progress.in_flight));
        Answered { outcome, model, id }
    }
}

/// The answer to one message.
struct Answered {
    outcome: Result<Answer<Held<ModelInferResponse>>, Fault>,
    model: ModelRef,
    id: String,
}

/// A message to the transport.
enum Outgoing {
    /// An answer, and its memory.
    Answer(Box<ModelStreamInferResponse>, Option<Reservation>),
    /// The end, by a status or OK.
    End(Result<(), Status>),
}

/// The other end of a stream.
struct Caller<S> {
    /// From the first message on, which names the model that the stream is counted under. First, so
    /// that a panic is recorded before the caller sees the end of the stream.
    record: Option<RequestRecord<'static>>,
    inbound: Streaming<RawInferRequest>,
    out: mpsc::Sender<Outgoing>,
    stall: Duration,
    /// The failure that ended the stream, where failures do.
    failed: Option<Fault>,
    /// The transport's error about input that cannot be read.
    broken: Option<Status>,
    stream: Arc<InferStream<S>>,
}

impl<S: Serve> Caller<S> {
    /// Settles the record, then ends the stream.
    async fn end(mut self, ended: Ended) {
        let fault = match ended {
            Ended::Whole => None,
            Ended::Failed(fault) => Some(fault),
            Ended::Left => match self.failed.take() {
                Some(fault) => Some(fault),
                // The record itself notes that the caller disconnected.
                None => return,
            },
        };
        let end = match (&fault, self.broken.take()) {
            (None, _) => Ok(()),
            (Some(_), Some(broken)) => Err(broken),
            (Some(fault), None) => Err(status(fault, &self.stream.context)),
        };
        // The record itself notes a caller that has disconnected or reads nothing.
        let Ok(Ok(room)) = timeout(self.stall, self.out.reserve()).await else {
            return;
        };
        let _settled = self.record.take().map(|record| match &fault {
            None => record.ended(),
            Some(fault) => record.failed(fault),
        });
        room.send(Outgoing::End(end));
    }

    fn begin_record(&mut self, model: ModelRef) {
        let context = &self.stream.context;
        let info = RequestInfo {
            protocol: "grpc",
            operation: "stream",
            request_id: Cow::Owned(context.id().to_owned()),
            model: Cow::Owned(model),
            received: context.received,
        };
        self.record = Some(RequestRecord::begin_stream(
            &self.stream.state.metrics,
            info,
        ));
    }

    async fn hand_over(
        &mut self,
        message: ModelStreamInferResponse,
        held: Option<Reservation>,
    ) -> Result<(), Disconnected> {
        let room = timeout(self.stall, self.out.reserve()).await;
        let room = room.map_err(|_| Disconnected)?.map_err(|_| Disconnected)?;
        // Counted before the caller can have it.
        if let Some(record) = &mut self.record {
            record.part();
        }
        room.send(Outgoing::Answer(Box::new(message), held));
        Ok(())
    }

    /// Sends the answer to one message, part by part.
    async fn send_answer(&mut self, answered: Answered) -> Result<(), Disconnected> {
        let Answered { outcome, model, id } = answered;
        let identity = ResponseIdentity {
            model,
            id: if id.is_empty() {
                self.stream.context.id().to_owned()
            } else {
                id
            },
        };
        match outcome {
            Ok(Answer::Whole(whole)) => {
                let message = stream_response::part(whole.content, true);
                self.hand_over(message, Some(whole.reservation)).await
            }
            Ok(Answer::Parts(mut parts)) => {
                while let Some(part) = parts.next().await {
                    match part {
                        Ok(part) => {
                            let message = stream_response::part(part.content, false);
                            self.hand_over(message, Some(part.reservation)).await?;
                        }
                        Err(fault) => return self.send_fault(fault, identity).await,
                    }
                }
                // No longer in flight, before the caller can have the end.
                drop(parts);
                self.hand_over(stream_response::end(identity), None).await
            }
            Err(fault) => self.send_fault(fault, identity).await,
        }
    }

    async fn send_fault(
        &mut self,
        fault: Fault,
        identity: ResponseIdentity,
    ) -> Result<(), Disconnected> {
        if self.stream.errors_end_it {
            self.failed = Some(fault);
            return Err(Disconnected);
        }
        self.hand_over(stream_response::fault(fault, identity), None)
            .await
    }
}

impl<S: Serve> StreamTransport for Caller<S> {
    type Request = Prescanned;
    type Answer = Answered;

    async fn next(&mut self, demand: Demand) -> Incoming<Prescanned> {
        let read = tokio::select! {
            biased;
            () = self.out.closed() => return Incoming::Left,
            read = self.inbound.message(), if demand.requests => read,
        };
        match read {
            Ok(Some(RawInferRequest(message))) => {
                let message =
                    Prescanned::of(message, &self.stream.context, &self.stream.state.resources);
                if self.record.is_none() {
                    self.begin_record(message.model.clone());
                }
                let bytes = message.len();
                Incoming::Request(message, bytes)
            }
            Ok(None) => Incoming::End,
            // The transport reports a disconnected caller in this way.
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

    async fn send(&mut self, answers: Vec<Answered>) -> Result<(), Disconnected> {
        for answered in answers {
            self.send_answer(answered).await?;
        }
        Ok(())
    }
}

/// The receiver of the caller's side.
pub(super) struct Answers {
    answers: mpsc::Receiver<Outgoing>,
    /// The memory of the last message, until the transport wants another one.
    held: Option<Reservation>,
    over: bool,
}

impl Stream for Answers {
    type Item = Result<ModelStreamInferResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        self.answers.poll_recv(cx).map(|outgoing| match outgoing {
            Some(Outgoing::Answer(message, held)) => {
                self.held = held;
                Some(Ok(*message))
            }
            Some(Outgoing::End(status)) => {
                self.over = true;
                status.err().map(Err)
            }
            // An error: the task has panicked, or closed the stream because its caller did not read.
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
