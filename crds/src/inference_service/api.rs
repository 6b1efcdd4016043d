//! `spec.api`: what the protocols offer, where that is a choice.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What the protocols offer, where that is a choice.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Api {
    /// Whether callers may load and unload models (`/v2/repository`, gRPC `RepositoryModelLoad`).
    /// `Enabled` or `Disabled`. Default: `Disabled`, as whoever reaches the port could stop the
    /// model for everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_control: Option<RepositoryControl>,

    /// How a float that JSON has no number for is written in answers. `String`: `"NaN"`,
    /// `"Infinity"`, `"-Infinity"`. `JSONNull`: `null`. `Error`: the request fails.
    /// Default: `String`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub non_finite: Option<NonFinite>,

    /// What an idle event stream sends every 15 seconds, so that proxies leave it open.
    /// `Comment`: a comment line, which readers of event streams skip. `None`: nothing.
    /// Default: `Comment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_keep_alive: Option<StreamKeepAlive>,
}

/// Whether callers may load and unload models.
#[derive(
    schemars::JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
pub enum RepositoryControl {
    /// They may.
    Enabled,
    /// They may only look.
    #[default]
    Disabled,
}

/// How NaN and the infinities are written in JSON.
#[derive(
    schemars::JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
pub enum NonFinite {
    /// As the strings `"NaN"`, `"Infinity"`, `"-Infinity"`, which Triton's and KServe's clients
    /// read without loss.
    #[default]
    String,
    /// As `null`, which loses which of them it was. (A bare `Null` is no string in YAML.)
    #[serde(rename = "JSONNull")]
    Null,
    /// Not at all: the request fails.
    Error,
}

/// What an event stream sends after 15 s without bytes.
#[derive(
    schemars::JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
pub enum StreamKeepAlive {
    /// A comment, which event stream readers skip.
    #[default]
    Comment,
    /// Nothing, for readers that choke on comments. (A bare `Off` is no string in YAML.)
    #[serde(rename = "None")]
    Off,
}
