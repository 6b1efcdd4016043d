//! The kinds of error.

/// The kinds of error that every protocol distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The request cannot be read, or lacks a member. 400.
    Malformed,
    /// A tensor's name, type, shape or count does not fit the model. 400.
    BadTensor,
    /// A value or parameter that is known but not supported. 400.
    Unsupported,
    /// The endpoint exists and is not allowed to this caller. 403.
    Forbidden,
    /// No such model, version or path. 404.
    NotFound,
    /// The path exists, the method does not. 405.
    MethodNotAllowed,
    /// The body arrives too slowly. 408.
    SlowBody,
    /// The body is larger than allowed. 413.
    TooLarge,
    /// A content coding that is not understood. 415.
    UnsupportedEncoding,
    /// The queue is full. 503.
    Overloaded,
    /// The model is loading or failed to, or the server is stopping. 503.
    NotReady,
    /// The deadline passed. 504.
    Timeout,
    /// The model failed while running. 500.
    Inference,
    /// The server failed. 500.
    Internal,
    /// A known feature that is not offered here. 501.
    NotImplemented,
    /// The caller disconnected. Never sent, only counted.
    Cancelled,
}
