//! The observed state of one service: its children and pods, as one pass saw them.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serin_crds::contract::status_report::StatusReport;
use serin_crds::labels::REVISION;
use serin_crds::revision::is_revision_name;

use crate::child_kind::{ChildKind, ChildObject, ChildType};

/// The observed state of a service.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    service: String,
    children: BTreeMap<(ChildKind, String), ChildObject>,
    /// Pods that are not being deleted, by revision; those of a revision by name.
    pub pods: BTreeMap<String, Vec<Arc<Pod>>>,
    /// The last reports of pods that run and are not ready, by the pod's name.
    pub reports: BTreeMap<String, Arc<StatusReport>>,
    /// Whether the cluster measures pods; asked only where an autoscaler gets no metrics.
    pub metrics_api: MetricsApi,
    /// Whether the declared model's ConfigMap is there; asked only where a pod waits for it.
    pub source: SourceState,
}

/// The observed state of one revision.
#[derive(Clone, Debug, Default)]
pub struct ObservedRevision {
    /// Configuration and snapshot.
    pub config: Option<Arc<ConfigMap>>,
    /// Its pods' Deployment.
    pub deployment: Option<Arc<Deployment>>,
    /// Its autoscaler.
    pub autoscaler: Option<Arc<HorizontalPodAutoscaler>>,
    /// Its pods that are not being deleted, by name.
    pub pods: Vec<Arc<Pod>>,
    /// The last reports of its pods that run and are not ready, by the pod's name.
    pub reports: BTreeMap<String, Arc<StatusReport>>,
}

/// Whether `metrics.k8s.io` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MetricsApi {
    /// Not needed in this pass.
    #[default]
    NotAsked,
    /// It answers.
    Served,
    /// The cluster does not have it.
    Absent,
    /// It is registered and does not answer.
    Failing,
}

/// Whether the ConfigMap that holds the model is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceState {
    /// Not needed in this pass.
    #[default]
    NotAsked,
    /// It is there and has the key.
    Present,
    /// There is no such ConfigMap.
    NoConfigMap,
    /// The ConfigMap lacks the key.
    NoKey,
}

impl Observed {
    /// No objects, for the service of this name.
    pub fn of(service: &str) -> Self {
        Self {
            service: service.to_owned(),
            ..Self::default()
        }
    }

    /// Adds an object, or replaces the one of the same kind and name.
    pub fn insert(&mut self, child: ChildObject) {
        let name = child.metadata().name.clone().unwrap_or_default();
        self.children.insert((child.kind(), name), child);
    }

    /// A child with its type.
    pub fn child<K: ChildType>(&self, name: &str) -> Option<Arc<K>> {
        self.get(K::CHILD_KIND, name)?.shared()
    }

    /// Every child of a type.
    pub fn all<K: ChildType>(&self) -> impl Iterator<Item = &K> {
        self.children.values().filter_map(ChildObject::typed)
    }

    /// A child's metadata.
    pub fn metadata(&self, kind: ChildKind, name: &str) -> Option<&ObjectMeta> {
        self.get(kind, name).map(ChildObject::metadata)
    }

    /// Every child, in the order of deleting.
    pub fn in_order_of_deleting(&self) -> impl Iterator<Item = &ChildObject> {
        self.children.values().rev()
    }

    /// The revision that a child belongs to: a child of a revision has its name.
    pub fn revision_of<'a>(&self, child: &'a ChildObject) -> Option<&'a str> {
        let name = child.metadata().name.as_deref()?;
        is_revision_name(&self.service, name).then_some(name)
    }

    /// The names of the revisions that have any child; pods that outlive it do not count.
    pub fn revisions(&self) -> Vec<String> {
        let names = self.children.values();
        let mut names: Vec<String> = names
            .filter_map(|child| self.revision_of(child).map(str::to_owned))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The observed state of `revision`; empty where it has no objects.
    pub fn revision(&self, revision: &str) -> ObservedRevision {
        let pods = self.pods.get(revision).cloned().unwrap_or_default();
        let reports = pods
            .iter()
            .filter_map(|pod| pod.metadata.name.as_ref())
            .filter_map(|pod| Some((pod.clone(), Arc::clone(self.reports.get(pod)?))))
            .collect();
        ObservedRevision {
            config: self.child(revision),
            deployment: self.child(revision),
            autoscaler: self.child(revision),
            pods,
            reports,
        }
    }

    /// The revision that the Service selects.
    pub fn selected(&self) -> Option<&str> {
        let service: &Service = self.get(ChildKind::Service, &self.service)?.typed()?;
        let selector = service.spec.as_ref()?.selector.as_ref()?;
        selector.get(REVISION).map(String::as_str)
    }

    /// A child, whatever its type.
    pub fn get(&self, kind: ChildKind, name: &str) -> Option<&ChildObject> {
        self.children.get(&(kind, name.to_owned()))
    }
}

impl ObservedRevision {
    /// Whether the revision has any object of its own; pods that outlive it do not count.
    pub fn exists(&self) -> bool {
        self.config.is_some() || self.deployment.is_some() || self.autoscaler.is_some()
    }

    /// Pods that the Deployment wants.
    pub fn wanted(&self) -> Option<i32> {
        // The API server writes a missing value as 1.
        self.deployment
            .as_ref()
            .map(|deployment| deployment.spec.replicas.unwrap_or(1))
    }

    /// Pods that answer.
    pub fn available(&self) -> i32 {
        self.status()
            .and_then(|status| status.available_replicas)
            .unwrap_or(0)
    }

    /// Pods that are ready, whatever their template.
    pub fn ready(&self) -> i32 {
        self.status()
            .and_then(|status| status.ready_replicas)
            .unwrap_or(0)
    }

    /// Pods that exist, whatever their template.
    pub fn existing(&self) -> i32 {
        self.status()
            .and_then(|status| status.replicas)
            .unwrap_or(0)
    }

    /// Pods of the Deployment's present template.
    pub fn updated(&self) -> i32 {
        self.status()
            .and_then(|status| status.updated_replicas)
            .unwrap_or(0)
    }

    /// Whether the Deployment's status speaks of its present spec.
    pub fn is_observed(&self) -> bool {
        self.deployment.as_ref().is_some_and(|deployment| {
            let observed = deployment
                .status
                .as_ref()
                .and_then(|status| status.observed_generation);
            observed >= deployment.metadata.generation
        })
    }

    /// Whether every pod that is wanted, and at least one, answers.
    pub fn is_complete(&self) -> bool {
        self.is_observed()
            && self.wanted().is_some_and(|wanted| {
                wanted > 0
                    && self.available() >= wanted
                    && self.updated() >= wanted
                    && self.existing() == self.updated()
            })
    }

    fn status(&self) -> Option<&DeploymentStatus> {
        self.deployment.as_ref()?.status.as_ref()
    }
}

/// Whether a Deployment's `spec.replicas` is owned by somebody beside the main field manager.
/// If it is not, an apply without the field would reset it to 1.
pub fn replicas_are_owned(deployment: &Deployment, main_manager: &str) -> bool {
    deployment
        .metadata
        .managed_fields
        .iter()
        .flatten()
        .any(|entry| {
            entry.manager.as_deref() != Some(main_manager)
                && entry
                    .fields_v1
                    .as_ref()
                    .is_some_and(|fields| !fields.0["f:spec"]["f:replicas"].is_null())
        })
}
