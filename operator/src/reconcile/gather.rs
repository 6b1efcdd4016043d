//! Reads the observed state of a service: from the watches, from the last reports of pods, and, in
//! doubt, from the API server.

use std::sync::PoisonError;
use std::time::Duration;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serin_crds::InferenceService;
use tokio::time::Instant;

use crate::child_kind::ChildKind;
use crate::deadline::{Call, with_deadline};
use crate::error::Error;
use crate::observe::{autoscaling, pods};
use crate::observed::{MetricsApi, Observed, SourceState};
use crate::reader::read;
use crate::reconcile::context::Context;
use crate::stores::is_owned;
use crate::validated::Source;

/// Lifetime of a cached answer about `metrics.k8s.io`.
const METRICS_API_TTL: Duration = Duration::from_secs(15);

/// The observed state of `service`.
///
/// # Errors
/// A call to the API server failed.
pub async fn gather(service: &InferenceService, context: &Context) -> Result<Observed, Error> {
    let mut observed = context.stores.observed(&service.metadata);
    recheck_stable(service, &mut observed, context).await?;
    observed.source = source_state(service, &observed, context).await?;
    observed.metrics_api = metrics_api(service, &observed, context).await;
    observed.reports = context.reports.of(observed.pods.values().flatten());
    Ok(observed)
}

/// Reads missing objects of the stable revision from the API server: a watch may lag, and a lost
/// label hides an object from it.
async fn recheck_stable(
    service: &InferenceService,
    observed: &mut Observed,
    context: &Context,
) -> Result<(), Error> {
    let recorded = service
        .status
        .as_ref()
        .and_then(|status| status.stable_revision.clone());
    let Some(stable) = recorded else {
        return Ok(());
    };
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    for kind in [ChildKind::ConfigMap, ChildKind::Deployment] {
        if observed.metadata(kind, &stable).is_some() {
            continue;
        }
        let found = read(&context.shared.client, namespace, kind, &stable).await?;
        let ours = found.filter(|object| {
            is_owned(object.metadata(), service.metadata.uid.as_deref())
                && object.metadata().deletion_timestamp.is_none()
        });
        if let Some(object) = ours {
            observed.insert(object);
        }
    }
    Ok(())
}

/// Whether the ConfigMap that holds the model is there, where a pod waits for it.
async fn source_state(
    service: &InferenceService,
    observed: &Observed,
    context: &Context,
) -> Result<SourceState, Error> {
    let Ok(Source::ConfigMap { name, key }) = Source::parse(&service.spec.model.source.uri) else {
        return Ok(SourceState::NotAsked);
    };
    let mut pods = observed.pods.values().flatten();
    if !pods.any(|pod| pods::waits_for_creation(pod)) {
        return Ok(SourceState::NotAsked);
    }
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<ConfigMap> = Api::namespaced(context.shared.client.clone(), namespace);
    let call = Call {
        verb: "get",
        kind: "ConfigMap",
        name: &name,
    };
    let Some(found) = with_deadline(call, api.get_opt(&name)).await? else {
        return Ok(SourceState::NoConfigMap);
    };
    // A pod waits for a key that it names, not for what a folder should hold.
    let Some(key) = key else {
        return Ok(SourceState::Present);
    };
    let has_key = found.data.is_some_and(|data| data.contains_key(&key))
        || found
            .binary_data
            .is_some_and(|data| data.contains_key(&key));
    Ok(if has_key {
        SourceState::Present
    } else {
        SourceState::NoKey
    })
}

/// Whether the cluster measures pods, where an autoscaler says that it has no metrics.
async fn metrics_api(
    service: &InferenceService,
    observed: &Observed,
    context: &Context,
) -> MetricsApi {
    let mut autoscalers = observed.all::<HorizontalPodAutoscaler>();
    let in_doubt = service.spec.autoscaling.is_some() && !autoscalers.any(autoscaling::is_active);
    if !in_doubt {
        return MetricsApi::NotAsked;
    }
    let cache = &context.shared.metrics_api;
    let known = cache.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some((answer, asked)) = known
        && asked.elapsed() < METRICS_API_TTL
    {
        return answer;
    }
    let call = Call {
        verb: "get",
        kind: "APIGroup",
        name: "metrics.k8s.io",
    };
    let client = &context.shared.client;
    let answer = match with_deadline(
        call,
        client.list_api_group_resources("metrics.k8s.io/v1beta1"),
    )
    .await
    {
        Ok(_) => MetricsApi::Served,
        Err(error) if error.is_not_found() => MetricsApi::Absent,
        Err(_) => MetricsApi::Failing,
    };
    *cache.lock().unwrap_or_else(PoisonError::into_inner) = Some((answer.clone(), Instant::now()));
    answer
}
