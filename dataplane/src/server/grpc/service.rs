//! The inference service.

use std::future::ready;
use std::sync::Arc;

use prost::Message;
use serin_core::fault::Fault;
use serin_core::types::TensorSpec;
use serin_wire::control::no_shared_memory;
use serin_wire::oip_grpc::proto::grpc_inference_service_server::GrpcInferenceService;
use serin_wire::oip_grpc::proto::model_metadata_response::TensorMetadata;
use serin_wire::oip_grpc::proto::{
    CudaSharedMemoryRegisterRequest, CudaSharedMemoryRegisterResponse,
    CudaSharedMemoryStatusRequest, CudaSharedMemoryStatusResponse,
    CudaSharedMemoryUnregisterRequest, CudaSharedMemoryUnregisterResponse, LogSettingsRequest,
    LogSettingsResponse, ModelConfigRequest, ModelConfigResponse, ModelStatisticsRequest,
    ModelStatisticsResponse, RepositoryIndexRequest, RepositoryIndexResponse,
    RepositoryModelLoadRequest, RepositoryModelLoadResponse, RepositoryModelUnloadRequest,
    RepositoryModelUnloadResponse, SystemSharedMemoryRegisterRequest,
    SystemSharedMemoryRegisterResponse, SystemSharedMemoryStatusRequest,
    SystemSharedMemoryStatusResponse, SystemSharedMemoryUnregisterRequest,
    SystemSharedMemoryUnregisterResponse, TraceSettingRequest, TraceSettingResponse,
};
use serin_wire::oip_grpc::proto::{
    ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest,
    ModelReadyResponse, ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest,
    ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse,
};
use serin_wire::oip_grpc::raw::RawInferRequest;
use serin_wire::oip_grpc::{self, request};
use serin_wire::oip_rest::metadata;
use tonic::{Request, Response, Status, Streaming};

use super::control;
use super::infer::{GrpcInfer, Prescanned};
use super::stream::{Answers, InferStream};
use crate::context::RequestContext;
use crate::pipeline::{Serve, WhenBusy};
use crate::runtime::lifecycle::Phase;
use crate::server::recording::{Labels, Recording};
use crate::server::respond::status;
use crate::server::state::ServerState;
use crate::server::unary::{Arrival, Held, drive};

/// Implements `inference.GRPCInferenceService`.
pub(super) struct Inference<S>(Arc<ServerState<S>>);

impl<S: Serve> Inference<S> {
    pub(super) fn new(state: Arc<ServerState<S>>) -> Self {
        Self(state)
    }

    fn is_ready(&self) -> bool {
        self.0.lifecycle.phase() == Phase::Ready
    }
}

