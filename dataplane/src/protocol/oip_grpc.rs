//! The Open Inference Protocol over gRPC: messages to a call, a reply to messages.

mod compression;
mod control;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod health;
mod infer;
mod model_config;
mod request;
mod response;
mod service;
mod statistics;
mod stream;
mod survey;
mod typed;
#[doc(hidden)]
pub mod unread;

use std::sync::Arc;
use std::time::Duration;

use serin_crds::contract::policy::ApiConfig;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;

pub(crate) use self::response::status;
use crate::config::Limits;
use crate::lifecycle::Lifecycle;
use crate::pipeline::Serve;
use crate::pipeline::heavy::Heavy;
use crate::protocol::body_budget::Budget;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Tracer;

/// Messages and service of `proto/open_inference.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod proto {
    tonic::include_proto!("inference");

    /// The description itself, for reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/open_inference.bin"));
}

/// What the gRPC services need of the rest of the process.
pub struct Parts<S> {
    /// Answers requests.
    pub serve: Arc<S>,
    /// Where requests are counted.
    pub metrics: Arc<Metrics>,
    /// Whether the process is ready, for health.
    pub lifecycle: Lifecycle,
    /// Bounds on messages and time.
    pub limits: Arc<Limits>,
    /// Memory for messages, shared with the bodies of other protocols.
    pub(crate) bodies: Arc<Budget>,
    /// Where large messages are read and written.
    pub(crate) heavy: Heavy,
    /// What is offered, where that is a choice.
    pub api: ApiConfig,
    /// Decides what is traced, where there is a collector.
    pub tracer: Option<Tracer>,
}

/// Every gRPC service: inference, health (`grpc.health.v1`) and reflection (v1 and v1alpha).
///
/// # Errors
/// When the embedded descriptions cannot be read, which a test rules out.
pub fn routes<S: Serve>(parts: Parts<S>) -> Result<Routes, tonic_reflection::server::Error> {
    let message_bytes = parts.limits.body_bytes;
    let health = health::server(parts.lifecycle.clone());
    let inference = proto::grpc_inference_service_server::GrpcInferenceServiceServer::new(
        service::Inference::new(parts),
    )
    .max_decoding_message_size(message_bytes)
    .max_encoding_message_size(message_bytes)
    .accept_compressed(CompressionEncoding::Gzip)
    .accept_compressed(CompressionEncoding::Deflate)
    .send_compressed(CompressionEncoding::Gzip)
    .send_compressed(CompressionEncoding::Deflate);
    let inference = InterceptedService::new(inference, compression::mirrored);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let mut routes = Routes::new(inference);
    routes = routes.add_service(health);
    routes = routes.add_service(reflection().build_v1()?);
    Ok(routes.add_service(reflection().build_v1alpha()?))
}

/// The budget that a client sets for a call (gRPC over HTTP/2, "Timeout": at most 8 digits and a
/// unit). One that cannot be read is as if it were absent, as the specification's reference
/// implementations do.
pub(crate) fn timeout_header(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit())
    {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_of_the_timeout_header_is_read() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("4m", Some(Duration::from_millis(4))),
            ("5u", Some(Duration::from_micros(5))),
            ("6n", Some(Duration::from_nanos(6))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("123456789S", None),
            ("-1S", None),
            ("S", None),
            ("", None),
            ("1é", None),
            ("1x", None),
        ] {
            assert_eq!(timeout_header(text), expected, "{text}");
        }
    }
}
