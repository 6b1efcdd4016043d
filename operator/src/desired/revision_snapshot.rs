//! The snapshot of a revision: the input of its objects, as it is stored in the cluster.
//!
//! The snapshot lets the operator rebuild a revision whose spec the user has already replaced. It
//! includes the operator's flags of the time when the revision was made: a new data-plane image
//! restarts no running model. The pod template that was built from it is stored beside it
//! ([`Template`](crate::desired::template::Template)).

use k8s_openapi::api::core::v1::ConfigMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serin_crds::contract::policy::{ApiConfig, Policy, TelemetryConfig};
use serin_crds::inference_service::pod_template::{PodMetadata, PodPlacement};
use serin_crds::inference_service::{Api, Telemetry};
use serin_crds::revision::{HASH_DIGITS, RevisionSpec, hash_of_stored};

use crate::desired::config_keys::{SNAPSHOT_KEY, TEMPLATE_KEY};
use crate::validated::{Source, ValidatedService};

/// The data plane's flag for the path of the policy.
pub const POLICY_FLAG: &str = "--policy";

/// The flag as the JSON of a stored template contains it.
const STORED_POLICY_FLAG: &str = "\"--policy\"";

/// The input of a revision's objects.
#[derive(Clone, Debug, PartialEq)]
pub struct RevisionSnapshot {
    /// `<service>-<hash>`.
    pub name: String,
    /// What callers see as the model's version.
    pub version: String,
    /// The part of a spec that makes pods.
    pub spec: RevisionSpec,
    /// `spec.model.source.uri`, parsed.
    pub source: Source,
    /// The operator's flags when the revision was made.
    pub defaults: OperatorDefaults,
    /// How its pods read the policy.
    pub policy: PolicyOfPods,
}

/// How the pods of a revision read the policy.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyOfPods {
    /// They reload the service's policy.
    Reloaded,
    /// They are older than the policy's ConfigMap and read this policy once, at start, from their
    /// configuration.
    Fixed(Policy),
}

/// The operator's flags that are part of pods.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OperatorDefaults {
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

/// The stored form of a [`RevisionSnapshot`].
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct Stored<'a> {
    spec: &'a RevisionSpec,
    #[serde(rename = "pinned")]
    defaults: &'a OperatorDefaults,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    /// Untyped: the revision's hash covers members that this version does not know.
    spec: Value,
    #[serde(rename = "pinned")]
    defaults: OperatorDefaults,
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
    /// The snapshot describes another revision than its name says, or has members that this
    /// version of the operator does not know.
    #[error("ConfigMap {0}, key {SNAPSHOT_KEY}: its content does not hash to its name")]
    Altered(String),
    /// This version of the operator does not know the source's URI.
    #[error("ConfigMap {0}, key {SNAPSHOT_KEY}: {1}")]
    Source(String, crate::validated::Invalid),
}

impl RevisionSnapshot {
    /// The revision that the spec of `service` describes, made now.
    pub fn new(service: &ValidatedService, defaults: &OperatorDefaults) -> Self {
        Self {
            name: service.revision.name.clone(),
            version: service.revision.version.clone(),
            spec: service.spec.clone(),
            source: service.source.clone(),
            defaults: defaults.clone(),
            policy: PolicyOfPods::Reloaded,
        }
    }

    /// Reads the snapshot of a stored revision.
    ///
    /// # Errors
    /// [`Unreadable`], where the ConfigMap holds no snapshot of the revision it is named after.
    pub fn read(stored: &ConfigMap) -> Result<Self, Unreadable> {
        let name = stored.metadata.name.clone().unwrap_or_default();
        let malformed = |error| Unreadable::Malformed(name.clone(), error);
        let text = |key| stored.data.as_ref()?.get(key);
        let snapshot = text(SNAPSHOT_KEY).ok_or_else(|| Unreadable::Missing(name.clone()))?;
        let read: Read = serde_json::from_str(snapshot).map_err(malformed)?;
        let mut written = read.spec;
        let hash = hash_of_stored(&written);
        // Operators before the policy hashed these two members as well.
        let mut take = |member: &str| written.as_object_mut()?.remove(member);
        let (api, telemetry) = (take("api"), take("telemetry"));
        let spec: RevisionSpec = serde_json::from_value(written.clone()).map_err(malformed)?;
        if !name.ends_with(&format!("-{hash}")) || spec.hash() != hash_of_stored(&written) {
            return Err(Unreadable::Altered(name));
        }
        let reloads =
            text(TEMPLATE_KEY).is_some_and(|template| template.contains(STORED_POLICY_FLAG));
        let policy = if reloads {
            PolicyOfPods::Reloaded
        } else {
            let api: Option<Api> = section(api).map_err(malformed)?;
            let telemetry: Option<Telemetry> = section(telemetry).map_err(malformed)?;
            PolicyOfPods::Fixed(Policy {
                api: ApiConfig::from(api.as_ref()),
                telemetry: TelemetryConfig::from(telemetry.as_ref()),
            })
        };
        let source = Source::parse(&spec.model.source.uri)
            .map_err(|error| Unreadable::Source(name.clone(), error))?;
        Ok(Self {
            version: spec.model.version.clone().unwrap_or(hash),
            name,
            spec,
            source,
            defaults: read.defaults,
            policy,
        })
    }

    /// The form in which the snapshot is stored.
    pub fn stored(&self) -> Stored<'_> {
        Stored {
            spec: &self.spec,
            defaults: &self.defaults,
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

fn section<T: serde::de::DeserializeOwned>(value: Option<Value>) -> serde_json::Result<Option<T>> {
    value.map(serde_json::from_value).transpose()
}

/// The version of a revision whose user named none: the hash at the end of its name.
pub fn unnamed_version(revision: &str) -> &str {
    revision
        .len()
        .checked_sub(HASH_DIGITS)
        .and_then(|start| revision.get(start..))
        .unwrap_or(revision)
}
