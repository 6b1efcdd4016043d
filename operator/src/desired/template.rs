//! The pod template of a revision, kept as it was first made.
//!
//! Kubernetes replaces pods whose template changes. An operator whose code makes another one goes
//! on with that of the revision, so that an upgrade of it restarts no model.
//!
//! The text lies in the revision's ConfigMap, and the Deployment says which text it was made from.
//! Only where both agree is the text used: whoever may write ConfigMaps, and nothing else, must not
//! decide what the operator's pods may do.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::Value;
use serin_crds::revision::sha256_of;

use crate::desired::config_keys::TEMPLATE_KEY;
use crate::desired::pod;
use crate::desired::revision_snapshot::RevisionSnapshot;
use crate::validated::ValidatedService;

/// Annotation of a Deployment: the hash of the template it was made from.
pub const TEMPLATE_HASH: &str = "serin.dev/template-hash";

/// A pod template. As JSON: one that a later operator made may have fields that this one's types
/// lack, and losing them would restart the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Value);

impl Template {
    /// The template that this version of the operator makes.
    #[expect(
        clippy::expect_used,
        reason = "Kubernetes types have string keys and no fallible serializer"
    )]
    pub fn fresh(service: &ValidatedService, snapshot: &RevisionSnapshot) -> Self {
        let made = pod::template(service, snapshot);
        Self(serde_json::to_value(made).expect("a Kubernetes object is valid JSON"))
    }

    /// The template that a revision's pods have, where it was kept.
    pub fn kept(config: &ConfigMap, deployment: &Deployment) -> Option<Self> {
        let text = config.data.as_ref()?.get(TEMPLATE_KEY)?;
        let template = Self(serde_json::from_str(text).ok()?);
        let annotations = deployment.metadata.annotations.as_ref()?;
        (annotations.get(TEMPLATE_HASH)? == &template.hash()).then_some(template)
    }

    /// What a Deployment holds of it.
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// What a Deployment says that it was made from.
    pub fn hash(&self) -> String {
        sha256_of(&self.0)
    }
}
