//! The options in the header of a stream.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName};

use crate::context::RequestContext;
use crate::server::http::infer::JSON_LENGTH;
use serin_core::fault::{Fault, FaultKind};
use serin_wire::{ndjson, sse};

/// The framing of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Server-sent events.
    Events,
    /// One line each.
    Lines,
}

/// The requested options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamOptions {
    /// The body is a request on each line, not one request.
    pub(super) rows: bool,
    pub(super) framing: Framing,
    /// The caller's timeout for each answer, if it has one.
    pub(super) budget: Option<Duration>,
}

impl Framing {
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Events => sse::CONTENT_TYPE,
            Self::Lines => ndjson::CONTENT_TYPE,
        }
    }

    /// Appends an answer, which is on one line, to the bytes for the caller.
    pub(super) fn write(self, out: &mut Vec<u8>, json: &[u8]) {
        match self {
            Self::Events => sse::write_event(out, json),
            Self::Lines => {
                out.reserve(json.len() + 1);
                out.extend_from_slice(json);
                out.push(b'\n');
            }
        }
    }
}

impl StreamOptions {
    /// Answers take the form that `Accept` names; where it names neither, lines are answered by
    /// lines and a single request by events.
    ///
    /// # Errors
    /// Headers that a stream does not support.
    pub(super) fn of(headers: &HeaderMap, context: &RequestContext) -> Result<Self, Fault> {
        if headers.contains_key(JSON_LENGTH) {
            return Err(Fault::new(
                FaultKind::Malformed,
                "invalid_header",
                "a stream carries JSON only: remove Inference-Header-Content-Length and send data in JSON, or use /infer",
            )
            .with_param(JSON_LENGTH.as_str()));
        }
        let rows = text(headers, &CONTENT_TYPE).any(ndjson::is_ndjson);
        if rows {
            refuse_codings(headers)?;
        }
        let framing = if text(headers, &ACCEPT).any(sse::is_wanted) {
            Framing::Events
        } else if rows
            || text(headers, &ACCEPT).any(|accept| accept.split(',').any(ndjson::is_ndjson))
        {
            Framing::Lines
        } else {
            Framing::Events
        };
        Ok(Self {
            rows,
            framing,
            budget: context.budget()?,
        })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
}

fn refuse_codings(headers: &HeaderMap) -> Result<(), Fault> {
    let coded = text(headers, &CONTENT_ENCODING)
        .find(|coding| !coding.trim().eq_ignore_ascii_case("identity"));
    coded.map_or(Ok(()), |coding| {
        let coding: String = coding.chars().take(40).collect();
        Err(Fault::new(
            FaultKind::UnsupportedEncoding,
            "unsupported_encoding",
            format!(
                "rows are not sent compressed, got content encoding '{coding}'; send them as they are"
            ),
        )
        .with_param(CONTENT_ENCODING.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(headers: &[(&'static str, &str)]) -> Result<StreamOptions, Fault> {
        let mut request = http::Request::builder().uri("/v2/models/m/infer_stream");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let context = RequestContext::begin(&request, peer, None);
        StreamOptions::of(request.headers(), &context)
    }

    #[test]
    fn the_form_follows_accept_and_else_the_body() {
        let ndjson = ("content-type", "application/x-ndjson");
        let events = ("accept", "text/event-stream");
        let lines = ("accept", "text/html, application/x-ndjson;q=0.9");
        let form = |headers: &[_]| {
            options(headers)
                .map(|options| (options.rows, options.framing))
                .unwrap()
        };
        assert_eq!(form(&[]), (false, Framing::Events));
        assert_eq!(form(&[("accept", "*/*")]), (false, Framing::Events));
        assert_eq!(form(&[lines]), (false, Framing::Lines));
        assert_eq!(form(&[ndjson]), (true, Framing::Lines));
        assert_eq!(form(&[ndjson, ("accept", "*/*")]), (true, Framing::Lines));
        assert_eq!(form(&[ndjson, events]), (true, Framing::Events));
    }

    #[test]
    fn what_a_stream_cannot_heed_is_refused_with_the_cure() {
        let fault = options(&[("inference-header-content-length", "10")]).unwrap_err();
        assert!(fault.message.contains("use /infer"), "{fault}");
        let ndjson = ("content-type", "application/x-ndjson");
        let fault = options(&[ndjson, ("content-encoding", "gzip")]).unwrap_err();
        assert_eq!(fault.kind, FaultKind::UnsupportedEncoding);
        assert!(options(&[ndjson, ("content-encoding", "identity")]).is_ok());
        assert!(options(&[("x-request-timeout", "soon")]).is_err());
    }
}
