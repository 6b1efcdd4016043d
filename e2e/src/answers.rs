//! What the client in the cluster (`serin-e2e-client`) tells the tests, as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Reasons of failures that a [`LoadReport`] keeps word for word.
const KEPT_FAILURES: usize = 20;

/// The answer to one request.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Header fields, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
    /// Address and port that the request went to.
    pub peer: String,
}

impl Answer {
    /// The body as JSON; `null` where it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// The answer to one inference over gRPC.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct Tensors {
    /// The request's id.
    pub id: String,
    /// The version that ran.
    pub model_version: String,
    /// The raw contents of each output, by its name.
    pub outputs: BTreeMap<String, Vec<u8>>,
}

/// A process of a pod, as its node sees it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number on the node.
    pub pid: i32,
    /// The program's name, at most 15 bytes of it.
    pub name: String,
    /// Memory it holds, in KiB.
    pub resident_kib: u64,
    /// The user it runs as.
    pub user: u32,
    /// Its effective capabilities, a hexadecimal mask.
    pub effective_capabilities: String,
    /// It can never gain privileges.
    pub no_new_privileges: bool,
    /// A filter of system calls is in force.
    pub seccomp_filter: bool,
    /// Its root file system is mounted read-only.
    pub root_read_only: bool,
}

/// What became of a constant load so far.
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub struct LoadReport {
    /// Requests with an outcome.
    pub requests: u64,
    /// Those that did not end in a prediction.
    pub failed: u64,
    /// Why, for the first few.
    pub failures: Vec<String>,
    /// Connections opened.
    pub connections: u64,
    /// Predictions by the model version that made them.
    pub versions: BTreeMap<String, u64>,
    /// The longest wait for an outcome, in milliseconds.
    pub slowest_ms: u64,
}

impl LoadReport {
    /// Counts one outcome: the version that answered, or why none did.
    pub fn add(&mut self, outcome: Result<String, String>, took: Duration) {
        self.requests += 1;
        self.slowest_ms = self
            .slowest_ms
            .max(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        match outcome {
            Ok(version) => *self.versions.entry(version).or_default() += 1,
            Err(reason) => {
                self.failed += 1;
                if self.failures.len() < KEPT_FAILURES {
                    self.failures.push(reason);
                }
            }
        }
    }

    /// Predictions that `version` made.
    pub fn of_version(&self, version: &str) -> u64 {
        self.versions.get(version).copied().unwrap_or_default()
    }
}
