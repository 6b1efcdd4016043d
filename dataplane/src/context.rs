//! The context of a request. The connection makes it once, from the header block; every protocol
//! carries it to the end of the answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Extensions, HeaderMap, HeaderValue, Request, Uri};
use serin_core::fault::Fault;
use serin_core::types::CallerId;
use serin_wire::errors::{PROBLEM_JSON, is_openai};
use serin_wire::{deadline, oip_grpc, request_id};

use crate::runtime::memory_budget::{MemoryBudget, Reservation, Share};
use crate::telemetry::{Trace, Tracer};

/// Beginnings of the paths of gRPC services. A call is known by them even where it does not say that
/// it is gRPC.
const GRPC_SERVICES: [&str; 2] = ["/inference.", "/grpc."];

/// Methods whose callers may be silent between their messages for as long as they like.
const GRPC_STREAMS: [&str; 2] = ["/ModelStreamInfer", "/ServerReflectionInfo"];

/// Ends of the paths on which one call brings many requests for inference.
const REQUEST_STREAMS: [&str; 2] = ["/ModelStreamInfer", "/infer_stream"];

/// A caller that none was before.
pub fn new_caller() -> CallerId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    CallerId(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The protocol of a caller. It decides how a refusal is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The Open Inference Protocol over REST, and everything else that is not listed here.
    OipRest,
    /// OpenAI's interface.
    OpenAi,
    /// KServe's first protocol. Its paths lie among OpenAI's, whose error bodies they share.
    KServeV1,
    /// gRPC.
    Grpc {
        /// Messages come one after another for as long as the caller likes.
        stream: bool,
    },
}

impl Dialect {
    /// The protocol of a request with this header block and path.
    fn of(headers: &HeaderMap, path: &str) -> Self {
        let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let says_grpc =
            content_type.is_some_and(|value| value.starts_with(oip_grpc::CONTENT_TYPE.as_bytes()));
        let starts = |service: &&str| path.starts_with(*service);
        if says_grpc || GRPC_SERVICES.iter().any(starts) {
            let stream = GRPC_STREAMS.iter().any(|method| path.ends_with(method));
            return Self::Grpc { stream };
        }
        if !is_openai(path) {
            return Self::OipRest;
        }
        let action = path.trim_end_matches('/');
        if action.ends_with(":predict") || action.ends_with(":explain") {
            Self::KServeV1
        } else {
            Self::OpenAi
        }
    }

    /// Whether it is gRPC.
    pub fn is_grpc(self) -> bool {
        matches!(self, Self::Grpc { .. })
    }
}

/// One request, of whatever protocol.
#[derive(Debug)]
pub struct RequestContext {
    /// The request's id: the caller's own where it is acceptable, else a new one.
    id: HeaderValue,
    /// When the header block had been read.
    pub received: Instant,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// Whose turn it takes at a model. Without identities, a connection is a caller; on a connection of
    /// HTTP/2, which a proxy may share between many, so is each stream of requests.
    pub caller: CallerId,
    /// The protocol that the caller speaks.
    pub dialect: Dialect,
    /// The trace that the request may be part of.
    pub trace: Option<Trace>,
    /// The memory of its connection, where others share it.
    share: Option<Arc<Share>>,
    /// The timeout in the header, if it has one.
    budget: Result<Option<Duration>, Box<Fault>>,
    uri: Uri,
    problem_json: bool,
}

impl RequestContext {
    /// The context of a request whose header block has just been read.
    pub fn begin<B>(request: &Request<B>, peer: SocketAddr, tracer: Option<&Tracer>) -> Self {
        let headers = request.headers();
        let path = request.uri().path();
        let dialect = Dialect::of(headers, path);
        let given = headers.get(request_id::HEADER_NAME);
        let id = request_id::of(given.map(HeaderValue::as_bytes));
        Self {
            // Letters, digits and `._:-` are always a header value.
            id: HeaderValue::from_maybe_shared(Bytes::from(id))
                .unwrap_or_else(|_| HeaderValue::from_static("unknown")),
            received: Instant::now(),
            peer,
            caller: CallerId::default(),
            dialect,
            share: None,
            trace: tracer.map(|tracer| tracer.begin(request.method().as_str(), path, headers)),
            budget: match dialect {
                Dialect::Grpc { .. } => Ok(oip_grpc::budget(headers)),
                _ => deadline::asked(headers).map_err(Box::new),
            },
            uri: request.uri().clone(),
            problem_json: headers.get_all(ACCEPT).iter().any(wants_problem),
        }
    }

    /// The context of a request on a connection of this caller.
    #[must_use]
    pub fn on_connection_of(mut self, caller: CallerId, multiplexed: bool) -> Self {
        let path = self.uri.path();
        let is_stream = REQUEST_STREAMS.iter().any(|end| path.ends_with(end));
        self.caller = if multiplexed && is_stream {
            new_caller()
        } else {
            caller
        };
        self
    }

    /// The context of a request on a connection that serves several at once.
    #[must_use]
    pub fn sharing(mut self, share: Option<Arc<Share>>) -> Self {
        self.share = share;
        self
    }

