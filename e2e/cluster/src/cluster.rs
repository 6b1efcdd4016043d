//! A cluster to test against: our own, or one whose kubeconfig is given.
use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{Error, Result, command, layout::Layout, packages::PATH, sandbox::Sandbox};

/// The cluster that tests and `cargo xtask cluster` use.
pub const DEFAULT_NAME: &str = "serin-e2e";

/// Names a kubeconfig of a cluster that is somebody else's to start, stop and load with images.
pub const KUBECONFIG_VARIABLE: &str = "SERIN_E2E_KUBECONFIG";

/// Set by [`Cluster::command`] for what it runs: the name of the cluster that it runs in.
pub const NAME_VARIABLE: &str = "SERIN_E2E_CLUSTER";

const KUBECTL_LIMIT: Duration = Duration::from_secs(30);

/// A running cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    kubeconfig: PathBuf,
    /// None for somebody else's cluster.
    own: Option<Own>,
}

#[derive(Debug, Clone)]
struct Own {
    layout: Layout,
    sandbox: Sandbox,
    binaries: PathBuf,
}

impl Cluster {
    /// Our own cluster of that name, which must run.
    ///
    /// # Errors
    /// When it does not.
    pub fn running(name: &str) -> Result<Self> {
        Self::find(&Layout::new(name)?).ok_or_else(|| Error::NotUp(name.into()))
    }

    /// A command with `KUBECONFIG` set, run inside the cluster's network when the cluster is our own. kubectl, helm and ctr (with
    /// the socket and namespace set) are then on the `PATH`, and their caches are the cluster's. Files and processes are the machine's.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let Some(own) = &self.own else {
            let mut command = Command::new(program);
            command.env("KUBECONFIG", &self.kubeconfig);
            return command;
        };
        let state = own.layout.state();
        let path = env::var("PATH").unwrap_or_else(|_| PATH.into());
        let mut command = own.sandbox.enter_network(program);
        command
            .env(NAME_VARIABLE, &own.layout.name)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("PATH", format!("{}:{path}", own.binaries.display()))
            .env("CONTAINERD_ADDRESS", own.layout.containerd_socket())
            .env("CONTAINERD_NAMESPACE", "k8s.io")
            .env("KUBECACHEDIR", state.join("kubectl"))
            .env("HELM_CACHE_HOME", state.join("helm/cache"))
            .env("HELM_CONFIG_HOME", state.join("helm/config"))
            .env("HELM_DATA_HOME", state.join("helm/data"));
        command
    }

    /// kubectl's answer.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut kubectl = self.command("kubectl");
        kubectl.arg("--request-timeout=20s").args(arguments);
        command::output(&mut kubectl, KUBECTL_LIMIT)
    }

    /// Of a user who may do everything. The address in it answers only inside the cluster's network: see [`Cluster::command`].
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The API server's audit log: one JSON object a line for every write, with `user`, `verb` and `objectRef`, as soon as it is
    /// answered. None when the cluster is somebody else's.
    #[must_use]
    pub fn audit_log(&self) -> Option<PathBuf> {
        self.own.as_ref().map(|own| own.layout.audit_log())
    }

    /// The log of one component, for example `kubelet`. None when the cluster is somebody else's.
    #[must_use]
    pub fn component_log(&self, name: &str) -> Option<PathBuf> {
        self.own.as_ref().map(|own| own.layout.log(name))
    }

    /// Whether the cluster is one that this crate started. If not, images are the user's to load.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    pub(crate) fn own(layout: Layout, sandbox: Sandbox, binaries: PathBuf) -> Self {
        Self {
            kubeconfig: layout.kubeconfig("admin"),
            own: Some(Own {
                layout,
                sandbox,
                binaries,
            }),
        }
    }

    /// The sandbox and paths of our own cluster.
    pub(crate) fn inside(&self) -> Option<(&Layout, &Sandbox)> {
        self.own.as_ref().map(|own| (&own.layout, &own.sandbox))
    }

    /// One that runs and was complete once.
    pub(crate) fn find(layout: &Layout) -> Option<Self> {
        let sandbox = Sandbox::find(layout)?;
        let binaries = std::fs::read_to_string(layout.complete()).ok()?;
        Some(Self::own(layout.clone(), sandbox, binaries.into()))
    }

    pub(crate) fn theirs(kubeconfig: PathBuf) -> Result<Self> {
        if kubeconfig.is_file() {
            Ok(Self {
                kubeconfig,
                own: None,
            })
        } else {
            Err(Error::NoSuchKubeconfig(kubeconfig))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_that_is_no_file_is_refused() {
        assert!(matches!(
            Cluster::theirs("/no/such/file".into()),
            Err(Error::NoSuchKubeconfig(_))
        ));
    }

    #[test]
    fn a_program_against_somebody_elses_cluster_runs_as_it_is() {
        let command = Cluster {
            kubeconfig: "/k".into(),
            own: None,
        }
        .command("kubectl");
        assert_eq!(command.get_program(), "kubectl");
        assert!(
            command
                .get_envs()
                .any(|(name, value)| name == "KUBECONFIG" && value == Some(OsStr::new("/k")))
        );
    }
}
