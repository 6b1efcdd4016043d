//! A request that has been read and not decoded: what access and routing decide by.

use bytes::Bytes;
use http::HeaderMap;
use serin_core::types::ModelRef;

use crate::context::RequestContext;

/// An undecoded request.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// What is known of the request.
    pub context: &'a RequestContext,
    /// Its header fields, or gRPC metadata.
    pub headers: &'a HeaderMap,
    /// The model that it names, from its path or by a look at its body.
    pub model: &'a ModelRef,
    /// The body, or the message, without its content coding.
    pub body: &'a Bytes,
}
