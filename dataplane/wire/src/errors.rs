//! Faults as HTTP responses and as events of a stream, in the form of each protocol. `docs/errors.md`
//! is the table for users, and a test compares the two.

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;
use std::time::Duration;

use crate::content_coding;
use serin_core::fault::{Fault, FaultKind};

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The media type that a caller may ask error bodies in (RFC 9457).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// `Retry-After` of a fault that may be retried and names no delay.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// What an error body contains besides the fault.
#[derive(Clone, Copy, Debug)]
pub struct ErrorContext<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// The request's path, which decides the protocol.
    pub path: &'a str,
    /// The request's `Accept` lists `application/problem+json`.
    pub problem_json: bool,
}

/// The error body of the Open Inference Protocol. The members of RFC 9457 are added only on request:
/// some clients read no message from a body with unknown members.
#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    code: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    problem: Option<Problem<'a>>,
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
}

/// The error body of OpenAI's interface, the only form that its clients read.
#[derive(Serialize)]
struct OpenAiBody<'a> {
    error: OpenAiError<'a>,
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    code: Option<&'static str>,
}

/// Whether a path belongs to OpenAI's interface, so that all of its errors have that form.
pub fn is_openai(path: &str) -> bool {
    ["/v1", "/openai/v1"].iter().any(|prefix| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// The response to a fault, in the form of the path's protocol: OpenAI's under `/v1` and
/// `/openai/v1`, else the Open Inference Protocol's.
pub fn response(fault: &Fault, context: ErrorContext<'_>) -> Response<Bytes> {
    let openai = is_openai(context.path);
    let content_type = if context.problem_json && !openai {
        PROBLEM_JSON
    } else {
        "application/json"
    };
    let body = if openai {
        openai_body(fault)
    } else {
        oip_body(fault, context)
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status_of(fault.kind);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(delay) = retry_after(fault) {
        let seconds = delay.as_millis().div_ceil(1000).max(1) as u64;
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        headers.insert(RETRY_AFTER_MS, HeaderValue::from(millis));
    }
    // Clients retry every 5xx by default; these faults are deterministic.
    if matches!(fault.kind, FaultKind::Inference | FaultKind::NotImplemented) {
        headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    if fault.kind == FaultKind::UnsupportedEncoding {
        headers.insert(ACCEPT_ENCODING, content_coding::UNDERSTOOD);
    }
    response
}

fn openai_body(fault: &Fault) -> Vec<u8> {
    let body = OpenAiBody {
        error: OpenAiError {
            message: &fault.message,
            r#type: fault.kind.openai_type(),
            param: fault.param.as_deref(),
            code: fault.kind.has_openai_code().then_some(fault.code),
        },
    };
    // Strings only: serialising cannot fail.
    serde_json::to_vec(&body).unwrap_or_default()
}

fn oip_body(fault: &Fault, context: ErrorContext<'_>) -> Vec<u8> {
    let status = status_of(fault.kind);
    let body = Body {
        error: &fault.message,
        code: fault.code,
        request_id: context.request_id,
        param: fault.param.as_deref(),
        id: None,
        line: None,
        problem: context.problem_json.then(|| Problem {
            r#type: problem_type(fault.kind),
            title: status.canonical_reason().unwrap_or("error"),
            status: status.as_u16(),
            detail: &fault.message,
            instance: context.path,
        }),
    };
    // Strings and numbers only: serialising cannot fail.
    serde_json::to_vec(&body).unwrap_or_default()
}

/// What an error event contains besides the fault.
#[derive(Clone, Copy, Debug)]
pub struct EventContext<'a> {
    /// The stream's request id.
    pub request_id: &'a str,
    /// The `id` of the request at fault, if it could be read.
    pub id: Option<&'a str>,
    /// The line in an NDJSON stream, or the message's number on a WebSocket; from 1.
    pub line: Option<u64>,
}

/// The fault as one event of a stream: the body of the Open Inference Protocol, on one line.
pub fn event(fault: &Fault, context: EventContext<'_>) -> Vec<u8> {
    let body = Body {
        error: &fault.message,
        code: fault.code,
        request_id: context.request_id,
        param: fault.param.as_deref(),
        id: context.id,
        line: context.line,
        problem: None,
    };
    // Strings and numbers only: serialising cannot fail.
    serde_json::to_vec(&body).unwrap_or_default()
}

/// The HTTP status of a kind.
fn status_of(kind: FaultKind) -> StatusCode {
    StatusCode::from_u16(kind.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// When the caller may retry, if that may help.
pub(super) fn retry_after(fault: &Fault) -> Option<Duration> {
    match fault.kind {
        FaultKind::Overloaded | FaultKind::NotReady => {
            Some(fault.retry_after.unwrap_or(DEFAULT_RETRY_AFTER))
        }
        _ => fault.retry_after,
    }
}

/// Problem types registered with IANA, where one fits.
const fn problem_type(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Overloaded | FaultKind::NotReady => {
            "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
        }
        _ => "about:blank",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: ErrorContext<'static> = ErrorContext {
        request_id: "r-1",
        path: "/v2/models/m/infer",
        problem_json: false,
    };

    #[test]
    fn the_golden_error_body() {
        let fault = Fault::new(
            FaultKind::BadTensor,
            "shape_mismatch",
            "input 'x': expected 4 elements, got 3",
        );
        let response = response(&fault, CONTEXT);
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(
            &response.body()[..],
            br#"{"error":"input 'x': expected 4 elements, got 3","code":"shape_mismatch","request_id":"r-1"}"#
        );
    }

    #[test]
    fn openai_paths_have_their_own_form_whatever_is_accepted() {
        let fault = Fault::new(
            FaultKind::NotFound,
            "model_not_found",
            "model 'zz' not found",
        )
        .with_param("model");
        for path in ["/v1", "/v1/models/zz", "/openai/v1/nothing"] {
            let context = ErrorContext {
                path,
                problem_json: true,
                ..CONTEXT
            };
            let response = response(&fault, context);
            assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
            assert_eq!(
                &response.body()[..],
                br#"{"error":{"message":"model 'zz' not found","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#
            );
        }
        assert!(!is_openai("/v1beta") && !is_openai("/openai") && !is_openai("/v2/v1"));
    }

    #[test]
    fn what_cannot_be_read_has_a_param_and_no_code() {
        let fault = Fault::new(FaultKind::Malformed, "missing_field", "'input' is missing")
            .with_param("input");
        let context = ErrorContext {
            path: "/v1/embeddings",
            ..CONTEXT
        };
        let body: serde_json::Value =
            serde_json::from_slice(response(&fault, context).body()).unwrap();
        assert_eq!(body["error"]["param"], "input");
        assert!(body["error"]["code"].is_null());
    }

    #[test]
    fn an_error_within_a_stream_names_its_line_and_id() {
        let fault = Fault::new(FaultKind::Malformed, "malformed_json", "no\nJSON");
        let context = EventContext {
            request_id: "r-1",
            id: Some("7"),
            line: Some(3),
        };
        assert_eq!(
            event(&fault, context),
            br#"{"error":"no\nJSON","code":"malformed_json","request_id":"r-1","id":"7","line":3}"#
        );
    }

    #[test]
    fn a_problem_body_keeps_the_protocols_members() {
        let fault = Fault::new(
            FaultKind::NotReady,
            "model_not_ready",
            "model 'm' is loading",
        );
        let context = ErrorContext {
            problem_json: true,
            ..CONTEXT
        };
        let response = response(&fault, context);
        assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_JSON);
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["error"], "model 'm' is loading");
        assert_eq!(body["status"], 503);
        assert_eq!(body["detail"], body["error"]);
        assert_eq!(body["instance"], "/v2/models/m/infer");
    }

    #[test]
    fn waiting_times_are_whole_seconds_from_one_and_exact_milliseconds() {
        let fault = Fault::new(FaultKind::Overloaded, "overloaded", "full")
            .retry_after(Duration::from_millis(1200));
        let limited = response(&fault, CONTEXT);
        assert_eq!(limited.headers()[RETRY_AFTER], "2");
        assert_eq!(limited.headers()[RETRY_AFTER_MS], "1200");
        let fault = Fault::new(FaultKind::NotReady, "model_not_ready", "loading");
        assert_eq!(response(&fault, CONTEXT).headers()[RETRY_AFTER], "1");
    }

    #[test]
    fn what_never_succeeds_is_not_to_be_retried() {
        for (code, kind) in serin_core::fault::CODES.iter().copied() {
            let answer = response(&Fault::new(kind, code, "y"), CONTEXT);
            let told = answer.headers().contains_key(X_SHOULD_RETRY);
            let deterministic = matches!(kind, FaultKind::Inference | FaultKind::NotImplemented);
            assert_eq!(told, deterministic, "{kind:?}");
        }
    }
}
