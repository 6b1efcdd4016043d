//! Compression of answers: only for callers that compress their requests.
//!
//! gRPC's clients announce every coding that their library can read. An answer to that announcement
//! would deflate every tensor to a caller in the same cluster. A compressed request shows that the
//! caller prefers compression; grpc-go's servers decide in the same way.

use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use serin_wire::content_coding::WORTHWHILE_BYTES;

const SENT: &str = "grpc-encoding";
const READ: &str = "grpc-accept-encoding";

/// Forgets what the caller can read if it sent its request as it is; tonic then answers likewise.
#[allow(clippy::result_large_err, reason = "tonic's own signature")]
pub(super) fn mirrored(mut request: Request<()>) -> Result<Request<()>, Status> {
    let metadata = request.metadata_mut();
    let plain = metadata
        .get(SENT)
        .is_none_or(|coding| coding.as_bytes() == b"identity");
    if plain {
        metadata.remove(READ);
    }
    Ok(request)
}

/// Whether answers to a request will be compressed.
pub(super) fn is_on(request: &MetadataMap) -> bool {
    request.contains_key(READ)
}

/// An answer of so many bytes, plain where compression would only make it larger.
pub(super) fn where_it_pays<M>(answer: M, bytes: usize, is_on: bool) -> Response<M> {
    let mut response = Response::new(answer);
    if is_on && bytes < WORTHWHILE_BYTES {
        response.disable_compression();
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(sent: Option<&'static str>) -> bool {
        let mut request = Request::new(());
        let metadata = request.metadata_mut();
        metadata.insert(READ, "identity,deflate,gzip".parse().unwrap());
        if let Some(sent) = sent {
            metadata.insert(SENT, sent.parse().unwrap());
        }
        is_on(mirrored(request).unwrap().metadata())
    }

    #[test]
    fn a_caller_that_compresses_is_answered_in_kind_and_others_are_not() {
        assert!(on(Some("gzip")));
        assert!(on(Some("deflate")));
        assert!(!on(Some("identity")));
        assert!(!on(None));
    }
}
