//! Compression of gRPC's messages ("Compression" of gRPC over HTTP/2), for every service alike: tonic would
//! inflate and deflate on the network's threads, and without a look at the memory budget.
//!
//! Answers are compressed only for callers that compress their requests. gRPC's clients announce every
//! coding that their library can read; an answer to that announcement would deflate every tensor to a
//! caller in the same cluster. grpc-go's servers decide in the same way.

mod deflated;
mod frames;
mod inflated;

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use serin_wire::content_coding::Coding;

use self::deflated::Deflated;
use self::inflated::Inflated;
use crate::runtime::Resources;
use crate::runtime::memory_budget::Reservation;

/// The coding of compressed messages.
const SENT: HeaderName = HeaderName::from_static("grpc-encoding");
/// The codings that a caller can read.
const READ: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// Stands in the header block of an answer without messages.
const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The request with its messages inflated, and the coding of its answers, if they are to be compressed.
/// `stream` says that messages come one after another. Inflated messages count where `reservation`, of no
/// bytes yet, does.
pub(in crate::server) fn inflated(
    mut request: Request<Body>,
    stream: bool,
    reservation: Reservation,
    resources: &Resources,
) -> (Request<Body>, Option<Coding>) {
    let headers = request.headers_mut();
    // Any other coding is refused by the service, which names those that it takes.
    let Some(coding) = headers.get(&SENT).and_then(known) else {
        return (request, None);
    };
    headers.remove(&SENT);
    let answers = readable(headers);
    let inflate = |body| Body::new(Inflated::new(body, coding, stream, reservation, resources));
    (request.map(inflate), answers)
}

/// The answer with its messages compressed, where that makes them smaller.
pub(in crate::server) fn deflated(
    mut response: Response<Body>,
    coding: Coding,
    resources: &Resources,
) -> Response<Body> {
    if response.headers().contains_key(&STATUS) {
        return response;
    }
    let name = HeaderValue::from_static(coding.as_str());
    response.headers_mut().insert(SENT, name);
    response.map(|body| Body::new(Deflated::new(body, coding, resources.cpu_pool.clone())))
}

fn known(name: &HeaderValue) -> Option<Coding> {
    [Coding::Gzip, Coding::Deflate]
        .into_iter()
        .find(|coding| coding.as_str().as_bytes() == name.as_bytes())
}

/// The first of a caller's codings that is offered.
fn readable(headers: &HeaderMap) -> Option<Coding> {
    let listed = headers.get(&READ)?.to_str().ok()?;
    listed
        .split(',')
        .find_map(|name| known(&HeaderValue::from_str(name.trim()).ok()?))
}

#[cfg(test)]
mod tests;
