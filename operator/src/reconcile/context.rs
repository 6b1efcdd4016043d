//! What every pass shares.

use std::sync::{Arc, Mutex};

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::Resource;
use kube::core::ObjectMeta;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::{Lookup, ObjectRef, Store};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::barrier::{Barrier, Seen};
use crate::child::Kind;
use crate::desired::blueprint::Pinned;
use crate::live::MetricsApi;
use crate::metrics::Metrics;
use crate::watches::Stores;
use crate::writer::Writer;

/// What the passes over one set of watched namespaces share.
pub struct Context {
    /// What all passes of the process share.
    pub shared: Shared,
    /// What the watches have seen.
    pub stores: Stores,
}

/// What all passes of the process share.
#[derive(Clone)]
pub struct Shared {
    /// Asks the API server.
    pub client: Client,
    /// Writes to it.
    pub writer: Writer,
    /// The operator's flags that make pods.
    pub pinned: Pinned,
    /// When to try again.
    pub backoff: Arc<Backoff>,
    /// Our own writes that do not show yet.
    pub barrier: Arc<Barrier>,
    /// What is measured.
    pub metrics: Metrics,
    /// Publishes events.
    pub recorder: Recorder,
    /// Bounds the passes that run at a time.
    pub slots: Arc<Semaphore>,
    /// Whether `metrics.k8s.io` answered, and when it was asked.
    pub metrics_api: Arc<Mutex<Option<(MetricsApi, Instant)>>>,
    /// The time.
    pub clock: fn() -> Timestamp,
}

impl Shared {
    /// Forgets what is remembered of a service that is gone.
    pub fn forget(&self, service: &ObjectMeta) {
        if let Some(uid) = &service.uid {
            self.backoff.forget(uid);
            self.barrier.forget(uid);
        }
    }
}

impl Stores {
    /// Waits until every watch has listed what there is: before that, what exists would look
    /// as if it did not.
    pub async fn ready(&self) {
        // An error means that the watches have ended, and the process with them.
        let _ = tokio::join!(
            self.services.wait_until_ready(),
            self.config_maps.wait_until_ready(),
            self.deployments.wait_until_ready(),
            self.addresses.wait_until_ready(),
            self.autoscalers.wait_until_ready(),
            self.pods.wait_until_ready(),
        );
    }

    /// What is seen of one service.
    pub fn of<'a>(&'a self, service: &'a ObjectMeta) -> ServiceView<'a> {
        ServiceView {
            stores: self,
            service,
        }
    }
}

/// What the stores show of one service.
pub struct ServiceView<'a> {
    stores: &'a Stores,
    service: &'a ObjectMeta,
}

impl Seen for ServiceView<'_> {
    fn child(&self, kind: Kind, name: &str) -> Option<(String, String)> {
        let namespace = self.service.namespace.as_deref()?;
        match kind {
            Kind::ConfigMap => identity(&self.stores.config_maps, namespace, name),
            Kind::Deployment => identity(&self.stores.deployments, namespace, name),
            Kind::Service => identity(&self.stores.addresses, namespace, name),
            Kind::HorizontalPodAutoscaler => identity(&self.stores.autoscalers, namespace, name),
        }
    }

    fn service(&self) -> Option<String> {
        let namespace = self.service.namespace.as_deref()?;
        let name = self.service.name.as_deref()?;
        identity(&self.stores.services, namespace, name).map(|(_, version)| version)
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
