//! What tests are made of.

pub mod builders;
pub mod fake_apiserver;
pub mod fake_pod;
pub mod world;
