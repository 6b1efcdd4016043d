//! Reads what there is of a service: from the watches, and, where that leaves a doubt, from the
//! API server and the pods.

use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::future::join_all;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::core::ObjectMeta;
use kube::runtime::reflector::Store;
use kube::{Api, Resource, ResourceExt};
use serin_crds::InferenceService;
use serin_crds::labels::{REVISION, SERVICE};
use tokio::time::Instant;

use crate::call::{Question, ask};
use crate::child::Kind;
use crate::error::Error;
use crate::live::{Live, LiveRevision, MetricsApi, SourceState};
use crate::observe::{autoscaling, pods};
use crate::reconcile::context::Context;
use crate::statusz;
use crate::validated::Source;
use crate::writer::children;

/// Pods that are asked for their own account in one pass.
const MAX_ASKED: usize = 3;

/// How long an answer about `metrics.k8s.io` is believed.
const METRICS_API_TTL: Duration = Duration::from_secs(15);

/// Everything there is of `service`.
///
/// # Errors
/// Where the API server is asked and does not answer.
pub async fn gather(service: &InferenceService, context: &Context) -> Result<Live, Error> {
    let mut live = watched(&service.metadata, context);
    recheck_stable(service, &mut live, context).await?;
    live.source = source_state(service, &live, context).await?;
    live.metrics_api = metrics_api(service, &live, context).await;
    for revision in live.revisions.values_mut() {
        ask_pods(revision).await;
    }
    Ok(live)
}

/// Whether the service of this uid controls the object.
pub fn is_owned(object: &ObjectMeta, uid: Option<&str>) -> bool {
    object
        .owner_references
        .iter()
        .flatten()
        .any(|owner| owner.controller == Some(true) && Some(owner.uid.as_str()) == uid)
}

/// What the watches have seen of a service of which perhaps only the metadata can be read.
pub fn watched(service: &ObjectMeta, context: &Context) -> Live {
    let stores = &context.stores;
    let mut live = Live {
        service: owned(&stores.addresses, service)
            .into_iter()
            .find(|address| address.metadata.name == service.name),
        ..Live::default()
    };
    for config in owned(&stores.config_maps, service) {
        let name = config.name_any();
        live.of(&name).config = Some(config);
    }
    for deployment in owned(&stores.deployments, service) {
        let name = deployment.name_any();
        live.of(&name).deployment = Some(deployment);
    }
    for autoscaler in owned(&stores.autoscalers, service) {
        let name = autoscaler.name_any();
        live.of(&name).autoscaler = Some(autoscaler);
    }
    let pods = stores.pods.state_filter(|pod| {
        belongs(pod.meta(), service) && pod.metadata.deletion_timestamp.is_none()
    });
    for pod in pods {
        if let Some(revision) = pod.labels().get(REVISION).cloned() {
            live.of(&revision).pods.push(pod);
        }
    }
    for revision in live.revisions.values_mut() {
        revision.pods.sort_by_key(|pod| pod.metadata.name.clone());
    }
    live
}

fn owned<K>(store: &Store<K>, service: &ObjectMeta) -> Vec<std::sync::Arc<K>>
where
    K: Resource<DynamicType = ()>
        + kube::runtime::reflector::Lookup<DynamicType = ()>
        + Clone
        + 'static,
{
    store.state_filter(|object| {
        belongs(object.meta(), service) && is_owned(object.meta(), service.uid.as_deref())
    })
}

fn belongs(object: &ObjectMeta, service: &ObjectMeta) -> bool {
    object.namespace == service.namespace
        && object
            .labels
            .as_ref()
            .and_then(|labels| labels.get(SERVICE))
            == service.name.as_ref()
}

/// Looks at the API server before it is believed that nothing is left of the revision that
/// answers callers: a watch may lag, and a lost label hides an object from it.
async fn recheck_stable(
    service: &InferenceService,
    live: &mut Live,
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
    for kind in [Kind::ConfigMap, Kind::Deployment] {
        if live.meta(kind, &stable).is_some() {
            continue;
        }
        let question = Question {
            verb: "get",
            kind: kind.as_str(),
            name: &stable,
        };
        let api = children(&context.shared.client, namespace, kind);
        let found = ask(question, api.get_opt(&stable)).await?;
        let ours = found.filter(|object| {
            is_owned(&object.metadata, service.metadata.uid.as_deref())
                && object.metadata.deletion_timestamp.is_none()
        });
        if let Some(object) = ours {
            let unreadable = |source| Error::Unreadable {
                kind,
                name: stable.clone(),
                source,
            };
            let object = serde_json::to_value(object).map_err(unreadable)?;
            live.record(kind, &stable, object).map_err(unreadable)?;
        }
    }
    Ok(())
}

/// Whether the ConfigMap that holds the model is there, where a pod waits for it.
async fn source_state(
    service: &InferenceService,
    live: &Live,
    context: &Context,
) -> Result<SourceState, Error> {
    let Ok(Source::ConfigMap { name, key }) = Source::parse(&service.spec.model.source.uri) else {
        return Ok(SourceState::NotAsked);
    };
    let mut pods = live.revisions.values().flat_map(|revision| &revision.pods);
    if !pods.any(|pod| pods::waits_for_creation(pod)) {
        return Ok(SourceState::NotAsked);
    }
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<ConfigMap> = Api::namespaced(context.shared.client.clone(), namespace);
    let question = Question {
        verb: "get",
        kind: "ConfigMap",
        name: &name,
    };
    let Some(found) = ask(question, api.get_opt(&name)).await? else {
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
async fn metrics_api(service: &InferenceService, live: &Live, context: &Context) -> MetricsApi {
    let mut autoscalers = live
        .revisions
        .values()
        .filter_map(|revision| revision.autoscaler.as_ref());
    let in_doubt = service.spec.autoscaling.is_some()
        && !autoscalers.any(|autoscaler| autoscaling::is_active(autoscaler));
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
    let question = Question {
        verb: "get",
        kind: "APIGroup",
        name: "metrics.k8s.io",
    };
    let client = &context.shared.client;
    let answer = match ask(
        question,
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

/// Asks pods that run and are not ready what they are doing.
async fn ask_pods(revision: &mut LiveRevision) {
    if revision.is_complete() {
        return;
    }
    let silent = revision
        .pods
        .iter()
        .filter_map(|pod| Some((pod.name_any(), address(pod)?)));
    let asked = silent
        .take(MAX_ASKED)
        .map(|(name, address)| async move { Some((name, statusz::ask(address).await?)) });
    revision.answers = join_all(asked).await.into_iter().flatten().collect();
}

/// The address of a pod whose data plane runs and is not ready.
fn address(pod: &Pod) -> Option<IpAddr> {
    let container = pods::container(pod)?;
    let runs = container.state.as_ref()?.running.is_some() && !pods::over::is_over(pod);
    if container.ready || !runs {
        return None;
    }
    pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
}
