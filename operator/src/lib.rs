//! The operator: turns `InferenceService` objects into running pods.
#![forbid(unsafe_code)]
