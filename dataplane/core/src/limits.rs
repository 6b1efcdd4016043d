//! Limits on the size, the content and the pace of requests.

use std::time::Duration;

/// The bounds of the serving ports. Defaults in brackets.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of one request body (64 MiB, as Triton).
    pub body_bytes: usize,
    /// Bytes of all request bodies held at once (as much as the container's memory allows, at most
    /// 512 MiB); more is answered 503.
    pub body_bytes_in_flight: Option<usize>,
    /// Nesting of JSON, counted from the root (100, as Triton).
    pub json_depth: usize,
    /// Inputs, and listed outputs, of one request (256).
    pub tensors: usize,
    /// Dimensions of one tensor (16).
    pub dimensions: usize,
    /// Bytes of one BYTES element (16 MiB).
    pub element_bytes: usize,
    /// Bytes of a request's path and query (8 KiB).
    pub uri_bytes: usize,
    /// Bytes of a request's header block (64 KiB).
    pub header_bytes: usize,
    /// Fields of a request's header block (100).
    pub header_fields: usize,
    /// Time a request may take when it sets no `timeout`, and the most it may ask for (60 s).
    pub request_timeout: Duration,
    /// Open connections of the HTTP port (10,000); more wait in the kernel's queue.
    pub connections: usize,
    /// Concurrent HTTP/2 streams of one connection (256).
    pub http2_streams: u32,
    /// From accepting a connection to its first byte (5 s).
    pub first_byte_timeout: Duration,
    /// From the first byte of a header block to its last (10 s).
    pub header_timeout: Duration,
    /// Between requests of a connection (60 s).
    pub idle_timeout: Duration,
    /// Between two reads of a body, and for a reader that takes nothing of its answer (30 s).
    pub stall_timeout: Duration,
    /// After how long without bytes an event stream sends a comment (15 s).
    pub stream_keep_alive: Duration,
    /// How long a body may come at any rate (10 s); after that it must average 1 KiB/s.
    pub slow_body_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 64 << 20,
            body_bytes_in_flight: None,
            json_depth: 100,
            tensors: 256,
            dimensions: 16,
            element_bytes: 16 << 20,
            uri_bytes: 8 << 10,
            header_bytes: 64 << 10,
            header_fields: 100,
            request_timeout: Duration::from_secs(60),
            connections: 10_000,
            http2_streams: 256,
            first_byte_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(30),
            stream_keep_alive: Duration::from_secs(15),
            slow_body_grace: Duration::from_secs(10),
        }
    }
}
