//! The gRPC services: inference, health (`grpc.health.v1`) and reflection (v1 and v1alpha).

pub(super) mod body;
mod by_size;
pub(super) mod coding;
mod control;
mod health;
mod infer;
mod service;
mod stream;
mod stream_response;

use std::sync::Arc;

use serin_wire::oip_grpc::proto;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;

use self::by_size::{BySize, CONTROL_BYTES};
use self::service::Inference;
use super::state::ServerState;
use crate::pipeline::Serve;

/// Every gRPC service.
///
/// # Errors
/// When the embedded descriptions cannot be read, which a test rules out.
pub(super) fn routes<S: Serve>(
    state: &Arc<ServerState<S>>,
) -> Result<Routes, tonic_reflection::server::Error> {
    let message_bytes = state.resources.limits.body_bytes;
    let service = |most_read| {
        proto::grpc_inference_service_server::GrpcInferenceServiceServer::new(Inference::new(
            Arc::clone(state),
        ))
        .max_decoding_message_size(most_read)
        .max_encoding_message_size(message_bytes)
        // Messages in these codings have been inflated before they come here (see `coding`); the
        // refusal of any other names them.
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Deflate)
    };
    let inference = BySize {
        inference: service(message_bytes),
        control: service(message_bytes.min(CONTROL_BYTES)),
    };
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let mut routes = Routes::new(inference);
    routes = routes.add_service(health::server(state.lifecycle.clone()));
    routes = routes.add_service(reflection().build_v1()?);
    Ok(routes.add_service(reflection().build_v1alpha()?))
}
