//! What a pod says of itself on its admin port (`GET /statusz`): the operator reads it to say why a
//! pod is not ready.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A stage of a pod's life, in order.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Reading the configuration, binding ports.
    Starting,
    /// Fetching and loading models.
    Loading,
    /// Running the loaded models once, on the real path.
    Warming,
    /// Every model answers.
    Ready,
    /// Told to stop: no longer ready, still serving.
    Draining,
    /// Nothing is served any more.
    Stopped,
}

impl Phase {
    /// The name in logs and in the report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "Starting",
            Self::Loading => "Loading",
            Self::Warming => "Warming",
            Self::Ready => "Ready",
            Self::Draining => "Draining",
            Self::Stopped => "Stopped",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A pod's report. Members that a reader does not know are ignored: pods and operator are upgraded
/// at different times.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StatusReport {
    /// The stage of the process.
    pub phase: Phase,
    /// Why it is not ready; empty when it is.
    #[serde(default)]
    pub message: String,
    /// Every configured model.
    #[serde(default)]
    pub models: Vec<ModelReport>,
    /// The policy in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyReport>,
    /// What each part of the process may take of the container's memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryReport>,
}

/// The bounds of a process's memory, in bytes; they add up to the container's limit.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MemoryReport {
    /// The container's limit, or the machine's memory.
    pub limit: u64,
    /// The process itself.
    pub process: u64,
    /// All models together.
    pub models: u64,
    /// All requests and their answers together.
    pub requests: u64,
    /// What requests and answers take now.
    pub requests_used: u64,
    /// One request, or one connection.
    pub one_request: u64,
    /// One request body.
    pub body: u64,
    /// All connections together.
    pub connections: u64,
    /// What the allocator and the kernel need besides.
    pub spare: u64,
}

/// One model of a pod.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ModelReport {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it can answer.
    pub ready: bool,
    /// Why it cannot, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The policy in force in a pod.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PolicyReport {
    /// SHA-256 of the document, in hexadecimal.
    pub hash: String,
    /// Seconds since it came into force.
    pub age_seconds: f64,
    /// Why a later document is not in force, where there is one that cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_with_members_of_a_later_version_is_read() {
        let text = r#"{"phase":"Ready","message":"","models":[],"later":1}"#;
        let report: StatusReport = serde_json::from_str(text).unwrap();
        assert_eq!((report.phase, report.policy), (Phase::Ready, None));
    }
}
