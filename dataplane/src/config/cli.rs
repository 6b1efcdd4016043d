//! The flags of `serin-dataplane`.

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use serin_crds::contract::pod_config::{CACHE_MOUNT_PATH, MOUNT_PATH};

use super::{Limits, Options, duration};
use crate::telemetry::logging::LogFormat;

/// Serves the models of one InferenceService revision.
///
/// The operator starts this in a pod; `serin run` serves the same on a laptop.
#[derive(Parser, Clone, Debug)]
#[command(name = "serin-dataplane", version)]
pub struct Cli {
    /// File that says which models to serve
    #[arg(long, value_name = "FILE", default_value = MOUNT_PATH)]
    pub config: PathBuf,

    /// File with what may change while models are served; read again when it changes. When not
    /// given, or while the file is not there, everything has its default
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// Address that every port is bound to; `::` stands for all, of IPv4 and, where the machine has
    /// it, IPv6
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V6(Ipv6Addr::UNSPECIFIED))]
    pub bind: IpAddr,

    /// Port of every HTTP protocol, gRPC included, and of /metrics; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub http_port: u16,

    /// Port of gRPC alone; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8081)]
    pub grpc_port: u16,

    /// Port of probes and status; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8082)]
    pub admin_port: u16,

    /// Folder for fetched models; nothing else is written
    #[arg(long, value_name = "FOLDER", default_value = CACHE_MOUNT_PATH)]
    pub cache_dir: PathBuf,

    /// The ONNX Runtime library, looked for in the usual places when not given
    #[arg(long, value_name = "FILE", env = "SERIN_ONNXRUNTIME")]
    pub runtime_library: Option<PathBuf>,

    /// Largest model file that is fetched, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 10_240, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_model_mib: u32,

    /// Memory that all models may take together, in MiB: what needs more is refused or fails.
    /// When not given, what requests, connections and the process leave of the container's limit,
    /// or half of the machine's memory where there is no limit
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(32..))]
    pub model_memory_mib: Option<u32>,

    /// How long a model may take to load and to run once; a second more for each 16 MiB of it
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse)]
    pub model_load_timeout: Duration,

    /// Load models at once, without trying them in a process of their own first: a model that
    /// crashes or swells then ends this process
    #[arg(long)]
    pub no_model_trial: bool,

    /// How long to keep taking connections after SIGTERM, so that load balancers can notice
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    pub lame_duck: Duration,

    /// How long requests in flight may then take to finish
    #[arg(long, value_name = "DURATION", default_value = "45s", value_parser = duration::parse)]
    pub drain_timeout: Duration,

    /// Longest time of one request, queueing included
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse)]
    pub request_timeout: Duration,

    /// Largest request body, in MiB. When not given, 64, or a sixteenth of the container's memory
    /// where that is less
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub max_body_mib: Option<u32>,

    /// Memory for requests and their answers at once, in MiB; what does not fit is answered 503, and
    /// one request may have half. When not given, a quarter of the container's memory, at most 1024,
    /// and at least four bodies of --max-body-mib
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub max_bodies_mib: Option<u32>,

    /// Most open connections of the HTTP port; fewer where a sixteenth of the container's memory does
    /// not hold them at 32 KiB each
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: u32,

    /// Threads that serve the network; as many as the container has cores when not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,

    /// Which log lines to write: a level, or `target=level` pairs; `serin::access=debug` adds a
    /// line for each answer
    #[arg(
        long,
        value_name = "FILTER",
        env = "RUST_LOG",
        default_value = "info,ort=warn"
    )]
    pub log: String,

    /// How log lines look
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub log_format: LogFormat,

    /// File for the reason of a failed start; Kubernetes shows it in the pod's status. By default
    /// /dev/termination-log where it exists
    #[arg(long, value_name = "FILE")]
    pub termination_log: Option<PathBuf>,
}

impl Cli {
    /// The options that these flags ask for.
    pub fn options(&self) -> Options {
        const MIB: usize = 1 << 20;
        Options {
            bind: self.bind,
            http_port: self.http_port,
            grpc_port: self.grpc_port,
            admin_port: self.admin_port,
            cache_dir: self.cache_dir.clone(),
            runtime_library: self.runtime_library.clone(),
            max_model_bytes: u64::from(self.max_model_mib) << 20,
            model_memory: self.model_memory_mib.map(|mib| u64::from(mib) << 20),
            model_load_timeout: self.model_load_timeout,
            model_trial: !self.no_model_trial,
            local_mode: false,
            local_names: Vec::new(),
            lame_duck: self.lame_duck,
            drain_timeout: self.drain_timeout,
            max_body: self.max_body_mib.map(|mib| mib as usize * MIB),
            limits: Limits {
                body_bytes_in_flight: self.max_bodies_mib.map(|mib| mib as usize * MIB),
                request_timeout: self.request_timeout,
                connections: self.max_connections as usize,
                ..Limits::default()
            },
        }
    }

    /// Where the reason of a failed start goes besides standard error, if anywhere.
    pub fn termination_log(&self) -> Option<PathBuf> {
        let default = || {
            let path = PathBuf::from("/dev/termination-log");
            path.exists().then_some(path)
        };
        self.termination_log.clone().or_else(default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_flag_is_documented() {
        let command = Cli::command();
        command.clone().debug_assert();
        for flag in command.get_arguments() {
            assert!(flag.get_help().is_some(), "--{} has no help", flag.get_id());
        }
    }

    #[test]
    fn no_flags_mean_the_default_options() {
        let cli = Cli::parse_from(["serin-dataplane"]);
        let expected = Options {
            runtime_library: cli.runtime_library.clone(),
            ..Options::default()
        };
        assert_eq!(cli.options(), expected);
    }
}
