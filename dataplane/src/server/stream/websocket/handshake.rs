//! The handshake of a WebSocket (RFC 6455, 4.2). The connection has refused pages of other sites.

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use serin_core::fault::{Fault, FaultKind};

/// Shows that the server speaks the protocol (RFC 6455, 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const VERSION: HeaderValue = HeaderValue::from_static("13");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Whether a request asks for an upgrade to WebSocket.
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    lists(headers, &UPGRADE, "websocket") && lists(headers, &CONNECTION, "upgrade")
}

/// The answer to any other GET.
pub(super) fn needed() -> Fault {
    Fault::new(
        FaultKind::MethodNotAllowed,
        "method_not_allowed",
        "GET opens a WebSocket here, over HTTP/1.1 with 'Upgrade: websocket'; POST sends a request, or rows",
    )
}

/// Names the accepted methods and headers of the path.
pub(super) fn with_alternatives(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(http::header::ALLOW, HeaderValue::from_static("POST"));
    headers.insert(UPGRADE, WEBSOCKET);
    response
}

/// The answer that opens the socket.
///
/// # Errors
/// `Malformed` for an invalid handshake.
pub(super) fn accept(parts: &Parts) -> Result<Response<Body>, Fault> {
    let headers = &parts.headers;
    if headers.get(SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        return Err(invalid(&SEC_WEBSOCKET_VERSION, "must be 13"));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let key = key
        .filter(|key| STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16))
        .ok_or_else(|| invalid(&SEC_WEBSOCKET_KEY, "must be 16 bytes in base64"))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, WEBSOCKET);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    // Base64 is always a header value.
    if let Ok(accept) = HeaderValue::from_str(&accept_of(key)) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    Ok(response)
}

fn accept_of(key: &[u8]) -> String {
    let mut sha1 = sha1_smol::Sha1::new();
    sha1.update(key);
    sha1.update(GUID.as_bytes());
    STANDARD.encode(sha1.digest().bytes())
}

fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        value.to_str().is_ok_and(|value| {
            value
                .split(',')
                .any(|one| one.trim().eq_ignore_ascii_case(token))
        })
    })
}

fn invalid(name: &HeaderName, must: &str) -> Fault {
    Fault::new(
        FaultKind::Malformed,
        "invalid_header",
        format!("the header {name} {must}"),
    )
    .with_param(name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(headers: &[(HeaderName, &str)]) -> Parts {
        let mut request = http::Request::builder().uri("/v2/models/m/infer_stream");
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    const KEY: (HeaderName, &str) = (SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==");
    const THIRTEEN: (HeaderName, &str) = (SEC_WEBSOCKET_VERSION, "13");

    #[test]
    fn the_handshake_of_the_standard() {
        let response = accept(&parts(&[KEY, THIRTEEN])).unwrap();
        assert_eq!(response.status(), 101);
        assert_eq!(
            response.headers()[SEC_WEBSOCKET_ACCEPT],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn a_handshake_that_is_none_names_the_header() {
        let fault = accept(&parts(&[KEY])).unwrap_err();
        assert_eq!(fault.param.as_deref(), Some("sec-websocket-version"));
        let fault = accept(&parts(&[THIRTEEN, (SEC_WEBSOCKET_KEY, "short")])).unwrap_err();
        assert_eq!(fault.param.as_deref(), Some("sec-websocket-key"));
    }

    #[test]
    fn an_upgrade_is_asked_for_by_both_headers() {
        let headers = |list: &[(HeaderName, &str)]| parts(list).headers;
        let upgrade = (UPGRADE, "WebSocket");
        assert!(is_asked_for(&headers(&[
            upgrade.clone(),
            (CONNECTION, "keep-alive, Upgrade")
        ])));
        assert!(!is_asked_for(&headers(&[upgrade])));
    }
}
