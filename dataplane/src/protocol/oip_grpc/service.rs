//! The inference service.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message;
use tonic::{Request, Response, Status};

use super::proto::grpc_inference_service_server::GrpcInferenceService;
use super::proto::model_metadata_response::TensorMetadata;
use super::proto::{
    ModelInferRequest, ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse,
    ModelReadyRequest, ModelReadyResponse, ServerLiveRequest, ServerLiveResponse,
    ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse,
};
use super::request::{self, Decoded};
use super::response;
use super::{Parts, timeout_header};
use crate::config::Limits;
use crate::fault::Fault;
use crate::lifecycle::{Lifecycle, Phase};
use crate::pipeline::Serve;
use crate::protocol::oip_rest::metadata::SERVER;
use crate::protocol::request_id;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::{About, Story};
use crate::types::{Call, CallMeta, ModelRef, TensorSpec};

/// Answers the methods of `inference.GRPCInferenceService`.
pub(super) struct Inference<S> {
    serve: Arc<S>,
    metrics: Arc<Metrics>,
    lifecycle: Lifecycle,
    limits: Limits,
}

impl<S: Serve> Inference<S> {
    pub(super) fn new(parts: Parts<S>) -> Self {
        let Parts {
            serve,
            metrics,
            lifecycle,
            limits,
            api: _,
        } = parts;
        Self {
            serve,
            metrics,
            lifecycle,
            limits,
        }
    }

    /// One inference, top to bottom.
    async fn infer(
        &self,
        request: Request<ModelInferRequest>,
        story: &mut Story<'_>,
    ) -> Result<ModelInferResponse, Fault> {
        let asked = request
            .metadata()
            .get("grpc-timeout")
            .and_then(|value| value.to_str().ok())
            .and_then(timeout_header);
        let Decoded {
            model,
            id,
            inputs,
            outputs,
            parameters,
            typed_answer,
        } = request::decode(request.into_inner(), &self.limits)?;
        let budget = [asked, parameters.timeout]
            .into_iter()
            .flatten()
            .fold(self.limits.request_timeout, Duration::min);
        let About {
            request_id,
            received,
            ..
        } = story.about();
        let id = if id.is_empty() {
            request_id.to_string()
        } else {
            id
        };
        let call = Call {
            meta: CallMeta {
                request_id: request_id.to_string(),
                id: id.clone(),
                received: *received,
                deadline: *received + budget,
                priority: parameters.priority,
            },
            model,
            inputs,
            outputs,
        };
        story.phases.decode = received.elapsed();
        let reply = self.serve.serve(call).await?;
        story.phases.timing = Some(reply.timing);
        story.ran(&reply.model_version);
        Ok(response::encode(reply, id, typed_answer))
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
        Ok(Response::new(ServerMetadataResponse {
            name: SERVER.name.to_owned(),
            version: SERVER.version.to_owned(),
            extensions: SERVER.extensions.iter().map(ToString::to_string).collect(),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let ModelMetadataRequest { name, version } = request.into_inner();
        let model = request::model_ref(&name, &version)
            .and_then(|model| self.serve.describe(&model))
            .map_err(|fault| response::status(&fault))?;
        Ok(Response::new(ModelMetadataResponse {
            name: model.name,
            versions: model.versions,
            platform: model.platform.to_owned(),
            inputs: tensors(&model.signature.inputs),
            outputs: tensors(&model.signature.outputs),
            properties: std::collections::HashMap::new(),
        }))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let received = Instant::now();
        let request_id = request_id::of(
            request
                .metadata()
                .get(request_id::HEADER)
                .map(tonic::metadata::MetadataValue::as_bytes),
        );
        let asked = request.get_ref();
        let model = ModelRef {
            name: asked.model_name.clone(),
            version: Some(asked.model_version.clone()).filter(|version| !version.is_empty()),
        };
        let request_bytes = asked.encoded_len();
        let about = About {
            protocol: "grpc",
            operation: "infer",
            request_id: Cow::Borrowed(&request_id),
            model: Cow::Owned(model),
            received,
        };
        let mut story = Story::begin(&self.metrics, about);
        let outcome = self.infer(request, &mut story).await;
        let mut answer = match outcome {
            Ok(response) => {
                story.answered(request_bytes, response.encoded_len());
                Ok(Response::new(response))
            }
            Err(fault) => {
                story.failed(&fault);
                Err(response::status(&fault))
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
