//! What the process is told at start: flags, and one file from the operator.

mod cli;
mod duration;
mod file;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

pub use cli::Cli;
pub use file::{ConfigError, read};

use serin_core::Limits;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

/// How to serve, on a cluster and in local mode alike; what to serve is the
/// [`PodConfig`](serin_crds::contract::pod_config::PodConfig).
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Address that every port is bound to; `::` stands for all, of IPv4 and IPv6.
    pub bind: IpAddr,
    /// Every HTTP protocol and `/metrics`; 0 takes a free port.
    pub http_port: u16,
    /// gRPC alone, for clients that want a port of their own for it; 0 takes a free port.
    pub grpc_port: u16,
    /// Probes, status and metrics; 0 takes a free port.
    pub admin_port: u16,
    /// Where fetched models are kept; the only folder that is written to.
    pub cache_dir: PathBuf,
    /// The ONNX Runtime library; looked for in the usual places when absent.
    pub runtime_library: Option<PathBuf>,
    /// Largest model file that is fetched, in bytes.
    pub max_model_bytes: u64,
    /// Memory that the models of this process may take together, in bytes; derived from the
    /// container's limit when absent.
    pub model_memory: Option<u64>,
    /// Largest request body, in bytes; as much as the container's memory allows when absent.
    pub max_body: Option<usize>,
    /// How long a small model may take to load; large ones have a second more for each 16 MiB.
    pub model_load_timeout: Duration,
    /// Whether models are tried in a process of their own before they are loaded.
    pub model_trial: bool,
    /// The process runs on its user's own machine: models may be fetched from it and from its
    /// private network.
    pub local_mode: bool,
    /// In local mode, the names besides `localhost` by which callers may address this machine.
    pub local_names: Vec<String>,
    /// How long a process that was asked to stop by SIGTERM still takes new connections, so that
    /// load balancers have time to notice.
    pub lame_duck: Duration,
    /// How long requests in flight may take to finish after that.
    pub drain_timeout: Duration,
    /// Bounds on what callers may send.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bind: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            http_port: 8080,
            grpc_port: 8081,
            admin_port: 8082,
            cache_dir: PathBuf::from(serin_crds::contract::pod_config::CACHE_MOUNT_PATH),
            runtime_library: None,
            max_model_bytes: 10 << 30,
            model_memory: None,
            max_body: None,
            model_load_timeout: Duration::from_secs(60),
            model_trial: true,
            local_mode: false,
            local_names: Vec::new(),
            lame_duck: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(45),
            limits: Limits::default(),
        }
    }
}
