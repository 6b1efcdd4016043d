//! A finished request as spans: the server's, and below it one for each phase.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::context::Context;
use super::otlp::{KeyValue, Span, SpanKind, Status, StatusCode, int, text};
use crate::telemetry::metrics::RequestOutcome;

/// Flags of a span (`SpanFlags` of OTLP): whether its parent is in another process is known, and
/// that it is.
const PARENT_IS_KNOWN: u32 = 0x100;
const PARENT_IS_REMOTE: u32 = 0x200;

/// A traced request that is over.
pub(super) struct Done {
    pub(super) context: Context,
    /// The caller's span.
    pub(super) parent: Option<u64>,
    pub(super) ended: SystemTime,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) finished: RequestOutcome,
    pub(super) request_id: String,
    pub(super) model: String,
    pub(super) version: String,
    pub(super) error: Option<(&'static str, String)>,
}

impl Done {
    /// Its spans, the server's first.
    pub(super) fn spans(&self) -> Vec<Span> {
        let end = nanos(self.ended.duration_since(UNIX_EPOCH).unwrap_or_default());
        let server = self.server(end);
        let mut spans = vec![server];
        // A stream's phases are those of many requests.
        if self.finished.operation != "stream" {
            self.phases(end, &mut spans);
        }
        spans
    }

    fn server(&self, end: u64) -> Span {
        let Self {
            context, finished, ..
        } = self;
        let mut flags = u32::from(context.sampled) | PARENT_IS_KNOWN;
        if self.parent.is_some() {
            flags |= PARENT_IS_REMOTE;
        }
        Span {
            trace_id: context.trace_id.to_be_bytes().to_vec(),
            span_id: context.span_id.to_be_bytes().to_vec(),
            trace_state: context.state.clone(),
            parent_span_id: self
                .parent
                .map(|parent| parent.to_be_bytes().to_vec())
                .unwrap_or_default(),
            name: format!("{} {}", finished.operation, self.model),
            kind: SpanKind::Server.into(),
            start_time_unix_nano: end.saturating_sub(nanos(finished.duration)),
            end_time_unix_nano: end,
            attributes: self.attributes(),
            status: self.status(),
            flags,
        }
    }

    fn attributes(&self) -> Vec<KeyValue> {
        let finished = &self.finished;
        let mut attributes = match (finished.protocol, rpc(&self.path)) {
            ("grpc", Some((service, method))) => vec![
                text("rpc.system", "grpc"),
                text("rpc.service", service),
                text("rpc.method", method),
                int("rpc.grpc.status_code", grpc_status(finished)),
            ],
            _ => vec![
                text("http.request.method", self.method.as_str()),
                text("url.scheme", "http"),
                text("url.path", self.path.as_str()),
                int("http.response.status_code", finished.code),
            ],
        };
        attributes.extend([
            text("serin.model.name", self.model.as_str()),
            text("serin.model.version", self.version.as_str()),
            text("serin.operation", finished.operation),
            text("serin.outcome", finished.outcome),
            text("serin.request.id", self.request_id.as_str()),
        ]);
        if let Some((request, response)) = finished.body_bytes {
            attributes.push(int("http.request.body.size", request));
            attributes.push(int("http.response.body.size", response));
        }
        if finished.outcome != "ok" {
            let kind = self
                .error
                .as_ref()
                .map_or(finished.outcome, |(code, _)| code);
            attributes.push(text("error.type", kind));
        }
        attributes
    }

    /// An error only where the server is at fault, as the conventions for both protocols say.
    fn status(&self) -> Option<Status> {
        (self.finished.code >= 500).then(|| Status {
            code: StatusCode::Error.into(),
            message: self
                .error
                .as_ref()
                .map(|(_, message)| message.clone())
                .unwrap_or_default(),
        })
    }

