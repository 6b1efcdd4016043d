//! A real Kubernetes for Serin's tests, on a bare machine, from package registries alone.
//!
//! `cargo xtask cluster up` and the tests use the same few calls:
//!
//! ```no_run
//! use serin_e2e_cluster::{Cluster, image::{self, ImageSpec}};
//! # fn main() -> serin_e2e_cluster::Result<()> {
//! let cluster = Cluster::running_or_up()?; // at once when it runs already
//!
//! // A program inside the cluster's network, with KUBECONFIG set and kubectl, helm and ctr on its PATH.
//! let nodes = cluster.command("kubectl").args(["get", "nodes"]).output();
//!
//! // Pods and Services are reachable from programs started so. A test binary runs itself again inside:
//! // `cluster.command(std::env::current_exe()?)`.
//! println!("{}", cluster.kubeconfig().display());
//! // One JSON object a line for every write (user, verb, objectRef); None on somebody else's cluster.
//! println!("{:?}", cluster.audit_log());
//!
//! // An image from a binary, without a registry or an engine. Nothing is done where it is there already.
//! let tar = image::build(&ImageSpec {
//!     name: "localhost/serin-operator:e2e".into(),
//!     binary: "target/release/serin-operator".into(), // becomes /usr/bin/serin-operator
//!     extra_files: vec![],                            // (file here, absolute path in the image)
//!     entrypoint: vec!["/usr/bin/serin-operator".into()],
//!     env: vec![],
//! })?;
//! image::import(&cluster, &tar)?;
//! # Ok(()) }
//! ```
//!
//! # What it is
//! Upstream etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kube-proxy, CoreDNS and metrics-server,
//! built once from the Go module proxy (`go/go.sum` pins every byte) and kept in the user's cache; containerd, runc and the
//! CNI plugins come from Debian. One node, `node-1`, at 10.200.0.1; Services in 10.96.0.0/16, pods in 10.244.0.0/24.
//! `NetworkPolicy` objects are accepted and not enforced. The first `kubectl top` answers some 15 s after `up`.
//!
//! # Why nothing is left behind
//! Everything runs in network, mount and process namespaces of its own, held by one small process (`sandbox.rs`). When that
//! process dies the kernel ends all others in there and drops their mounts, addresses and rules: there is no list of things to
//! undo that a crash could leave half written. Outside are only the state directory and cgroups that bear the cluster's name.
//!
//! # Somebody else's cluster
//! With `SERIN_E2E_KUBECONFIG` set to a kubeconfig file (kind, k3d, any cluster) [`Cluster::running_or_up`] uses that one:
//! nothing is started, [`Cluster::command`] runs programs as they are, and images are the user's to load.
#![forbid(unsafe_code)]

mod addons;
mod binaries;
mod cgroups;
mod cluster;
mod command;
mod components;
mod config;
mod error;
pub mod image;
mod layout;
mod lifecycle;
mod lock;
mod packages;
mod pki;
mod progress;
mod sandbox;
mod status;

pub use cluster::{Cluster, DEFAULT_NAME, KUBECONFIG_VARIABLE, NAME_VARIABLE};
pub use error::{Error, Result};
pub use lifecycle::{down, up};
pub use status::{Component, Status, status};