    /// A reservation of no bytes yet, within the connection's share.
    pub fn hold(&self, memory: &Arc<MemoryBudget>) -> Reservation {
        match &self.share {
            Some(share) => share.hold(),
            None => memory.hold(),
        }
    }

    /// The share of the requests of a stream: the connection's, or one of its own.
    pub fn stream_share(&self, memory: &Arc<MemoryBudget>) -> Arc<Share> {
        self.share.clone().unwrap_or_else(|| memory.share())
    }

    /// The context of a request on its way to a handler.
    #[expect(
        clippy::expect_used,
        reason = "without a context there is nobody to answer"
    )]
    pub fn of(extensions: &Extensions) -> Arc<Self> {
        let carried: Option<&Arc<Self>> = extensions.get();
        Arc::clone(carried.expect("the connection gives every request its context"))
    }

    /// The id as text.
    pub fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    /// The id as the header `x-request-id` has it.
    pub fn id_header(&self) -> HeaderValue {
        self.id.clone()
    }

    /// The requested path.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// Whether the caller accepts error bodies of RFC 9457.
    pub fn wants_problem_json(&self) -> bool {
        self.problem_json
    }

    /// The caller's timeout, if it has one: of the whole answer, or of each answer of a stream.
    ///
    /// # Errors
    /// `Malformed` for a header that is no duration.
    pub fn budget(&self) -> Result<Option<Duration>, Fault> {
        self.budget.clone().map_err(|fault| *fault)
    }

    /// The caller's deadline: `limit` after the receipt of the request, or the end of the caller's
    /// timeout if that is sooner.
    ///
    /// # Errors
    /// `Malformed` for a header that is no duration.
    pub fn deadline(&self, limit: Duration) -> Result<Instant, Fault> {
        Ok(self.received + deadline::least(limit, [self.budget()?, None]))
    }
}

fn wants_problem(accept: &HeaderValue) -> bool {
    accept
        .to_str()
        .is_ok_and(|accept| accept.contains(PROBLEM_JSON))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(path: &str, content_type: Option<&'static str>) -> Dialect {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        Dialect::of(&headers, path)
    }

    #[test]
    fn the_dialect_follows_content_type_and_path() {
        let infer = "/inference.GRPCInferenceService/ModelInfer";
        let stream = "/inference.GRPCInferenceService/ModelStreamInfer";
        for (path, content_type, expected) in [
            ("/v2/models/m/infer", None, Dialect::OipRest),
            ("/", None, Dialect::OipRest),
            ("/v1/embeddings", None, Dialect::OpenAi),
            ("/openai/v1/models/m", None, Dialect::OpenAi),
            ("/v1beta", None, Dialect::OipRest),
            ("/v1/models/m:predict", None, Dialect::KServeV1),
            ("/v1/models/m:predict/", None, Dialect::KServeV1),
            (infer, None, Dialect::Grpc { stream: false }),
            (stream, None, Dialect::Grpc { stream: true }),
            (
                "/x.Y/Z",
                Some("application/grpc+proto"),
                Dialect::Grpc { stream: false },
            ),
        ] {
            assert_eq!(dialect(path, content_type), expected, "{path}");
        }
    }

    fn context(headers: &[(&'static str, &'static str)], path: &str) -> RequestContext {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let peer = SocketAddr::from(([192, 0, 2, 7], 4711));
        RequestContext::begin(&request.body(()).unwrap(), peer, None)
    }

    #[test]
    fn a_context_has_one_id_and_the_callers_address() {
        let given = context(&[("x-request-id", "job-7")], "/v2");
        assert_eq!((given.id(), given.peer.port()), ("job-7", 4711));
        let made = context(&[], "/v2");
        assert_eq!(made.id().len(), 36);
        assert_eq!(made.id_header(), made.id());
    }

    #[test]
    fn a_connection_is_a_caller_and_so_is_each_stream_that_shares_one() {
        let caller = new_caller();
        let of = |path, multiplexed| {
            context(&[], path)
                .on_connection_of(caller, multiplexed)
                .caller
        };
        let infer = "/v2/models/m/infer";
        assert_eq!((of(infer, true), of(infer, false)), (caller, caller));
        for stream in [
            "/inference.GRPCInferenceService/ModelStreamInfer",
            "/v2/models/m/infer_stream",
        ] {
            assert_eq!(of(stream, false), caller);
            assert_ne!(of(stream, true), caller);
            assert_ne!(of(stream, true), of(stream, true));
        }
    }

    #[test]
    fn each_dialect_has_its_own_header_for_the_time_that_a_caller_waits() {
        let limit = Duration::from_secs(60);
        let both = [("x-request-timeout", "2"), ("grpc-timeout", "3S")];
        let rest = context(&both, "/v2/models/m/infer");
        assert_eq!(
            rest.deadline(limit).unwrap() - rest.received,
            Duration::from_secs(2)
        );
        let grpc = context(&both, "/inference.GRPCInferenceService/ModelInfer");
        assert_eq!(
            grpc.deadline(limit).unwrap() - grpc.received,
            Duration::from_secs(3)
        );
        let broken = context(&[("x-request-timeout", "soon")], "/v2/models/m/infer");
        assert_eq!(broken.deadline(limit).unwrap_err().code, "invalid_header");
    }
}
