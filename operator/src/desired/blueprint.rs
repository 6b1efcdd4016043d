//! Everything that a revision's objects are made from, and its snapshot in the cluster.
//!
//! The snapshot lets the operator rebuild a revision whose spec the user has already replaced,
//! and keeps what the operator's flags said when the revision was made: a new data-plane image
//! restarts no running model. What the operator's code made of it is kept beside it, as a
//! [`Template`](crate::desired::template::Template).

use k8s_openapi::api::core::v1::ConfigMap;
use serde::{Deserialize, Serialize};
use serin_crds::inference_service::pod_template::{PodMetadata, PodPlacement};
use serin_crds::revision::{HASH_DIGITS, RevisionSpec};

use crate::validated::{Source, ValidatedService};

/// Key of the snapshot in a revision's ConfigMap.
pub const SNAPSHOT_KEY: &str = "revision.json";

/// All that a revision's objects are made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Blueprint {
    /// `<service>-<hash>`.
    pub name: String,
    /// What callers see as the model's version.
    pub version: String,
    /// The part of a spec that makes pods.
    pub spec: RevisionSpec,
    /// `spec.model.source.uri`, read.
    pub source: Source,
    /// What the operator's flags said when the revision was made.
    pub pinned: Pinned,
}

/// The operator's flags that make pods.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pinned {
    /// Image of the data plane.
    pub image: String,
    /// When nodes pull it; the cluster's default where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<String>,
    /// Names of Secrets to pull it with, before the user's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<String>,
    /// Private networks that models may be fetched from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_networks: Vec<String>,
}

/// A [`Blueprint`] as it is stored.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Snapshot {
    /// The part of a spec that makes pods.
    pub spec: RevisionSpec,
    /// The operator's flags of that time.
    pub pinned: Pinned,
}

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The ConfigMap has no such key.
    #[error("ConfigMap {0} has no key {SNAPSHOT_KEY}")]
    Missing(String),
    /// The text is no snapshot that this version of the operator knows.
    #[error("ConfigMap {0}, key {SNAPSHOT_KEY}: {1}")]
    Malformed(String, serde_json::Error),
    /// The snapshot describes another revision than its name says.
    #[error("ConfigMap {0}, key {SNAPSHOT_KEY}: its content does not hash to its name")]
    Altered(String),
    /// The source's URI means nothing to this version of the operator.
    #[error("ConfigMap {0}, key {SNAPSHOT_KEY}: {1}")]
    Source(String, crate::validated::Invalid),
}

impl Blueprint {
    /// The revision that the spec of `service` describes, made now.
    pub fn new(service: &ValidatedService, pinned: &Pinned) -> Self {
        Self {
            name: service.revision.name.clone(),
            version: service.revision.version.clone(),
            spec: service.spec.clone(),
            source: service.source.clone(),
            pinned: pinned.clone(),
        }
    }

    /// A revision as it was when it was made.
    ///
    /// # Errors
    /// [`Unreadable`], where the ConfigMap holds no snapshot of the revision it is named after.
    pub fn read(stored: &ConfigMap) -> Result<Self, Unreadable> {
        let name = stored.metadata.name.clone().unwrap_or_default();
        let text = stored
            .data
            .as_ref()
            .and_then(|data| data.get(SNAPSHOT_KEY))
            .ok_or_else(|| Unreadable::Missing(name.clone()))?;
        let snapshot: Snapshot = serde_json::from_str(text)
            .map_err(|error| Unreadable::Malformed(name.clone(), error))?;
        let hash = snapshot.spec.hash();
        if !name.ends_with(&format!("-{hash}")) {
            return Err(Unreadable::Altered(name));
        }
        let source = Source::parse(&snapshot.spec.model.source.uri)
            .map_err(|error| Unreadable::Source(name.clone(), error))?;
        Ok(Self {
            version: snapshot.spec.model.version.clone().unwrap_or(hash),
            name,
            spec: snapshot.spec,
            source,
            pinned: snapshot.pinned,
        })
    }

    /// What is stored of it.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            spec: self.spec.clone(),
            pinned: self.pinned.clone(),
        }
    }

    /// The user's labels and annotations for the pods.
    pub fn pod_metadata(&self) -> Option<&PodMetadata> {
        self.spec.pod_template.as_ref()?.metadata.as_ref()
    }

    /// The user's additions to the pods' spec.
    pub fn pod_placement(&self) -> Option<&PodPlacement> {
        self.spec.pod_template.as_ref()?.spec.as_ref()
    }
}

/// The version that a revision of this name has when the user gave none: the hash at its end.
pub fn unnamed_version(revision: &str) -> &str {
    revision
        .len()
        .checked_sub(HASH_DIGITS)
        .and_then(|start| revision.get(start..))
        .unwrap_or(revision)
}
