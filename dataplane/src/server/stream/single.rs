//! One request whose answer is a stream.

use std::sync::Arc;

use axum::body::Body;
use http::Response;
use http::request::Parts;

use super::super::body::{self, Received};
use super::events::{Out, Style, channel};
use super::options::Framing;
use super::request::{Answered, StreamRequests};
use super::spawn;
use crate::pipeline::Serve;
use crate::server::ordered_stream::Disconnected;
use crate::telemetry::RequestRecord;
use serin_core::fault::Fault;

/// The answer, once it has begun.
///
/// # Errors
/// What is wrong before that, for an answer with a status of its own.
pub(super) async fn respond<S: Serve>(
    rows: Arc<StreamRequests<S>>,
    form: Framing,
    mut record: RequestRecord<'static>,
    (parts, body): (&Parts, Body),
) -> Result<Response<Body>, Fault> {
    let app = &rows.app;
    let received = record.about().received;
    let read = body::read(body, &parts.headers, &app.limits, &app.bodies, &app.heavy).await;
    let Received { bytes, held } = match read {
        Ok(received) => received,
        Err(fault) => {
            record.failed(&fault);
            return Err(fault);
        }
    };
    let style = Style {
        form,
        request_id: rows.request_id.clone(),
        keep_alive: app.keep_alive(),
    };
    let (out, events) = channel(style, app.limits.stall_timeout);
    let metrics = Arc::clone(&app.metrics);
    spawn(metrics, async move {
        let outcome = tokio::select! {
            biased;
            () = out.closed() => return,
            outcome = rows.serve(&bytes, received) => outcome,
        };
        drop(held);
        match outcome {
            Ok(answered) => {
                if let Some(version) = &answered.version {
                    record.ran(version);
                }
                if send(&out, form, &answered).await.is_ok() {
                    record.sent(1);
                    record.ended();
                }
            }
            Err(fault) => {
                record.failed(&fault);
                // Told or not, there is nobody else to tell.
                let _ = out.refuse(fault).await;
            }
        }
    });
    Ok(events.begun().await?.respond())
}

async fn send(out: &Out, form: Framing, answered: &Answered) -> Result<(), Disconnected> {
    let mut data = Vec::new();
    form.write(&mut data, &answered.json);
    out.data(data).await?;
    out.end().await
}
