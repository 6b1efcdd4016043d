//! What the operator watches, and which service each change concerns. The only file that uses
//! kube's unstable stream API.

use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Config, Controller, Error as ControllerError};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::{WatchStreamExt, predicates, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serin_crds::InferenceService;
use serin_crds::labels::{MANAGED_BY, MANAGER, SERVICE};
use std::time::Duration;
use tokio::sync::watch;

use crate::barrier::Barrier;
use crate::child::Kind;
use crate::reconcile::context::{Context, Shared};
use crate::reconcile::{on_error, reconcile};

/// Passes at a time, over all watched namespaces.
pub const CONCURRENCY: u16 = 8;

/// Changes that come within this time are answered by one pass.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Objects per page of a first list: bounds the memory that decoding takes.
const PAGE_SIZE: u32 = 100;

/// A stored service, or what is left of one that cannot be decoded: one bad object must not
/// stop the others.
pub type Guarded = DeserializeGuard<InferenceService>;

/// What the watches have seen.
#[derive(Clone)]
pub struct Stores {
    /// The services themselves.
    pub services: Store<Guarded>,
    /// Our ConfigMaps.
    pub config_maps: Store<ConfigMap>,
    /// Our Deployments.
    pub deployments: Store<Deployment>,
    /// Our Services.
    pub addresses: Store<Service>,
    /// Our autoscalers.
    pub autoscalers: Store<HorizontalPodAutoscaler>,
    /// Our pods.
    pub pods: Store<Pod>,
}

/// The writing ends of [`Stores`].
pub struct Writers {
    /// The services themselves.
    pub services: Writer<Guarded>,
    /// Our ConfigMaps.
    pub config_maps: Writer<ConfigMap>,
    /// Our Deployments.
    pub deployments: Writer<Deployment>,
    /// Our Services.
    pub addresses: Writer<Service>,
    /// Our autoscalers.
    pub autoscalers: Writer<HorizontalPodAutoscaler>,
    /// Our pods.
    pub pods: Writer<Pod>,
}

/// Empty stores.
pub fn stores() -> (Stores, Writers) {
    let (services, services_writer) = store();
    let (config_maps, config_maps_writer) = store();
    let (deployments, deployments_writer) = store();
    let (addresses, addresses_writer) = store();
    let (autoscalers, autoscalers_writer) = store();
    let (pods, pods_writer) = store();
    (
        Stores {
            services,
            config_maps,
            deployments,
            addresses,
            autoscalers,
            pods,
        },
        Writers {
            services: services_writer,
            config_maps: config_maps_writer,
            deployments: deployments_writer,
            addresses: addresses_writer,
            autoscalers: autoscalers_writer,
            pods: pods_writer,
        },
    )
}

/// Watches and reconciles until `stop` is set and every running pass has ended. Without
/// namespaces, all of them are watched; else nothing outside of them is asked for.
pub async fn run(shared: Shared, namespaces: &[String], stop: watch::Receiver<bool>) {
    if namespaces.is_empty() {
        return run_scope(shared, None, stop).await;
    }
    let scopes = namespaces
        .iter()
        .map(|namespace| run_scope(shared.clone(), Some(namespace), stop.clone()));
    join_all(scopes).await;
}

async fn run_scope(shared: Shared, namespace: Option<&str>, mut stop: watch::Receiver<bool>) {
    let client = shared.client.clone();
    let (stores, writers) = stores();
    let context = Arc::new(Context { shared, stores });
    let forgetful = Arc::clone(&context);
    let service_events = watcher(api::<Guarded>(&client, namespace), page())
        .default_backoff()
        .modify(|service| service.managed_fields_mut().clear())
        .inspect_ok(move |event| {
            if let watcher::Event::Delete(service) = event {
                forgetful.shared.forget(service.meta());
            }
        })
        .reflect(writers.services)
        .applied_objects()
        .predicate_filter(
            predicates::generation,
            kube::runtime::PredicateConfig::default(),
        );
    let seen = Watched {
        client: &client,
        namespace,
        barrier: &context.shared.barrier,
    };
    let pods = seen.children(None, writers.pods, slim_pod);
    let config_maps = seen.children(Some(Kind::ConfigMap), writers.config_maps, |_| ());
    let deployments = seen.children(Some(Kind::Deployment), writers.deployments, slim_deployment);
    let addresses = seen.children(Some(Kind::Service), writers.addresses, |_| ());
    let autoscalers = seen.children(
        Some(Kind::HorizontalPodAutoscaler),
        writers.autoscalers,
        |_| (),
    );
    let config = Config::default()
        .concurrency(CONCURRENCY)
        .debounce(DEBOUNCE);
    let report = Arc::clone(&context);
    Controller::for_stream(service_events, context.stores.services.clone())
        .with_config(config)
        // By label, not by owner: pods belong to ReplicaSets, and an object that lost its owner
        // is drift too.
        .watches_stream(pods, of_service)
        .watches_stream(config_maps, of_service)
        .watches_stream(deployments, of_service)
        .watches_stream(addresses, of_service)
        .watches_stream(autoscalers, of_service)
        .graceful_shutdown_on(async move {
            // An error means that nobody is left to ask for a stop.
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .run(reconcile, on_error, context)
        .for_each(move |outcome| {
            if let Err(ControllerError::QueueError(error)) = outcome {
                report.shared.metrics.watch_broke();
                tracing::warn!(%error, "a watch broke and is begun again");
            }
            std::future::ready(())
        })
        .await;
}

/// Where to watch, and whom to tell.
struct Watched<'a> {
    client: &'a Client,
    namespace: Option<&'a str>,
    barrier: &'a Arc<Barrier>,
}

impl Watched<'_> {
    /// Changes of the objects that carry our label, in a store. `kind` where we write them.
    fn children<K>(
        &self,
        kind: Option<Kind>,
        writer: Writer<K>,
        slim: impl Fn(&mut K) + Send + 'static,
    ) -> BoxStream<'static, Result<K, watcher::Error>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
    {
        let ours = page().labels(&format!("{MANAGED_BY}={MANAGER}"));
        let barrier = Arc::clone(self.barrier);
        watcher(api::<K>(self.client, self.namespace), ours)
            .default_backoff()
            .modify(move |object| {
                slim(object);
                keep_owners_of_replicas(object.managed_fields_mut());
            })
            .reflect(writer)
            .inspect_ok(move |event| {
                if let Some(kind) = kind {
                    tell(&barrier, kind, event);
                }
            })
            .touched_objects()
            // Not by generation: that would hide deletions, and every change of a status.
            .predicate_filter(
                predicates::resource_version,
                kube::runtime::PredicateConfig::default(),
            )
            .boxed()
    }
}

/// Tells what waits for our own writes that one of them, or its end, has shown.
fn tell<K: Resource>(barrier: &Barrier, kind: Kind, event: &watcher::Event<K>) {
    let (watcher::Event::Apply(object)
    | watcher::Event::InitApply(object)
    | watcher::Event::Delete(object)) = event
    else {
        return;
    };
    let owners = object.owner_references().iter();
    for owner in owners.filter(|owner| owner.controller == Some(true)) {
        let (name, version) = (
            object.name_any(),
            object.resource_version().unwrap_or_default(),
        );
        barrier.saw(&owner.uid, kind, &name, &version);
    }
}

fn page() -> watcher::Config {
    watcher::Config::default().page_size(PAGE_SIZE)
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "kube calls it with an owned argument"
)]
fn of_service<K: Resource>(object: K) -> Option<ObjectRef<Guarded>> {
    let service = object.labels().get(SERVICE)?;
    Some(ObjectRef::new(service).within(object.meta().namespace.as_deref()?))
}

/// Of the records of who owns which field, only those on `spec.replicas` are ever read; the
/// others are most of an object's size.
fn keep_owners_of_replicas(
    entries: &mut Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry>,
) {
    entries.retain_mut(|entry| {
        let Some(fields) = &mut entry.fields_v1 else {
            return false;
        };
        let owns = !fields.0["f:spec"]["f:replicas"].is_null();
        fields.0 = serde_json::json!({"f:spec": {"f:replicas": {}}});
        owns
    });
}

fn slim_deployment(deployment: &mut Deployment) {
    deployment
        .annotations_mut()
        .remove("kubectl.kubernetes.io/last-applied-configuration");
}

/// Keeps what [`crate::observe::pods`] reads.
fn slim_pod(pod: &mut Pod) {
    pod.spec = None;
    pod.annotations_mut().clear();
    if let Some(status) = &mut pod.status {
        status.init_container_statuses = None;
        status.ephemeral_container_statuses = None;
        status.pod_ips = None;
        status.host_ips = None;
    }
}
