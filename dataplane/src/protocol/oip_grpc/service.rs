//! The inference service.

use std::sync::Arc;
use std::time::{Duration, Instant};

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
use crate::fault::{Fault, FaultKind};
use crate::lifecycle::{Lifecycle, Phase};
use crate::pipeline::Serve;
use crate::protocol::oip_rest::metadata::SERVER;
use crate::protocol::request_id;
use crate::telemetry::access_log::Record;
use crate::telemetry::metrics::{Finished, Metrics, Phases};
use crate::types::{Call, CallMeta, ModelRef, TensorSpec, Timing};

/// Answers the methods of `inference.GRPCInferenceService`.
pub(super) struct Inference<S> {
    serve: Arc<S>,
    metrics: Arc<Metrics>,
    lifecycle: Lifecycle,
    limits: Limits,
}

/// What is to be told of a request once it is over, also if its caller leaves: then nobody polls
/// it any more and it is dropped.
struct Story<'a> {
    metrics: &'a Metrics,
    request_id: String,
    model: ModelRef,
    started: Instant,
    decode: Duration,
    told: bool,
}

impl Story<'_> {
    fn tell(&mut self, outcome: Result<(&str, Timing), &Fault>) {
        self.told = true;
        let version = outcome.map_or(self.model.version.as_deref(), |(version, _)| Some(version));
        let finished = Finished {
            protocol: "grpc",
            operation: "infer",
            outcome: outcome.map_or_else(|fault| fault.kind.outcome(), |_| "ok"),
            code: outcome.map_or_else(|fault| fault.kind.http_status(), |_| 200),
            duration: self.started.elapsed(),
            phases: Phases {
                decode: self.decode,
                timing: outcome.ok().map(|(_, timing)| timing),
                encode: Duration::ZERO,
            },
        };
        self.metrics
            .model(&self.model.name, version)
            .finished(&finished);
        Record {
            request_id: &self.request_id,
            model: &self.model.name,
            version: version.unwrap_or_default(),
            finished: &finished,
            error: outcome
                .err()
                .map(|fault| (fault.code, fault.message.as_str())),
        }
        .log();
    }
}

impl Drop for Story<'_> {
    fn drop(&mut self) {
        if !self.told {
            let kind = if std::thread::panicking() {
                FaultKind::Internal
            } else {
                FaultKind::Cancelled
            };
            self.tell(Err(&Fault::new(kind, "cancelled", "the caller left")));
        }
    }
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
    ) -> Result<(ModelInferResponse, Timing), Fault> {
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
        let id = if id.is_empty() {
            story.request_id.clone()
        } else {
            id
        };
        let call = Call {
            meta: CallMeta {
                request_id: story.request_id.clone(),
                id: id.clone(),
                received: story.started,
                deadline: story.started + budget,
                priority: parameters.priority,
            },
            model,
            inputs,
            outputs,
        };
        story.decode = story.started.elapsed();
        let reply = self.serve.serve(call).await?;
        let timing = reply.timing;
        Ok((response::encode(reply, id, typed_answer), timing))
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
        let mut story = Story {
            metrics: &self.metrics,
            request_id: request_id::of(
                request
                    .metadata()
                    .get(request_id::HEADER)
                    .map(tonic::metadata::MetadataValue::as_bytes),
            ),
            model: ModelRef {
                name: request.get_ref().model_name.clone(),
                version: Some(request.get_ref().model_version.clone())
                    .filter(|version| !version.is_empty()),
            },
            started: Instant::now(),
            decode: Duration::ZERO,
            told: false,
        };
        let _in_flight = self
            .metrics
            .model(&story.model.name, story.model.version.as_deref())
            .enter();
        let outcome = self.infer(request, &mut story).await;
        story.tell(
            outcome
                .as_ref()
                .map(|(response, timing)| (response.model_version.as_str(), *timing)),
        );
        let mut answer = match outcome {
            Ok((response, _)) => Ok(Response::new(response)),
            Err(fault) => Err(response::status(&fault)),
        };
        let metadata = match &mut answer {
            Ok(response) => response.metadata_mut(),
            Err(status) => status.metadata_mut(),
        };
        if let Ok(value) = story.request_id.parse() {
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
