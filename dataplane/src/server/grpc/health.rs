//! `grpc.health.v1.Health` by its specification: `Check` of an unknown service is
//! `NOT_FOUND`, `Watch` of one answers `SERVICE_UNKNOWN` and stays open.

use std::pin::Pin;

use futures_util::{Stream, StreamExt, stream};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::runtime::lifecycle::{Lifecycle, Phase};

/// The known names: the pod (which the kubelet's probes request), the inference service,
/// and the process.
const READINESS: [&str; 2] = ["", "inference.GRPCInferenceService"];
const LIVENESS: &str = "liveness";

pub(super) fn server(lifecycle: Lifecycle) -> HealthServer<impl Health> {
    HealthServer::new(PodHealth { lifecycle })
}

struct PodHealth {
    lifecycle: Lifecycle,
}

fn status_of(service: &str, phase: Phase) -> ServingStatus {
    match service {
        LIVENESS => ServingStatus::Serving,
        _ if !READINESS.contains(&service) => ServingStatus::ServiceUnknown,
        _ if phase == Phase::Ready => ServingStatus::Serving,
        _ => ServingStatus::NotServing,
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

#[tonic::async_trait]
impl Health for PodHealth {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        match status_of(&service, self.lifecycle.phase()) {
            ServingStatus::ServiceUnknown => Err(Status::not_found(format!(
                "service '{service}' is unknown: ask for '', 'inference.GRPCInferenceService' or 'liveness'"
            ))),
            status => Ok(Response::new(answer(status))),
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let service = request.into_inner().service;
        let phases = self.lifecycle.subscribe();
        let changes = stream::unfold((phases, None), move |(mut phases, last)| {
            let service = service.clone();
            async move {
                loop {
                    let phase = *phases.borrow_and_update();
                    let status = status_of(&service, phase);
                    if last != Some(status) {
                        return Some((Ok(answer(status)), (phases, Some(status))));
                    }
                    // A watcher must not delay the end of the process.
                    if phase >= Phase::Draining {
                        return None;
                    }
                    phases.changed().await.ok()?;
                }
            }
        });
        Ok(Response::new(changes.boxed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_follows_the_phase_and_liveness_does_not() {
        for service in READINESS {
            assert_eq!(status_of(service, Phase::Ready), ServingStatus::Serving);
            assert_eq!(
                status_of(service, Phase::Draining),
                ServingStatus::NotServing
            );
        }
        assert_eq!(status_of(LIVENESS, Phase::Loading), ServingStatus::Serving);
        assert_eq!(status_of("x", Phase::Ready), ServingStatus::ServiceUnknown);
    }

    #[tokio::test]
    async fn a_watch_tells_each_change_once_and_ends_with_the_process() {
        let lifecycle = Lifecycle::new();
        let mut known = watch(&lifecycle, "").await;
        let mut next = async || known.next().await.map(|answer| answer.unwrap().status());
        assert_eq!(next().await, Some(ServingStatus::NotServing));
        lifecycle.advance(Phase::Loading);
        lifecycle.advance(Phase::Ready);
        assert_eq!(next().await, Some(ServingStatus::Serving));
        lifecycle.advance(Phase::Draining);
        assert_eq!(next().await, Some(ServingStatus::NotServing));
        assert_eq!(next().await, None);
    }

    #[tokio::test]
    async fn a_watch_of_an_unknown_service_says_so_and_stays_open() {
        let lifecycle = Lifecycle::new();
        let mut unknown = watch(&lifecycle, "x").await;
        let first = unknown.next().await.unwrap().unwrap();
        assert_eq!(first.status(), ServingStatus::ServiceUnknown);
        lifecycle.advance(Phase::Ready);
        assert!(futures_util::poll!(unknown.next()).is_pending());
    }

    async fn watch(lifecycle: &Lifecycle, service: &str) -> <PodHealth as Health>::WatchStream {
        let health = PodHealth {
            lifecycle: lifecycle.clone(),
        };
        let request = Request::new(HealthCheckRequest {
            service: service.into(),
        });
        health.watch(request).await.unwrap().into_inner()
    }
}
