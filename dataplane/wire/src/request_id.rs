//! The id that connects a request, its response, its log line and its trace.

use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderName;
use uuid::Uuid;

/// The header of requests and responses; the key in gRPC's metadata.
pub const HEADER: &str = "x-request-id";

/// [`HEADER`] as a header name.
pub const HEADER_NAME: HeaderName = HeaderName::from_static(HEADER);

/// Longest id that is accepted from a caller, in bytes.
const MAX_LENGTH: usize = 128;

/// The caller's id if it matches `[A-Za-z0-9._:-]{1,128}`, else a new UUID version 7, which sorts by
/// time.
pub fn of(given: Option<&[u8]>) -> String {
    given
        .filter(|id| (1..=MAX_LENGTH).contains(&id.len()))
        .filter(|id| {
            id.iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(byte))
        })
        .and_then(|id| std::str::from_utf8(id).ok())
        .map_or_else(|| made().to_string(), str::to_owned)
}

/// A new id: unique, not secret.
fn made() -> Uuid {
    let (high, low) = (fastrand::u64(..), fastrand::u64(..));
    let mut random = [0; 10];
    random[..8].copy_from_slice(&high.to_le_bytes());
    random[8..].copy_from_slice(&low.to_le_bytes()[..2]);
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_harmless_id_is_kept_and_any_other_replaced() {
        assert_eq!(of(Some(b"Job-7:a.b_c")), "Job-7:a.b_c");
        for given in [&b""[..], b"a b", b"a\nb", b"\xff", &[b'a'; 129]] {
            let id = of(Some(given));
            assert!(Uuid::parse_str(&id).is_ok(), "{id}");
        }
    }

    #[test]
    fn made_ids_differ_on_every_thread_and_sort_by_time() {
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| (0..1000).map(|_| made()).collect::<Vec<_>>()))
            .collect();
        let ids: HashSet<_> = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        assert_eq!(ids.len(), 4000);
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        let early = made();
        let millis = |id: Uuid| id.as_u128() >> 80;
        assert!(ids.iter().all(|id| millis(*id) <= millis(early)));
    }
}
