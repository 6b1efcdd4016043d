//! One request whose answer is a stream.

use std::sync::Arc;

use axum::body::Body;
use futures_util::StreamExt;
use http::Response;
use serin_core::fault::Fault;

use super::begin::spawn;
use super::events::{Out, Style, channel};
use super::options::Framing;
use super::ordered::Disconnected;
use super::parts::Answer;
use super::request::{Answered, StreamRequests};
use crate::pipeline::{Serve, WhenBusy};
use crate::server::http::body;
use crate::server::respond::refuse;
use crate::server::unary::Held;
use crate::telemetry::RequestRecord;

/// The answer after its header. An earlier fault has an HTTP status.
pub(super) async fn respond<S: Serve>(
    requests: Arc<StreamRequests<S>>,
    framing: Framing,
    record: RequestRecord<'static>,
    body: Body,
) -> Response<Body> {
    let state = &requests.state;
    let context = Arc::clone(&requests.context);
    let held = context.hold(&state.resources.memory);
    let read = body::read(body, &requests.headers, &state.resources, held).await;
    let received = match read {
        Ok(received) => received,
        Err(fault) => {
            let _settled = record.failed(&fault);
            return refuse(&fault, &context);
        }
    };
    let style = Style {
        framing,
        context: Arc::clone(&context),
        keep_alive: state.keep_alive(),
    };
    let (out, events) = channel(style, state.resources.limits.stall_timeout);
    let metrics = Arc::clone(&state.metrics);
    spawn(metrics, async move {
        // In this order, so that a panic is recorded before the caller sees the end of the stream.
        let (out, mut record) = (out, record);
        let begun = requests.context.received;
        let serving = requests.serve(Ok(received), begun, WhenBusy::Refuse, 1);
        let outcome = tokio::select! {
            biased;
            () = out.closed() => return,
            outcome = serving => outcome,
        };
        let sent = match outcome {
            Ok(answered) => {
                if let Some(version) = &answered.version {
                    record.set_version(version);
                }
                send(&out, framing, answered, &mut record).await
            }
            Err(fault) => Ok(Err(fault)),
        };
        // The record itself notes a caller that has disconnected or reads nothing.
        let (Ok(sent), Ok(room)) = (sent, out.room().await) else {
            return;
        };
        match sent {
            Ok(()) => room.end(record.ended()),
            Err(fault) => {
                let settled = record.failed(&fault);
                room.refuse(fault, settled);
            }
        }
    });
    match events.begun().await {
        Ok(events) => events.respond(),
        Err(fault) => refuse(&fault, &context),
    }
}

/// Sends the parts of an answer; returns the fault that ends them.
async fn send(
    out: &Out,
    framing: Framing,
    answered: Answered,
    record: &mut RequestRecord<'_>,
) -> Result<Result<(), Fault>, Disconnected> {
    let mut part = async |part: Held<Vec<u8>>| {
        let mut data = Vec::new();
        framing.write(&mut data, &part.content);
        let room = out.room().await?;
        record.part();
        room.data(data, vec![part.reservation]);
        Ok::<_, Disconnected>(())
    };
    match answered.answer {
        Answer::Whole(whole) => part(whole).await?,
        Answer::Parts(mut parts) => loop {
            let next = tokio::select! {
                biased;
                () = out.closed() => return Err(Disconnected),
                next = parts.next() => next,
            };
            match next {
                Some(Ok(next)) => part(next).await?,
                Some(Err(fault)) => return Ok(Err(fault)),
                None => break,
            }
        },
    }
    Ok(Ok(()))
}
