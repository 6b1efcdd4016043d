//! The pod template of a revision, kept as it was first built.
//!
//! Kubernetes replaces pods whose template changes. An operator whose code would build another one
//! keeps the stored one, so that an operator upgrade restarts no model.
//!
//! The template is stored in the revision's ConfigMap, and the Deployment is annotated with its hash.
//! It is used only where both agree: the right to write ConfigMaps alone must not decide what the
//! operator's pods may do.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::Value;
use serin_crds::revision::sha256_of;

use crate::desired::config_keys::TEMPLATE_KEY;
use crate::desired::pod;
use crate::desired::revision_snapshot::RevisionSnapshot;
use crate::validated::ValidatedService;

/// Annotation of a Deployment: the hash of its template.
pub const TEMPLATE_HASH: &str = "serin.dev/template-hash";

/// A pod template, as JSON: a template of a later operator may have fields that this version's types
/// lack, and losing them would restart the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Value);

impl Template {
    /// The template that this version of the operator builds.
    #[expect(
        clippy::expect_used,
        reason = "Kubernetes types have string keys and no fallible serializer"
    )]
    pub fn fresh(service: &ValidatedService, snapshot: &RevisionSnapshot) -> Self {
        let made = pod::template(service, snapshot);
        Self(serde_json::to_value(made).expect("a Kubernetes object is valid JSON"))
    }

    /// The stored template, where the Deployment confirms it.
    pub fn kept(config: &ConfigMap, deployment: &Deployment) -> Option<Self> {
        let text = config.data.as_ref()?.get(TEMPLATE_KEY)?;
        let template = Self(serde_json::from_str(text).ok()?);
        let annotations = deployment.metadata.annotations.as_ref()?;
        (annotations.get(TEMPLATE_HASH)? == &template.hash()).then_some(template)
    }

    /// The value of `spec.template`.
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// The value of [`TEMPLATE_HASH`].
    pub fn hash(&self) -> String {
        sha256_of(&self.0)
    }
}
