//! What tests are made of.

pub mod builders;
pub mod fake_apiserver;
pub mod world;
