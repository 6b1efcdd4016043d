//! The API of Serin: what a user writes, what the operator answers, and what a pod is told.
//!
//! Everything here is data and pure functions over it. The operator, the data plane and the
//! command line share this crate, so it depends on neither an async runtime nor a cluster client.
#![forbid(unsafe_code)]

pub mod contract;
pub mod inference_service;
#[cfg(feature = "manifest")]
pub mod manifest;
pub mod revision;
pub mod schema;
pub mod source_uri;
pub mod status;

pub use inference_service::{InferenceService, InferenceServiceSpec};
pub use status::{ConditionType, InferenceServiceStatus, Reason};

/// The API group of every Serin resource.
pub const GROUP: &str = "serin.dev";

/// Labels that Serin puts on the objects it makes.
pub mod labels {
    /// `app.kubernetes.io/managed-by`, always [`MANAGER`]: the operator watches only these.
    pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
    /// The value of [`MANAGED_BY`].
    pub const MANAGER: &str = "serin-operator";
    /// Name of the `InferenceService` an object belongs to.
    pub const SERVICE: &str = "serin.dev/service";
    /// Revision (`<service>-<hash>`) a pod belongs to. A role is never a label: a pod keeps its
    /// labels when its revision is promoted.
    pub const REVISION: &str = "serin.dev/revision";
    /// The user's name for the model version, where it is a valid label value.
    pub const VERSION: &str = "serin.dev/version";
}

/// Ports of a data-plane pod, the same in every pod.
pub mod ports {
    /// Every protocol, gRPC with prior knowledge included, and `/metrics`.
    pub const HTTP: u16 = 8080;
    /// gRPC alone.
    pub const GRPC: u16 = 8081;
    /// Probes, status for the operator, drain. Never behind the Service.
    pub const ADMIN: u16 = 8082;
    /// The Service's port for [`HTTP`].
    pub const SERVICE_HTTP: u16 = 80;
}
