//! What there is: one service's children, as one pass saw them.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;
use serin_crds::labels::REVISION;

use crate::child::Kind;

/// Everything one pass saw of a service.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// The Service.
    pub service: Option<Arc<Service>>,
    /// Objects by revision.
    pub revisions: BTreeMap<String, LiveRevision>,
    /// Whether the cluster measures pods; asked only where an autoscaler gets no metrics.
    pub metrics_api: MetricsApi,
    /// Whether the declared model's ConfigMap is there; asked only where a pod waits for it.
    pub source: SourceState,
}

/// What there is of one revision.
#[derive(Clone, Debug, Default)]
pub struct LiveRevision {
    /// Configuration and snapshot.
    pub config: Option<Arc<ConfigMap>>,
    /// Its pods' Deployment.
    pub deployment: Option<Arc<Deployment>>,
    /// Its autoscaler.
    pub autoscaler: Option<Arc<HorizontalPodAutoscaler>>,
    /// Its pods that are not being deleted, by name.
    pub pods: Vec<Arc<Pod>>,
    /// What pods that run and are not ready say of themselves, by pod.
    pub answers: BTreeMap<String, Answer>,
}

/// A pod's own account (`GET /statusz` on its admin port).
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Answer {
    /// `Starting`, `Loading`, `Warming`, `Ready`, `Draining` or `Failed`.
    pub phase: String,
    /// What is happening, or what went wrong.
    #[serde(default)]
    pub message: Option<String>,
    /// Its models.
    #[serde(default)]
    pub models: Vec<AnswerModel>,
}

/// What a pod says of one of its models.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub struct AnswerModel {
    /// Why the last attempt to load it failed; the pod goes on trying.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Whether `metrics.k8s.io` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MetricsApi {
    /// Nobody needed to know.
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
    /// Nobody needed to know.
    #[default]
    NotAsked,
    /// It is there and has the key.
    Present,
    /// There is no such ConfigMap.
    NoConfigMap,
    /// The ConfigMap lacks the key.
    NoKey,
}

impl Live {
    /// The objects of `revision`; those of nothing where there are none.
    pub fn revision(&self, revision: &str) -> LiveRevision {
        self.revisions.get(revision).cloned().unwrap_or_default()
    }

    /// The revision that the Service selects.
    pub fn selected(&self) -> Option<&str> {
        let selector = self.service.as_ref()?.spec.as_ref()?.selector.as_ref()?;
        selector.get(REVISION).map(String::as_str)
    }

    /// A child's metadata.
    pub fn meta(&self, kind: Kind, name: &str) -> Option<&ObjectMeta> {
        let revision = self.revisions.get(name);
        match kind {
            Kind::Service => {
                let meta = &self.service.as_ref()?.metadata;
                (meta.name.as_deref() == Some(name)).then_some(meta)
            }
            Kind::ConfigMap => Some(&revision?.config.as_ref()?.metadata),
            Kind::Deployment => Some(&revision?.deployment.as_ref()?.metadata),
            Kind::HorizontalPodAutoscaler => Some(&revision?.autoscaler.as_ref()?.metadata),
        }
    }

    /// A child as JSON, to compare with what it should be.
    pub fn json(&self, kind: Kind, name: &str) -> Option<Value> {
        self.meta(kind, name)?;
        let revision = self.revisions.get(name);
        match kind {
            Kind::Service => serde_json::to_value(self.service.as_deref()?).ok(),
            Kind::ConfigMap => serde_json::to_value(revision?.config.as_deref()?).ok(),
            Kind::Deployment => serde_json::to_value(revision?.deployment.as_deref()?).ok(),
            Kind::HorizontalPodAutoscaler => {
                serde_json::to_value(revision?.autoscaler.as_deref()?).ok()
            }
        }
    }

    /// Puts the API server's answer to a write, or to a question, in the place of what was
    /// known: what is reported of a pass is what the pass left behind.
    ///
    /// # Errors
    /// Where the answer is no object of its kind.
    pub fn record(
        &mut self,
        kind: Kind,
        name: &str,
        object: Value,
    ) -> Result<(), serde_json::Error> {
        match kind {
            Kind::Service => self.service = Some(Arc::new(serde_json::from_value(object)?)),
            Kind::ConfigMap => {
                self.of(name).config = Some(Arc::new(serde_json::from_value(object)?));
            }
            Kind::Deployment => {
                self.of(name).deployment = Some(Arc::new(serde_json::from_value(object)?));
            }
            Kind::HorizontalPodAutoscaler => {
                self.of(name).autoscaler = Some(Arc::new(serde_json::from_value(object)?));
            }
        }
        Ok(())
    }

    /// The entry of a revision, made where there is none.
    pub fn of(&mut self, revision: &str) -> &mut LiveRevision {
        self.revisions.entry(revision.to_owned()).or_default()
    }
}

impl LiveRevision {
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
