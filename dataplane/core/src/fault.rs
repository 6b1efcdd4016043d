//! The one error type of the request path.
//!
//! Each protocol renders it from the same tables; `docs/errors.md` is the error matrix.

mod codes;
mod kind;

use std::time::Duration;

pub use codes::CODES;
pub use kind::FaultKind;

/// Longest message and parameter, in bytes. Both may contain a name that the caller chose, and are
/// written to a log line and, over gRPC, to a header, where percent-encoding triples a byte.
pub const LONGEST_MESSAGE: usize = 1024;

/// An error of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What kind of error, deciding status codes.
    pub kind: FaultKind,
    /// Stable, snake_case, one of [`CODES`]: `shape_mismatch`, `model_not_found`...
    pub code: &'static str,
    /// Text for people: names the input or member, the value and what would be right. Never a path,
    /// a secret or a stack.
    pub message: String,
    /// The member at fault, if one is.
    pub param: Option<String>,
    /// The delay before a retry.
    pub retry_after: Option<Duration>,
}

impl Fault {
    /// A fault without `param` and `retry_after`.
    pub fn new(kind: FaultKind, code: &'static str, message: impl Into<String>) -> Self {
        debug_assert!(
            codes::is_listed(code, kind),
            "'{code}' is no code of {kind:?}: see CODES"
        );
        Self {
            kind,
            code,
            message: bounded(message.into()),
            param: None,
            retry_after: None,
        }
    }

    /// Names the member at fault.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(bounded(param.into()));
        self
    }

    /// Sets the delay before a retry.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }
}

/// A text of at most [`LONGEST_MESSAGE`] bytes.
fn bounded(mut text: String) -> String {
    const ELLIPSIS: char = '…';
    if text.len() > LONGEST_MESSAGE {
        let mut end = LONGEST_MESSAGE - ELLIPSIS.len_utf8();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push(ELLIPSIS);
    }
    text
}

impl FaultKind {
    /// Every kind, in the order of `docs/errors.md`.
    pub const ALL: [Self; 16] = [
        Self::Malformed,
        Self::BadTensor,
        Self::Unsupported,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::SlowBody,
        Self::TooLarge,
        Self::UnsupportedEncoding,
        Self::Overloaded,
        Self::NotReady,
        Self::Timeout,
        Self::Inference,
        Self::Internal,
        Self::NotImplemented,
        Self::Cancelled,
    ];

    /// The HTTP status (499 for a caller that disconnected: logs and metrics only).
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Malformed | Self::BadTensor | Self::Unsupported => 400,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::SlowBody => 408,
            Self::TooLarge => 413,
            Self::UnsupportedEncoding => 415,
            Self::Cancelled => 499,
            Self::Inference | Self::Internal => 500,
            Self::NotImplemented => 501,
            Self::Overloaded | Self::NotReady => 503,
            Self::Timeout => 504,
        }
    }

    /// The canonical gRPC status number.
    pub const fn grpc_code(self) -> i32 {
        match self {
            Self::Cancelled => 1,
            Self::Malformed | Self::BadTensor | Self::Unsupported => 3,
            Self::SlowBody | Self::Timeout => 4,
            Self::NotFound => 5,
            Self::Forbidden => 7,
            Self::TooLarge => 8,
            Self::MethodNotAllowed | Self::UnsupportedEncoding | Self::NotImplemented => 12,
            Self::Inference | Self::Internal => 13,
            Self::Overloaded | Self::NotReady => 14,
        }
    }

    /// The `type` of an error under `/v1`, as OpenAI's clients know them.
    pub const fn openai_type(self) -> &'static str {
        match self {
            Self::Malformed
            | Self::BadTensor
            | Self::Unsupported
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::SlowBody
            | Self::TooLarge
            | Self::UnsupportedEncoding
            | Self::NotImplemented
            | Self::Cancelled => "invalid_request_error",
            Self::Forbidden => "permission_error",
            Self::Overloaded
            | Self::NotReady
            | Self::Timeout
            | Self::Inference
            | Self::Internal => "server_error",
        }
    }

    /// Whether an error under `/v1` has a code. Malformed requests have none, as at OpenAI: `param`
    /// names the member.
    pub const fn has_openai_code(self) -> bool {
        !matches!(self, Self::Malformed)
    }

    /// The `outcome` label of `serin_requests_total`.
    pub const fn outcome(self) -> &'static str {
        match self {
            Self::Malformed
            | Self::BadTensor
            | Self::Unsupported
            | Self::Forbidden
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::SlowBody
            | Self::TooLarge
            | Self::UnsupportedEncoding
            | Self::NotImplemented => "client_error",
            Self::Overloaded | Self::NotReady => "rejected",
            Self::Timeout => "timeout",
            Self::Inference | Self::Internal => "error",
            Self::Cancelled => "cancelled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_of_the_callers_does_not_make_a_long_answer() {
        let name = "é".repeat(1 << 20);
        let fault =
            Fault::new(FaultKind::BadTensor, "missing_input", name.clone()).with_param(name);
        for text in [fault.message, fault.param.unwrap()] {
            assert!(text.len() <= LONGEST_MESSAGE && text.ends_with('…'));
        }
    }
}
