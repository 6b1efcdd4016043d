//! The exchange with pods: a task polls the status of pods that run and are not ready, keeps their
//! last reports, and triggers a pass where a report changed. A pass itself never calls a pod.

pub mod client;
pub mod poll;
pub mod reports;

pub use reports::Reports;
