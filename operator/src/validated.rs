//! The validated spec: builders that take a [`ValidatedService`] cannot fail.

use serin_crds::InferenceService;
use serin_crds::contract::policy::Policy;
use serin_crds::inference_service::{Autoscaling, DEFAULT_REPLICAS};
use serin_crds::revision::{Revision, RevisionSpec, revision_of};
use serin_crds::source_uri::{SourceUri, SourceUriError, shown};

/// The declared state, every default applied.
#[derive(Clone, Debug)]
pub struct ValidatedService {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// The name of the revision that the spec describes.
    pub revision: Revision,
    /// The part of the spec that makes pods.
    pub spec: RevisionSpec,
    /// The policy that its pods reload while they run.
    pub policy: Policy,
    /// Where the model comes from.
    pub source: Source,
    /// How many pods.
    pub size: Size,
    /// `spec.suspend`.
    pub suspended: bool,
}

/// Who decides how many pods there are.
#[derive(Clone, Debug, PartialEq)]
pub enum Size {
    /// The user, with this number.
    Fixed(i32),
    /// An autoscaler, within these bounds.
    Autoscaled(Autoscaling),
}

/// The source of a model, as far as a pod spec depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The pod fetches the file itself.
    Https,
    /// A ConfigMap in the service's namespace.
    ConfigMap {
        /// Name of the ConfigMap.
        name: String,
        /// Key in its `data` or `binaryData`; `None` for all of them, as a folder.
        key: Option<String>,
    },
    /// A file or folder of a claim in the service's namespace.
    Pvc {
        /// Name of the PersistentVolumeClaim.
        claim: String,
        /// Path below the volume's root, without a leading `/`.
        path: String,
    },
}

/// Why a spec cannot be served on a cluster. The message says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A member that every stored object has is missing.
    #[error("metadata.{0} is missing")]
    Metadata(&'static str),
    /// A `file` source exists on one machine only.
    #[error(
        "spec.model.source.uri is {uri:?}: a file:// source works only with `serin run`. On a cluster \
         use configmap://NAME/KEY, configmap://NAME, pvc://CLAIM/PATH or https://HOST/PATH"
    )]
    FileSource {
        /// The URI as written.
        uri: String,
    },
    /// A URI of no known kind; the CRD's pattern should have refused it.
    #[error(
        "spec.model.source.uri is {uri:?}: expected configmap://NAME/KEY, configmap://NAME, pvc://CLAIM/PATH or https://HOST/PATH"
    )]
    SourceUri {
        /// The URI as written.
        uri: String,
    },
}

/// Checks what the schema cannot check.
///
/// # Errors
/// [`Invalid`], with a message that says what to write instead.
pub fn validate(service: &InferenceService) -> Result<ValidatedService, Invalid> {
    let meta = &service.metadata;
    let spec = &service.spec;
    Ok(ValidatedService {
        name: meta.name.clone().ok_or(Invalid::Metadata("name"))?,
        namespace: meta
            .namespace
            .clone()
            .ok_or(Invalid::Metadata("namespace"))?,
        uid: meta.uid.clone().ok_or(Invalid::Metadata("uid"))?,
        generation: meta.generation.unwrap_or_default(),
        revision: revision_of(service),
        spec: RevisionSpec::of(service),
        policy: Policy::from(spec),
        source: Source::parse(&spec.model.source.uri)?,
        size: match &spec.autoscaling {
            Some(autoscaling) => Size::Autoscaled(autoscaling.clone()),
            None => Size::Fixed(spec.replicas.unwrap_or(DEFAULT_REPLICAS)),
        },
        suspended: service.is_suspended(),
    })
}

impl ValidatedService {
    /// Whether the user wants no pods: `suspend: true` or `replicas: 0`.
    pub fn is_stopped(&self) -> bool {
        self.suspended || self.size == Size::Fixed(0)
    }

    /// The bounds of the autoscaler, where there is to be one.
    pub fn autoscaling(&self) -> Option<&Autoscaling> {
        match &self.size {
            Size::Autoscaled(bounds) if !self.suspended => Some(bounds),
            _ => None,
        }
    }

    /// Where callers in the cluster find the service over HTTP.
    pub fn url(&self) -> String {
        format!("http://{}.{}.svc", self.name, self.namespace)
    }
}

impl Source {
    /// Reads a source's URI.
    ///
    /// # Errors
    /// [`Invalid::FileSource`] and [`Invalid::SourceUri`].
    pub fn parse(uri: &str) -> Result<Self, Invalid> {
        match SourceUri::parse(uri) {
            Ok(SourceUri::Https) => Ok(Self::Https),
            Ok(SourceUri::ConfigMap { name, key }) => Ok(Self::ConfigMap { name, key }),
            Ok(SourceUri::Pvc { claim, path }) => Ok(Self::Pvc { claim, path }),
            Ok(SourceUri::File { .. }) | Err(SourceUriError::File) => Err(Invalid::FileSource {
                uri: uri.to_owned(),
            }),
            Err(_) => Err(Invalid::SourceUri { uri: shown(uri) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_source_is_understood() {
        assert_eq!(Source::parse("https://h/m.onnx"), Ok(Source::Https));
        assert_eq!(
            Source::parse("configmap://iris-model/iris.onnx"),
            Ok(Source::ConfigMap {
                name: "iris-model".into(),
                key: Some("iris.onnx".into())
            })
        );
        assert_eq!(
            Source::parse("configmap://embedder-model"),
            Ok(Source::ConfigMap {
                name: "embedder-model".into(),
                key: None
            })
        );
        assert_eq!(
            Source::parse("pvc://models/fraud/4/model.onnx"),
            Ok(Source::Pvc {
                claim: "models".into(),
                path: "fraud/4/model.onnx".into()
            })
        );
    }

    #[test]
    fn a_file_source_is_refused_with_what_to_use_instead() {
        let message = Source::parse("file:///m.onnx").unwrap_err().to_string();
        for part in [
            "file:///m.onnx",
            "serin run",
            "configmap://",
            "pvc://",
            "https://",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_uri_of_no_known_kind_is_refused() {
        for uri in [
            "s3://b/k",
            "iris.onnx",
            "configmap://",
            "configmap://a/",
            "pvc:///x",
        ] {
            assert!(
                matches!(Source::parse(uri), Err(Invalid::SourceUri { .. })),
                "{uri}"
            );
        }
    }
}
