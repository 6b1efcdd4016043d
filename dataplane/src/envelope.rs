//! A read and undecoded request: the input of access and routing.

use bytes::Bytes;
use http::HeaderMap;
use serin_core::types::ModelRef;

use crate::context::RequestContext;

/// An undecoded request.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Its id, times, peer and dialect.
    pub context: &'a RequestContext,
    /// Its header fields, or gRPC metadata.
    pub headers: &'a HeaderMap,
    /// The requested model, from its path or by a scan of its body.
    pub model: &'a ModelRef,
    /// The body, or the message, without its content coding.
    pub body: &'a Bytes,
}
