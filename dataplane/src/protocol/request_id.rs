//! The id that ties a request to its answer and its log line.

use http::HeaderName;
use uuid::Uuid;

/// Where callers give theirs and every answer has it; in gRPC's metadata the same.
pub(crate) const HEADER: &str = "x-request-id";

/// [`HEADER`] as a header name.
pub(crate) const HEADER_NAME: HeaderName = HeaderName::from_static(HEADER);

/// Longest id that is taken over from a caller.
const MAX_LENGTH: usize = 128;

/// The caller's id, if it is one that can stand in a log line as it is, else a new one (UUID
/// version 7, so that ids sort by time).
pub(crate) fn of(given: Option<&[u8]>) -> String {
    given
        .filter(|id| (1..=MAX_LENGTH).contains(&id.len()))
        .filter(|id| {
            id.iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(byte))
        })
        .and_then(|id| std::str::from_utf8(id).ok())
        .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_harmless_id_is_kept_and_any_other_replaced() {
        assert_eq!(of(Some(b"Job-7:a.b_c")), "Job-7:a.b_c");
        for given in [&b""[..], b"a b", b"a\nb", b"\xff", &[b'a'; 129]] {
            let id = of(Some(given));
            assert!(Uuid::parse_str(&id).is_ok(), "{id}");
        }
        assert_ne!(of(None), of(None));
    }
}
