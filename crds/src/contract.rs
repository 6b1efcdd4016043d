//! What the operator and a data-plane pod say to each other. Both sides use these types.

pub mod document;
pub mod pod_config;
pub mod policy;
pub mod status_report;
