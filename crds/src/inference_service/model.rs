//! `spec.model`: which model, which version of it, and where its file is.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A model and where to get it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// The name callers use in `/v2/models/NAME`. Default: the object's name. Cannot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$")
    )]
    #[x_kube(validation = Rule::new("self == oldSelf").message("model.name cannot change: it is the name callers use. Create another InferenceService for another name"))]
    pub name: Option<String>,

    /// Your name for this version of the model, shown in status, metrics and answers.
    /// Default: the revision's hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$")
    )]
    pub version: Option<String>,

    /// Where the model's file is.
    pub source: ModelSource,

    /// Whether requests may share a run of the model. `Auto`: where it was found, when the model was
    /// loaded, that rows do not change each other's answers. `Disabled`: never; for models that you do
    /// not trust with several callers' inputs at once. Default: `Auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batching: Option<Batching>,
}

/// Whether requests may share a run of a model.
#[derive(
    schemars::JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
pub enum Batching {
    /// Where the model was found to allow it.
    #[default]
    Auto,
    /// Never. (A bare `Off` is no string in YAML.)
    Disabled,
}

/// Where a model's file is, and what it must be.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!self.uri.startsWith('configmap://') || self.uri.matches('^configmap://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[-._A-Za-z0-9]+)?$')").message("a configmap URI is configmap://NAME/KEY, for example configmap://iris-model/iris.onnx, or configmap://NAME for a folder of all its keys").field_path(".uri"),
    validation = Rule::new("!self.uri.startsWith('pvc://') || self.uri.matches('^pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[^/].*$')").message("a pvc URI is pvc://CLAIM/PATH, for example pvc://models/fraud/4/model.onnx").field_path(".uri"),
    validation = Rule::new("!self.uri.startsWith('file://') || self.uri.startsWith('file:///')").message("a file URI needs an absolute path: file:///models/iris.onnx").field_path(".uri"),
    validation = Rule::new("!self.uri.matches('(^|/)[.][.](/|$)')").message("source.uri must not contain '..'").field_path(".uri"),
    validation = Rule::new("!self.uri.startsWith('https://') || !self.uri.matches('^https://[^/]*@')").message("source.uri must not carry a user or password").field_path(".uri"),
)]
pub struct ModelSource {
    /// `https://HOST/PATH`, `pvc://CLAIM/PATH`, `configmap://NAME/KEY`, or, for `serin run` only,
    /// `file:///PATH`. The path is an ONNX file or, for pvc and file, a folder that holds
    /// `model.onnx`; `configmap://NAME` is a folder of all keys of that ConfigMap. ConfigMap and
    /// claim are those of the object's own namespace.
    #[schemars(
        length(min = 1, max = 1024),
        regex(pattern = r"^(https|pvc|configmap|file)://[^ \t\r\n?#]+(\?[^ \t\r\n#]*)?$")
    )]
    pub uri: String,

    /// What the model file must hash to, as `sha256:` and 64 hexadecimal digits. A file that
    /// hashes to anything else is refused. Default: not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: Option<String>,
}
