//! The inference service.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Response, Status, Streaming};

use super::Parts;
use super::compression;
use super::control;
use super::infer::{self, Asked, Infer};
use super::stream::{Answers, StreamParts};
use crate::pipeline::Serve;
use crate::runtime::lifecycle::{Lifecycle, Phase};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Tracer;
use crate::telemetry::{RequestInfo, RequestRecord};
use serin_core::fault::Fault;
use serin_core::types::TensorSpec;
use serin_wire::control::no_shared_memory;
use serin_wire::deadline::Received;
use serin_wire::oip_grpc;
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
use serin_wire::oip_grpc::request;
use serin_wire::oip_grpc::timeout_header;
use serin_wire::oip_rest::metadata;
use serin_wire::request_id;

/// Answers the methods of `inference.GRPCInferenceService`.
pub(super) struct Inference<S> {
    serve: Arc<S>,
    infer: Infer<S>,
    metrics: Arc<Metrics>,
    lifecycle: Lifecycle,
    tracer: Option<Tracer>,
}

impl<S: Serve> Inference<S> {
    pub(super) fn new(parts: Parts<S>) -> Self {
        let Parts {
            serve,
            metrics,
            lifecycle,
            limits,
            bodies,
            heavy,
            tracer,
        } = parts;
        let infer = Infer {
            serve: Arc::clone(&serve),
            limits,
            bodies,
            heavy,
        };
        Self {
            serve,
            infer,
            metrics,
            lifecycle,
            tracer,
        }
    }

    fn is_ready(&self) -> bool {
        self.lifecycle.phase() == Phase::Ready
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
            .and_then(|model| self.serve.describe(&model))
            .is_ok();
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        let server = metadata::server(self.serve.allows_repository_control());
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
            .and_then(|model| self.serve.describe(&model))
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
        answer(control::config(&*self.serve, request.into_inner()))
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Result<Response<ModelStatisticsResponse>, Status> {
        answer(control::statistics(&*self.serve, request.into_inner()))
    }

    async fn repository_index(
        &self,
        request: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        answer(control::repository_index(&*self.serve, request.get_ref()))
    }

    async fn repository_model_load(
        &self,
        request: Request<RepositoryModelLoadRequest>,
    ) -> Result<Response<RepositoryModelLoadResponse>, Status> {
        answer(control::load(&*self.serve, request.into_inner()).await)
    }

    async fn repository_model_unload(
        &self,
        request: Request<RepositoryModelUnloadRequest>,
    ) -> Result<Response<RepositoryModelUnloadResponse>, Status> {
        answer(control::unload(&*self.serve, request.into_inner()))
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
        answer(control::trace_setting(
            &*self.serve,
            self.tracer.as_ref(),
            request.get_ref(),
        ))
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
        let received = received(request.extensions());
        let request_id = id_of(request.metadata());
        let until = infer::until(received, budget_of(request.metadata()));
        let compressed = compression::is_on(request.metadata());
        let RawInferRequest(message) = request.into_inner();
        let request_bytes = message.len();
        let (prescan, taken) = self.infer.take(message);
        let about = RequestInfo {
            protocol: "grpc",
            operation: "infer",
            request_id: Cow::Borrowed(&request_id),
            model: Cow::Owned(prescan.model),
            received,
        };
        let mut record = RequestRecord::begin(&self.metrics, about);
        let asked = Asked {
            request_id: &request_id,
            received,
            until,
        };
        let outcome = match taken {
            Ok(taken) => self.infer.run(taken, asked, &mut record.phases).await,
            Err(fault) => Err(fault),
        };
        let mut answer = match outcome {
            Ok(response) => {
                record.ran(&response.model_version);
                let bytes = response.encoded_len();
                record.answered(request_bytes, bytes);
                let mut answer = compression::where_it_pays(response, bytes, compressed);
                self.infer.bodies.keep(bytes, answer.extensions_mut());
                Ok(answer)
            }
            Err(fault) => {
                record.failed(&fault);
                Err(oip_grpc::status(&fault))
            }
        };
        let metadata = match &mut answer {
            Ok(response) => response.metadata_mut(),
            Err(status) => status.metadata_mut(),
        };
        if let Ok(value) = request_id.parse() {
            metadata.insert(request_id::HEADER, value);
        }
        answer
    }

    type ModelStreamInferStream = Answers;

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<RawInferRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let received = received(request.extensions());
        let metadata = request.metadata();
        let request_id = id_of(metadata);
        let header = request_id.parse();
        let parts = StreamParts {
            infer: self.infer.clone(),
            metrics: Arc::clone(&self.metrics),
            lifecycle: self.lifecycle.clone(),
            request_id,
            received,
            until: infer::until(received, budget_of(metadata)),
            errors_end_it: metadata
                .get(ERRORS_END_IT)
                .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true")),
        };
        let mut response = Response::new(parts.start(request.into_inner()));
        if let Ok(value) = header {
            response.metadata_mut().insert(request_id::HEADER, value);
        }
        Ok(response)
    }
}

/// Metadata by which the first failure on a stream ends it with its status.
const ERRORS_END_IT: &str = "triton_grpc_error";

fn id_of(metadata: &MetadataMap) -> String {
    let given = metadata.get(request_id::HEADER);
    request_id::of(given.map(tonic::metadata::MetadataValue::as_bytes))
}

/// When the call's time began: before its message had come.
fn received(extensions: &Extensions) -> Instant {
    extensions
        .get()
        .map_or_else(Instant::now, |Received(instant)| *instant)
}

/// How long a caller waits for its call, if it says so.
fn budget_of(metadata: &MetadataMap) -> Option<Duration> {
    metadata
        .get("grpc-timeout")
        .and_then(|value| value.to_str().ok())
        .and_then(timeout_header)
}

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
