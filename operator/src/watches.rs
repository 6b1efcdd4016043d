//! What the operator watches, and which service each change concerns. The only file that uses
//! kube's unstable stream API.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{BoxStream, poll_fn};
use futures_util::{StreamExt, TryStreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::controller::{Config, Controller, Error as ControllerError};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::store::Writer;
use kube::runtime::{WatchStreamExt, predicates, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serin_crds::labels::{MANAGED_BY, MANAGER, SERVICE};
use serin_crds::ports;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::child_kind::{ChildKind, ChildType, KindVisitor};
use crate::exchange::client::PodClient;
use crate::exchange::poll::poll;
use crate::expectations::Expectations;
use crate::reconcile::context::{Context, Shared};
use crate::reconcile::{on_error, reconcile};
use crate::stores::{Guarded, Stores, stores};

/// Passes at a time, over all watched namespaces.
pub const CONCURRENCY: u16 = 8;

/// Changes within this time lead to one pass.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Objects per page of a first list: bounds the memory that decoding takes.
const PAGE_SIZE: u32 = 100;

/// Maximum number of services whose reports changed and that wait to be queued. Polling pods waits
/// where there are more.
const WAKES: usize = 64;

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
    let (mut stores, writers) = stores();
    let forgetful = shared.clone();
    let service_events = watcher(api::<Guarded>(&client, namespace), page())
        .default_backoff()
        .modify(|service| service.managed_fields_mut().clear())
        .inspect_ok(move |event| {
            if let watcher::Event::Delete(service) = event {
                forgetful.forget(service.meta());
            }
        })
        .reflect(writers.inference_services)
        .applied_objects()
        .predicate_filter(
            predicates::generation,
            kube::runtime::PredicateConfig::default(),
        );
    let watched = Watched {
        client: &client,
        namespace,
        expectations: &shared.expectations,
    };
    let (wake, mut woken) = mpsc::channel(WAKES);
    let config = Config::default()
        .concurrency(CONCURRENCY)
        .debounce(DEBOUNCE);
    let mut controller = Controller::for_stream(service_events, stores.inference_services.clone())
        .with_config(config)
        // By label, not by owner: pods belong to ReplicaSets, and an object that lost its owner
        // is drift too.
        .watches_stream(watched.objects(None, writers.pods, slim_pod), of_service)
        .reconcile_on(poll_fn(move |context| woken.poll_recv(context)));
    for kind in ChildKind::ALL {
        controller = kind.visit(WatchChildren {
            controller,
            stores: &mut stores,
            watched: &watched,
        });
    }
    let context = Arc::new(Context {
        shared: shared.clone(),
        stores,
        reports: Arc::default(),
    });
    // Aborted when this function ends.
    let mut exchange = JoinSet::new();
    exchange.spawn(poll(
        context.stores.pods.clone(),
        PodClient::new(ports::ADMIN),
        Arc::clone(&context.reports),
        wake,
    ));
    controller
        .graceful_shutdown_on(async move {
            // An error means that the sender is gone, and the process with it.
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .run(reconcile, on_error, context)
        .for_each(move |outcome| {
            if let Err(ControllerError::QueueError(error)) = outcome {
                shared.metrics.watch_broke();
                tracing::warn!(%error, "a watch broke and is begun again");
            }
            std::future::ready(())
        })
        .await;
}

/// Adds the objects of one kind of children to what a controller watches.
struct WatchChildren<'a> {
    controller: Controller<Guarded>,
    stores: &'a mut Stores,
    watched: &'a Watched<'a>,
}

impl KindVisitor for WatchChildren<'_> {
    type Output = Controller<Guarded>;

    fn visit<K: ChildType>(self) -> Self::Output {
        let writer = self.stores.add::<K>();
        let events = self
            .watched
            .objects(Some(K::CHILD_KIND), writer, slim_child::<K>);
        self.controller.watches_stream(events, of_service)
    }
}

/// What the watches of one scope share.
struct Watched<'a> {
    client: &'a Client,
    namespace: Option<&'a str>,
    expectations: &'a Arc<Expectations>,
}

impl Watched<'_> {
    /// The events of the objects that carry Serin's label, reflected into a store. `kind` where the
    /// operator writes such objects.
    fn objects<K>(
        &self,
        kind: Option<ChildKind>,
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
        let expectations = Arc::clone(self.expectations);
        watcher(api::<K>(self.client, self.namespace), ours)
            .default_backoff()
            .modify(move |object| {
                slim(object);
                keep_owners_of_replicas(object.managed_fields_mut());
            })
            .reflect(writer)
            .inspect_ok(move |event| {
                if let Some(kind) = kind {
                    tell(&expectations, kind, event);
                }
            })
            .touched_objects()
            // Not by generation: deletions and changes of a status would be hidden.
            .predicate_filter(
                predicates::resource_version,
                kube::runtime::PredicateConfig::default(),
            )
            .boxed()
    }
}

/// Fulfils the expectations that an event shows.
fn tell<K: Resource>(expectations: &Expectations, kind: ChildKind, event: &watcher::Event<K>) {
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
        expectations.observe(&owner.uid, kind, &name, &version);
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

/// Drops all managed fields but those of `spec.replicas`, which alone are read: they are most of an
/// object's size.
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

fn slim_child<K: ChildType>(child: &mut K) {
    child
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