#[tonic::async_trait]
impl<S: Serve> GrpcInferenceService for Inference<S> {
    async fn server_live(
        &self,
        _: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        Ok(Response::new(ServerReadyResponse {
            ready: self.is_ready(),
        }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let ModelReadyRequest { name, version } = request.into_inner();
        let ready = request::model_ref(&name, &version)
            .and_then(|model| self.0.service.describe(&model))
            .is_ok();
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        let server = metadata::server(self.0.allows_repository_control());
        Ok(Response::new(ServerMetadataResponse {
            name: server.name.to_owned(),
            version: server.version.to_owned(),
            extensions: server.extensions.into_iter().map(str::to_owned).collect(),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let ModelMetadataRequest { name, version } = request.into_inner();
        let model = request::model_ref(&name, &version)
            .and_then(|model| self.0.service.describe(&model))
            .map_err(|fault| oip_grpc::status(&fault))?;
        Ok(Response::new(ModelMetadataResponse {
            name: model.name,
            versions: model.versions,
            platform: model.platform.to_owned(),
            inputs: tensors(&model.signature.inputs),
            outputs: tensors(&model.signature.outputs),
            properties: std::collections::HashMap::new(),
        }))
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Result<Response<ModelConfigResponse>, Status> {
        answer(control::config(&self.0, request.into_inner()))
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Result<Response<ModelStatisticsResponse>, Status> {
        answer(control::statistics(&self.0, request.into_inner()))
    }

    async fn repository_index(
        &self,
        request: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        answer(control::repository_index(&self.0, request.get_ref()))
    }

    async fn repository_model_load(
        &self,
        request: Request<RepositoryModelLoadRequest>,
    ) -> Result<Response<RepositoryModelLoadResponse>, Status> {
        answer(control::load(&self.0, request.into_inner()).await)
    }

    async fn repository_model_unload(
        &self,
        request: Request<RepositoryModelUnloadRequest>,
    ) -> Result<Response<RepositoryModelUnloadResponse>, Status> {
        answer(control::unload(&self.0, request.into_inner()))
    }

    async fn log_settings(
        &self,
        request: Request<LogSettingsRequest>,
    ) -> Result<Response<LogSettingsResponse>, Status> {
        answer(control::log_settings(request.get_ref()))
    }

    async fn trace_setting(
        &self,
        request: Request<TraceSettingRequest>,
    ) -> Result<Response<TraceSettingResponse>, Status> {
        answer(control::trace_setting(&self.0, request.get_ref()))
    }

    async fn system_shared_memory_status(
        &self,
        _: Request<SystemSharedMemoryStatusRequest>,
    ) -> Result<Response<SystemSharedMemoryStatusResponse>, Status> {
        answer(Err(no_shared_memory()))
    }

    async fn system_shared_memory_register(
        &self,
        _: Request<SystemSharedMemoryRegisterRequest>,
    ) -> Result<Response<SystemSharedMemoryRegisterResponse>, Status> {
        answer(Err(no_shared_memory()))
    }

    async fn system_shared_memory_unregister(
        &self,
        _: Request<SystemSharedMemoryUnregisterRequest>,
    ) -> Result<Response<SystemSharedMemoryUnregisterResponse>, Status> {
        answer(Err(no_shared_memory()))
    }

    async fn cuda_shared_memory_status(
        &self,
        _: Request<CudaSharedMemoryStatusRequest>,
    ) -> Result<Response<CudaSharedMemoryStatusResponse>, Status> {
        answer(Err(no_shared_memory()))
    }

    async fn cuda_shared_memory_register(
        &self,
        _: Request<CudaSharedMemoryRegisterRequest>,
    ) -> Result<Response<CudaSharedMemoryRegisterResponse>, Status> {
        answer(Err(no_shared_memory()))
    }

    async fn cuda_shared_memory_unregister(
        &self,
        _: Request<CudaSharedMemoryUnregisterRequest>,
    ) -> Result<Response<CudaSharedMemoryUnregisterResponse>, Status> {
        answer(Err(no_shared_memory()))
    }

    async fn model_infer(
        &self,
        request: Request<RawInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let state = &self.0;
        let (metadata, extensions, RawInferRequest(message)) = request.into_parts();
        let (context, headers) = (RequestContext::of(&extensions), metadata.into_headers());
        let Prescanned {
            model, received, ..
        } = Prescanned::of(message, &context, &state.resources);
        let labels = Labels {
            protocol: "grpc",
            operation: "infer",
        };
        let mut recording = Recording::begin(&state.metrics, labels, &context, &model);
        let arrival = Arrival {
            context: &context,
            headers: &headers,
            begun: context.received,
            deadline: context.deadline(state.resources.limits.request_timeout),
            when_busy: WhenBusy::Refuse,
            read: ready(received),
        };
        let protocol = GrpcInfer { model: &model };
        let outcome = drive(state, &protocol, arrival, &mut recording).await;
        let Recording {
            record,
            request_bytes,
        } = recording;
        // The record is settled before the answer leaves.
        match outcome {
            Ok(Held {
                content: response,
                reservation,
            }) => {
                let bytes = response.encoded_len();
                let _settled = record.succeeded(request_bytes, bytes);
                let mut answer = Response::new(response);
                reservation.keep(answer.extensions_mut());
                Ok(answer)
            }
            Err(fault) => {
                let _settled = record.failed(&fault);
                Err(status(&fault, &context))
            }
        }
    }

    type ModelStreamInferStream = Answers;

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<RawInferRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let (metadata, extensions, inbound) = request.into_parts();
        let errors_end_it = metadata
            .get(ERRORS_END_IT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
        let stream = InferStream {
            state: Arc::clone(&self.0),
            context: RequestContext::of(&extensions),
            headers: metadata.into_headers(),
            errors_end_it,
        };
        Ok(Response::new(stream.start(inbound)))
    }
}

/// Metadata by which the first failure on a stream ends it with its status.
const ERRORS_END_IT: &str = "triton_grpc_error";

fn answer<T>(outcome: Result<T, Fault>) -> Result<Response<T>, Status> {
    outcome
        .map(Response::new)
        .map_err(|fault| oip_grpc::status(&fault))
}

fn tensors(specs: &[TensorSpec]) -> Vec<TensorMetadata> {
    specs
        .iter()
        .map(|spec| TensorMetadata {
            name: spec.name.clone(),
            datatype: spec.datatype.as_str().to_owned(),
            shape: spec.shape_for_metadata(),
        })
        .collect()
}
