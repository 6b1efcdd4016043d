//! Compression of answers, by the caller's `Accept-Encoding`.

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use http::{HeaderValue, Response};
use http_body::Body as _;
use http_body_util::BodyExt;

use crate::runtime::Resources;
use crate::runtime::cpu_pool::{CpuPool, INLINE_LIMIT};
use crate::server::respond::PlainIfTaken;
use serin_wire::content_coding::{self, Accepted, Coding, WORTHWHILE_BYTES};

/// Compresses an answer where its caller accepts that and it saves bytes: a document of known size,
/// large enough, and smaller afterwards. An answer that may be compressed for other callers has `Vary`.
pub(in crate::server) async fn compress(
    mut response: Response<Body>,
    accepted: Accepted,
    resources: &Resources,
) -> Response<Body> {
    let headers = response.headers();
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !content_type.is_some_and(content_coding::may_compress)
        || headers.contains_key(CONTENT_ENCODING)
    {
        return response;
    }
    // The size of a stream is unknown: it is sent as it is made.
    let Some(size) = response.body().size_hint().exact() else {
        return response;
    };
    response
        .headers_mut()
        .append(VARY, HeaderValue::from_static("accept-encoding"));
    let plain = response.extensions().get::<PlainIfTaken>().is_some();
    if plain && matches!(accepted, Accepted::Preferred(_)) {
        return response;
    }
    let Some((coding, at_most)) = worthwhile(accepted, size) else {
        return response;
    };
    // Both forms exist for a while; where there is no room for that, the plain one is sent.
    let mut held = resources.memory.hold();
    if at_most > INLINE_LIMIT && held.grow(at_most).is_err() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(plain) = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
    else {
        // Only a body that is still being made can fail, and that has no size.
        return Response::from_parts(parts, Body::empty());
    };
    let body = match packed(plain.clone(), coding, at_most, &resources.cpu_pool).await {
        Some(packed) => {
            let name = HeaderValue::from_static(coding.as_str());
            parts.headers.insert(CONTENT_ENCODING, name);
            // Of the plain bytes; hyper sets it anew.
            parts.headers.remove(CONTENT_LENGTH);
            packed
        }
        None => plain,
    };
    Response::from_parts(parts, Body::from(body))
}

/// The coding for an answer of `size` bytes, and how many it may take in that: fewer than plain, but
/// for callers that refuse plain answers.
fn worthwhile(accepted: Accepted, size: u64) -> Option<(Coding, usize)> {
    let size = usize::try_from(size).ok()?;
    match accepted {
        Accepted::Plain => None,
        Accepted::Preferred(_) if size < WORTHWHILE_BYTES => None,
        Accepted::Preferred(coding) => Some((coding, size - 1)),
        // Stored blocks and the frame take less than this.
        Accepted::Only(coding) => Some((coding, size + size / 64 + 64)),
    }
}

async fn packed(plain: Bytes, coding: Coding, at_most: usize, cpu_pool: &CpuPool) -> Option<Bytes> {
    let packed = if plain.len() <= INLINE_LIMIT {
        content_coding::compress(&plain, coding, at_most)
    } else {
        let work = move || content_coding::compress(&plain, coding, at_most);
        cpu_pool.run(work).await.ok().flatten()
    };
    packed.map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use serin_core::Limits;
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn small_answers_are_left_alone_unless_plain_ones_are_refused() {
        let preferred = Accepted::Preferred(Coding::Gzip);
        assert_eq!(worthwhile(Accepted::Plain, 1 << 20), None);
        assert_eq!(worthwhile(preferred, 1023), None);
        assert_eq!(worthwhile(preferred, 1024), Some((Coding::Gzip, 1023)));
        let only = Accepted::Only(Coding::Deflate);
        assert_eq!(worthwhile(only, 2), Some((Coding::Deflate, 66)));
    }

    #[tokio::test]
    async fn a_document_that_a_client_cannot_unpack_is_packed_only_where_plain_is_refused() {
        let resources = Resources::new(Limits::default(), CpuPool::new());
        let coding_of = async |accepted| {
            let mut response = Response::new(Body::from(vec![b' '; 4096]));
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, json);
            response.extensions_mut().insert(PlainIfTaken);
            let answer = compress(response, accepted, &resources).await;
            answer.headers().contains_key(CONTENT_ENCODING)
        };
        assert!(!coding_of(Accepted::Preferred(Coding::Gzip)).await);
        assert!(coding_of(Accepted::Only(Coding::Gzip)).await);
    }

    #[tokio::test]
    async fn what_cannot_be_compressed_goes_out_as_it_is_and_still_varies() {
        let noise: Vec<u8> = (0..100u8).flat_map(|n| Sha256::digest([n])).collect();
        let made = |content_type: &'static str| {
            let mut response = Response::new(Body::from(noise.clone()));
            let content_type = HeaderValue::from_static(content_type);
            response.headers_mut().insert(CONTENT_TYPE, content_type);
            response
        };
        let resources = Resources::new(Limits::default(), CpuPool::new());
        let preferred = Accepted::Preferred(Coding::Gzip);
        let answer = compress(made("application/octet-stream"), preferred, &resources).await;
        assert_eq!(answer.headers().get(CONTENT_ENCODING), None);
        assert_eq!(answer.headers()[VARY], "accept-encoding");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body[..], noise[..]);
        let answer = compress(made("image/png"), preferred, &resources).await;
        assert_eq!(answer.headers().get(VARY), None);
    }
}
