//! Tests of Serin on a real Kubernetes cluster.
#![forbid(unsafe_code)]
