//! StreamRequests in, rows out, over HTTP: full duplex, no faster than the caller reads.

use std::sync::Arc;

use axum::body::Body;
use http::Response;
use tokio::time::Instant;

use super::events::{Out, Style, channel};
use super::lines::Lines;
use super::options::Framing;
use super::request::{Answered, StreamRequest, StreamRequests};
use super::spawn;
use crate::pipeline::Serve;
use crate::server::ordered_stream::{
    Demand, Disconnected, Ended, Incoming, StreamTransport, serve,
};
use crate::telemetry::RequestRecord;

/// The answer, which begins at once: what is wrong with a row is that row's answer.
pub(super) fn respond<S: Serve>(
    rows: Arc<StreamRequests<S>>,
    form: Framing,
    record: RequestRecord<'static>,
    body: Body,
) -> Response<Body> {
    let app = Arc::clone(&rows.app);
    let style = Style {
        form,
        request_id: rows.request_id.clone(),
        keep_alive: app.keep_alive(),
    };
    let (out, events) = channel(style, app.limits.stall_timeout);
    let mut caller = Caller {
        lines: Lines::new(body, &app.limits, &app.bodies),
        out,
        form,
        record,
        unwanted: None,
    };
    spawn(Arc::clone(&app.metrics), async move {
        let most = app.limits.body_bytes;
        let ended = serve(&mut caller, &app.lifecycle, most, |row| {
            Arc::clone(&rows).answer(row)
        })
        .await;
        let Caller { out, record, .. } = caller;
        let fault = match ended {
            Ended::Whole => None,
            Ended::Failed(fault) => Some(fault),
            Ended::Left => return,
        };
        // A record that is dropped is of a caller that left.
        let Ok(room) = out.room().await else { return };
        match fault {
            None => room.end(record.ended()),
            Some(fault) => {
                let settled = record.failed(&fault);
                room.refuse(fault, settled);
            }
        }
    });
    events.respond()
}

/// The other end of the stream.
struct Caller {
    /// Dropped before the way to the caller, who then finds the request counted.
    record: RequestRecord<'static>,
    lines: Lines,
    out: Out,
    form: Framing,
    /// Since when no row was wanted.
    unwanted: Option<Instant>,
}

impl StreamTransport for Caller {
    type Request = StreamRequest;
    type Answer = Answered;

    async fn next(&mut self, wants: Demand) -> Incoming<StreamRequest> {
        if !wants.requests {
            self.unwanted.get_or_insert_with(Instant::now);
            self.out.closed().await;
            return Incoming::Left;
        }
        if let Some(since) = self.unwanted.take() {
            self.lines.excuse(since);
        }
        tokio::select! {
            biased;
            () = self.out.closed() => Incoming::Left,
            incoming = self.lines.next(wants.busy) => incoming,
        }
    }

    async fn send(&mut self, answers: Vec<Answered>) -> Result<(), Disconnected> {
        let count = answers.len();
        let size: usize = answers.iter().map(|answer| answer.json.len() + 8).sum();
        let mut data = Vec::with_capacity(size);
        for answer in answers {
            self.form.write(&mut data, &answer.json);
            if let Some(version) = &answer.version {
                self.record.set_version(version);
            }
        }
        let begun = Instant::now();
        let room = self.out.room().await?;
        self.lines.excuse(begun);
        self.record.parts(count);
        room.data(data);
        Ok(())
    }
}
