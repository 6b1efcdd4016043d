//! What tests are made of.

pub mod builders;
