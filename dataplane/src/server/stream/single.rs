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
use crate::telemetry::RequestRecord;

/// The answer, once it has begun: what is wrong before that has a status of its own.
pub(super) async fn respond<S: Serve>(
    requests: Arc<StreamRequests<S>>,
    framing: Framing,
    mut record: RequestRecord<'static>,
    body: Body,
) -> Response<Body> {
    let state = &requests.state;
    let context = Arc::clone(&requests.context);
    let read = body::read(body, &requests.headers, &state.resources).await;
    let received = match read {
        Ok(received) => received,
        Err(fault) => {
            record.failed(&fault);
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
                    record.ran(version);
                }
                send(&out, framing, answered, &record).await
            }
            Err(fault) => Ok(Err(fault)),
        };
        // The record is settled before the end goes out; of a caller that has left it notes that by
        // itself.
        let _ = match sent {
            Ok(Ok(())) => {
                record.ended();
                out.end().await
            }
            Ok(Err(fault)) => {
                record.failed(&fault);
                out.refuse(fault).await
            }
            Err(Disconnected) => Ok(()),
        };
    });
    match events.begun().await {
        Ok(events) => events.respond(),
        Err(fault) => refuse(&fault, &context),
    }
}

/// Sends the parts of an answer; the fault that ends them is handed back.
async fn send(
    out: &Out,
    framing: Framing,
    answered: Answered,
    record: &RequestRecord<'_>,
) -> Result<Result<(), Fault>, Disconnected> {
    let part = async |json: Vec<u8>| {
        let mut data = Vec::new();
        framing.write(&mut data, &json);
        record.sent(1);
        out.data(data).await
    };
    match answered.answer {
        Answer::Whole(json) => part(json).await?,
        Answer::Parts(mut parts) => loop {
            let next = tokio::select! {
                biased;
                () = out.closed() => return Err(Disconnected),
                next = parts.next() => next,
            };
            match next {
                Some(Ok(json)) => part(json).await?,
                Some(Err(fault)) => return Ok(Err(fault)),
                None => break,
            }
        },
    }
    Ok(Ok(()))
}
