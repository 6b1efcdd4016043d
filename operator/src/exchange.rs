//! The operator's conversation with pods: a task of its own asks those that run and are not ready
//! what they do, keeps what they last reported, and wakes a pass where that changed. A pass never
//! asks a pod itself.

pub mod client;
pub mod poll;
pub mod reports;

pub use reports::Reports;
