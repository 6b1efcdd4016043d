//! One request whose answer is a stream.

use std::sync::Arc;

use axum::body::Body;
use http::Response;
use http::request::Parts;

use super::super::body::{self, Received};
use super::events::{Style, channel};
use super::options::Framing;
use super::request::StreamRequests;
use super::spawn;
use crate::pipeline::Serve;
use crate::telemetry::RequestRecord;
use serin_core::fault::Fault;

/// The answer, once it has begun.
///
/// # Errors
/// What is wrong before that, for an answer with a status of its own.
pub(super) async fn respond<S: Serve>(
    rows: Arc<StreamRequests<S>>,
    form: Framing,
    record: RequestRecord<'static>,
    (parts, body): (&Parts, Body),
) -> Result<Response<Body>, Fault> {
    let app = &rows.app;
    let received = record.info().received;
    let read = body::read(body, &parts.headers, &app.limits, &app.bodies, &app.heavy).await;
    let Received { bytes, held } = match read {
        Ok(received) => received,
        Err(fault) => {
            let _settled = record.failed(&fault);
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
        // In this order: the record is dropped first, and a caller that is cut off finds it counted.
        let (out, mut record) = (out, record);
        let outcome = tokio::select! {
            biased;
            () = out.closed() => return,
            outcome = rows.serve(&bytes, received) => outcome,
        };
        drop(held);
        match outcome {
            Ok(answered) => {
                if let Some(version) = &answered.version {
                    record.set_version(version);
                }
                let mut data = Vec::new();
                form.write(&mut data, &answered.json);
                // A record that is dropped is of a caller that left.
                let Ok(room) = out.room().await else { return };
                record.part();
                room.data(data);
                let Ok(room) = out.room().await else { return };
                room.end(record.ended());
            }
            Err(fault) => {
                let settled = record.failed(&fault);
                if let Ok(room) = out.room().await {
                    room.refuse(fault, settled);
                }
            }
        }
    });
    Ok(events.begun().await?.respond())
}
