//! The command line: what can be said, and its help.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

/// Model serving on Kubernetes, from the command line.
///
/// One file, an InferenceService, serves a model on a cluster (`kubectl apply -f FILE`) and on
/// this machine (`serin run -f FILE`). Installed as `kubectl-serin`, all of this works as
/// `kubectl serin` too.
#[derive(Parser, Debug)]
#[command(
    name = "serin",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Serve models on this machine, from the files that a cluster takes
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Say what is wrong with manifests, before a cluster does
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Print the CustomResourceDefinition
    #[command(after_help = "Example:\n  serin crd | kubectl apply --server-side -f -")]
    Crd,
    /// Get ONNX Runtime, the library that runs the models
    #[command(subcommand)]
    Runtime(RuntimeCommand),
    /// Print the completion script of a shell
    #[command(
        after_help = "Examples:\n  serin completions bash > ~/.local/share/bash-completion/completions/serin\n  serin completions zsh > ~/.zfunc/_serin"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
}

const RUN_EXAMPLES: &str = "\
Examples:
  serin run -f examples/iris
  serin run -f service.yaml --http-port 9000
  serin run -f service.yaml --install-runtime";

const CHECK_EXAMPLES: &str = "\
Examples:
  serin check -f service.yaml
  serin check -f examples/iris -f examples/digits
  helm template mine | serin check -f -";

/// Manifests to read.
#[derive(Args, Debug)]
pub struct Files {
    /// Manifests: a file, a folder (its *.yaml, *.yml and *.json, none below it), or - for standard
    /// input
    #[arg(short = 'f', long = "filename", value_name = "FILE|FOLDER", required = true, num_args = 1..)]
    pub files: Vec<PathBuf>,
}

#[derive(Args, Debug)]
pub struct RunArgs {
    #[command(flatten)]
    pub manifests: Files,

    /// Port of every HTTP protocol and of /metrics; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub http_port: u16,

    /// Port of gRPC alone; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8081)]
    pub grpc_port: u16,

    /// Port of probes and status; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8082)]
    pub admin_port: u16,

    /// Address that every port is bound to; `::` stands for all, of IPv4 and IPv6
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub bind: IpAddr,

    /// A name by which callers may address this machine, besides addresses and localhost; may be given
    /// several times. Requests for other names are refused: web pages could make them
    #[arg(long, value_name = "NAME")]
    pub allow_host: Vec<String>,

    /// The ONNX Runtime library; looked for in $SERIN_ONNXRUNTIME, beside this program, in the
    /// user's cache and in the system's folders when not given
    #[arg(long, value_name = "FILE")]
    pub runtime_library: Option<PathBuf>,

    /// Get ONNX Runtime first where it is not there yet, as `serin runtime install` does
    #[arg(long, conflicts_with = "runtime_library")]
    pub install_runtime: bool,

    /// Which log lines to write: a level, or `target=level` pairs; `serin::access=debug` adds a
    /// line for each answer
    #[arg(
        long,
        value_name = "FILTER",
        env = "RUST_LOG",
        default_value = "warn,serin_dataplane::model::fetch=info"
    )]
    pub log: String,
}

#[derive(Args, Debug)]
pub struct CheckArgs {
    #[command(flatten)]
    pub manifests: Files,

    /// Accept models in ConfigMaps that are not among the files: the cluster has them
    #[arg(long)]
    pub allow_missing: bool,

    /// The ONNX Runtime library to load models with; looked for as `serin run` does when not given
    #[arg(long, value_name = "FILE")]
    pub runtime_library: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
pub enum RuntimeCommand {
    /// Put the library into the user's cache; does nothing where it is there already
    ///
    /// Fetches the wheel of the pinned release with pip and checks the library's SHA-256. A
    /// machine without internet takes the wheel or the library from another one.
    #[command(
        after_help = "Examples:\n  serin runtime install\n  serin runtime install --wheel onnxruntime-1.31.1-cp313-cp313-manylinux_2_28_x86_64.whl"
    )]
    Install(InstallArgs),
    /// Print where the library is
    Path,
}

#[derive(Args, Debug, Default)]
pub struct InstallArgs {
    /// Take the library from this wheel instead of fetching one
    #[arg(long, value_name = "FILE", conflicts_with = "library")]
    pub wheel: Option<PathBuf>,

    /// Take this library instead of fetching one
    #[arg(long, value_name = "FILE")]
    pub library: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_command_and_flag_has_help() {
        fn documented(command: &clap::Command) {
            for flag in command.get_arguments() {
                assert!(
                    flag.get_help().is_some(),
                    "{} --{}",
                    command.get_name(),
                    flag.get_id()
                );
            }
            for below in command.get_subcommands() {
                assert!(below.get_about().is_some(), "{}", below.get_name());
                documented(below);
            }
        }
        let command = Cli::command();
        command.clone().debug_assert();
        documented(&command);
    }
}
