//! The gRPC services: inference, health and reflection.

mod compression;
mod control;
mod health;
mod infer;
mod service;
mod stream;

use std::sync::Arc;

use serin_core::Limits;
use serin_wire::oip_grpc::proto;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;

use crate::pipeline::Serve;
use crate::runtime::cpu_pool::CpuPool;
use crate::runtime::lifecycle::Lifecycle;
use crate::runtime::memory_budget::MemoryBudget;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::TracerHandle;

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
    pub bodies: Arc<MemoryBudget>,
    /// Where large messages are read and written.
    pub heavy: CpuPool,
    /// Decides what is traced, where there is a collector.
    pub tracer: TracerHandle,
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