    /// What is measured are durations: they are laid out backwards from the end, where the phases
    /// follow each other without a gap. What is left at the start is receiving the body.
    fn phases(&self, end: u64, spans: &mut Vec<Span>) {
        let phases = &self.finished.phases;
        let Some(timing) = &phases.timing else {
            return;
        };
        let start = end.saturating_sub(nanos(self.finished.duration));
        let batch = [
            int("serin.batch.rows", timing.batch_rows),
            int("serin.batch.run", timing.run),
        ];
        let mut until = end;
        for (name, took, attributes) in [
            ("encode", phases.encode, &[][..]),
            ("compute", timing.compute, &batch[..]),
            ("batch", timing.batch, &batch[..]),
            ("queue", timing.queue, &[][..]),
            ("decode", phases.decode, &[][..]),
        ] {
            if took.is_zero() {
                continue;
            }
            let from = until.saturating_sub(nanos(took)).max(start);
            spans.push(Span {
                trace_id: self.context.trace_id.to_be_bytes().to_vec(),
                span_id: fastrand::u64(..).max(1).to_be_bytes().to_vec(),
                trace_state: self.context.state.clone(),
                parent_span_id: self.context.span_id.to_be_bytes().to_vec(),
                name: name.to_owned(),
                kind: SpanKind::Internal.into(),
                start_time_unix_nano: from,
                end_time_unix_nano: until,
                attributes: attributes.to_vec(),
                status: None,
                flags: u32::from(self.context.sampled) | PARENT_IS_KNOWN,
            });
            until = from;
        }
    }
}

/// Service and method of a gRPC path.
fn rpc(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix('/')?.split_once('/')
}

/// The gRPC status that stands for the HTTP status of a finished request.
fn grpc_status(finished: &RequestOutcome) -> i32 {
    serin_core::fault::FaultKind::ALL
        .iter()
        .find(|kind| kind.http_status() == finished.code)
        .map_or(0, |kind| kind.grpc_code())
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Phases;
    use serin_core::types::Timing;

    fn done(finished: RequestOutcome) -> Done {
        Done {
            context: Context::root(1, 2, true),
            parent: Some(3),
            ended: UNIX_EPOCH + Duration::from_secs(100),
            method: "POST".to_owned(),
            path: "/v2/models/iris/infer".to_owned(),
            finished,
            request_id: "r".to_owned(),
            model: "iris".to_owned(),
            version: "1".to_owned(),
            error: None,
        }
    }

    fn answered() -> RequestOutcome {
        RequestOutcome {
            protocol: "rest",
            operation: "infer",
            outcome: "ok",
            code: 200,
            duration: Duration::from_millis(10),
            phases: Phases {
                decode: Duration::from_millis(1),
                timing: Some(Timing {
                    queue: Duration::from_millis(2),
                    batch: Duration::ZERO,
                    compute: Duration::from_millis(3),
                    batch_rows: 4,
                    run: 7,
                }),
                encode: Duration::from_millis(1),
            },
            body_bytes: None,
            parts: None,
        }
    }

    #[test]
    fn the_phases_follow_each_other_inside_of_the_request() {
        let spans = done(answered()).spans();
        let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(
            names,
            ["infer iris", "encode", "compute", "queue", "decode"]
        );
        let server = &spans[0];
        for pair in spans[1..].windows(2) {
            assert_eq!(pair[0].start_time_unix_nano, pair[1].end_time_unix_nano);
        }
        for child in &spans[1..] {
            assert_eq!(child.parent_span_id, server.span_id);
            assert!(child.start_time_unix_nano >= server.start_time_unix_nano);
            assert!(child.end_time_unix_nano <= server.end_time_unix_nano);
        }
    }

    #[test]
    fn phases_that_claim_more_than_the_whole_stay_inside_of_it() {
        let mut finished = answered();
        finished.duration = Duration::from_millis(2);
        let spans = done(finished).spans();
        let start = spans[0].start_time_unix_nano;
        assert!(spans.iter().all(|span| span.start_time_unix_nano >= start));
    }

    #[test]
    fn only_the_servers_own_failures_are_errors() {
        let mut refused = answered();
        (refused.outcome, refused.code) = ("client_error", 400);
        assert_eq!(done(refused).spans()[0].status, None);
        let mut failed = answered();
        (failed.outcome, failed.code) = ("error", 500);
        let status = done(failed).spans()[0].status.clone().unwrap();
        assert_eq!(status.code, i32::from(StatusCode::Error));
    }
}
