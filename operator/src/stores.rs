//! The stores of the watches: one for each kind of object.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use k8s_openapi::api::core::v1::Pod;
use kube::core::{DeserializeGuard, ObjectMeta};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{Lookup, ObjectRef, Store, store};
use kube::{Resource, ResourceExt};
use serin_crds::InferenceService;
use serin_crds::labels::{REVISION, SERVICE};

use crate::child_kind::{ChildKind, ChildObject, ChildType};
use crate::expectations::Seen;
use crate::observed::Observed;

/// A service, or the metadata of one that cannot be decoded: one bad object must not stop the
/// others.
pub type Guarded = DeserializeGuard<InferenceService>;

/// The reading ends of the stores.
#[derive(Clone)]
pub struct Stores {
    /// The services themselves.
    pub inference_services: Store<Guarded>,
    /// Our pods.
    pub pods: Store<Pod>,
    /// Our children.
    children: BTreeMap<ChildKind, Arc<dyn ChildStore>>,
}

/// The writing ends of the stores of services and pods.
pub struct Writers {
    /// The services themselves.
    pub inference_services: Writer<Guarded>,
    /// Our pods.
    pub pods: Writer<Pod>,
}

/// Empty stores, without those of children.
pub fn stores() -> (Stores, Writers) {
    let (inference_services, services_writer) = store();
    let (pods, pods_writer) = store();
    let stores = Stores {
        inference_services,
        pods,
        children: BTreeMap::new(),
    };
    let writers = Writers {
        inference_services: services_writer,
        pods: pods_writer,
    };
    (stores, writers)
}

impl Stores {
    /// Adds the store of a kind of children; returns its writing end.
    pub fn add<K: ChildType>(&mut self) -> Writer<K> {
        let (reader, writer) = store::<K>();
        self.children.insert(K::CHILD_KIND, Arc::new(reader));
        writer
    }

    /// Waits until every watch has completed its first list: before that, existing objects would seem
    /// to be missing.
    pub async fn ready(&self) {
        // An error means that the watches have ended, and the process with them.
        let _ = tokio::join!(
            self.inference_services.wait_until_ready(),
            self.pods.wait_until_ready(),
            join_all(self.children.values().map(|store| store.ready())),
        );
    }

    /// The observed state of a service, without the reports of its pods.
    pub fn observed(&self, service: &ObjectMeta) -> Observed {
        let mut observed = Observed::of(service.name.as_deref().unwrap_or_default());
        for store in self.children.values() {
            for child in store.owned(service) {
                observed.insert(child);
            }
        }
        let pods = self.pods.state_filter(|pod| {
            belongs(pod.meta(), service) && pod.metadata.deletion_timestamp.is_none()
        });
        for pod in pods {
            if let Some(revision) = pod.labels().get(REVISION).cloned() {
                observed.pods.entry(revision).or_default().push(pod);
            }
        }
        for pods in observed.pods.values_mut() {
            pods.sort_by_key(|pod| pod.metadata.name.clone());
        }
        observed
    }

    /// The part of the stores that concerns one service.
    pub fn view<'a>(&'a self, service: &'a ObjectMeta) -> ServiceView<'a> {
        ServiceView {
            stores: self,
            service,
        }
    }
}

/// Whether the service of this uid controls the object.
pub fn is_owned(object: &ObjectMeta, uid: Option<&str>) -> bool {
    object
        .owner_references
        .iter()
        .flatten()
        .any(|owner| owner.controller == Some(true) && Some(owner.uid.as_str()) == uid)
}

fn belongs(object: &ObjectMeta, service: &ObjectMeta) -> bool {
    object.namespace == service.namespace
        && object
            .labels
            .as_ref()
            .and_then(|labels| labels.get(SERVICE))
            == service.name.as_ref()
}

/// The part of the stores that concerns one service.
pub struct ServiceView<'a> {
    stores: &'a Stores,
    service: &'a ObjectMeta,
}

impl Seen for ServiceView<'_> {
    fn child(&self, kind: ChildKind, name: &str) -> Option<(String, String)> {
        let namespace = self.service.namespace.as_deref()?;
        self.stores.children.get(&kind)?.identity(namespace, name)
    }

    fn service(&self) -> Option<String> {
        let namespace = self.service.namespace.as_deref()?;
        let name = self.service.name.as_deref()?;
        identity(&self.stores.inference_services, namespace, name).map(|(_, version)| version)
    }
}

/// The store of one kind of children.
trait ChildStore: Send + Sync {
    fn ready(&self) -> BoxFuture<'_, ()>;
    /// The objects that `service` controls.
    fn owned(&self, service: &ObjectMeta) -> Vec<ChildObject>;
    /// The uid and resource version of an object.
    fn identity(&self, namespace: &str, name: &str) -> Option<(String, String)>;
}

impl<K: ChildType> ChildStore for Store<K> {
    fn ready(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            // An error means that the watch has ended, and the process with it.
            let _ = self.wait_until_ready().await;
        })
    }

    fn owned(&self, service: &ObjectMeta) -> Vec<ChildObject> {
        self.state_filter(|object| {
            let meta = Resource::meta(object);
            belongs(meta, service) && is_owned(meta, service.uid.as_deref())
        })
        .into_iter()
        .map(ChildObject::new)
        .collect()
    }

    fn identity(&self, namespace: &str, name: &str) -> Option<(String, String)> {
        identity(self, namespace, name)
    }
}

fn identity<K>(store: &Store<K>, namespace: &str, name: &str) -> Option<(String, String)>
where
    K: Resource<DynamicType = ()> + Lookup<DynamicType = ()> + Clone + 'static,
{
    let object = store.get(&ObjectRef::new(name).within(namespace))?;
    let meta = object.meta();
    Some((meta.uid.clone()?, meta.resource_version.clone()?))
}
