//! What every test finds in the cluster: the images, and the operator installed from the chart.

use std::fs::File;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;
use serin_e2e_cluster::{Cluster, DEFAULT_NAME, KUBECONFIG_VARIABLE, NAME_VARIABLE};

use crate::images::Images;
use crate::pods;
use crate::program::{self, Ended};
use crate::wait::eventually_blocking;

/// Namespace of the operator, and name of the Helm release.
pub const OPERATOR_NAMESPACE: &str = "serin-system";
/// Name of the operator's Deployment and service account.
pub const OPERATOR_NAME: &str = "serin";
/// Label of the namespaces that tests make.
pub const TEST_LABEL: &str = "serin.dev/e2e";

/// Limit of a single kubectl or helm call that waits for nothing.
const CALL: Duration = Duration::from_secs(30);
/// Limit of the first answer of the API server.
const REACH: Duration = Duration::from_secs(10);
/// Limit of the installation, the pull of no image included.
const INSTALL: Duration = Duration::from_secs(150);

/// Limit of an old operator's end: its grace period, and the time to notice.
const REPLACED: Duration = Duration::from_secs(60);
/// Label of the operators' pods.
const OPERATOR_SELECTOR: &str = "app.kubernetes.io/name=serin-operator";

const CURE: &str = "start the test cluster with `cargo xtask cluster up` and run the test inside it: \
     `cargo xtask cluster exec -- cargo test -p serin-e2e --test NAME`, or point SERIN_E2E_KUBECONFIG to a cluster of your own";

/// The cluster, ready for a test.
pub struct World {
    cluster: Cluster,
    images: Images,
}

/// The cluster with Serin installed. The first call of a process does what is missing.
///
/// # Panics
/// When there is no cluster, or it cannot be made ready: the message names the cure.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let cluster = cluster().unwrap_or_else(|error| panic!("{error}; {CURE}"));
        // Several test programs may start at once.
        let lock = File::create(std::env::temp_dir().join("serin-e2e.lock")).expect("a lock file");
        lock.lock().expect("a lock on it");
        let images = Images::import(&cluster);
        let world = World { cluster, images };
        world.install();
        world
    })
}

fn cluster() -> serin_e2e_cluster::Result<Cluster> {
    match std::env::var_os(KUBECONFIG_VARIABLE) {
        Some(path) if !path.is_empty() => Cluster::running_or_up(),
        _ => Cluster::running(&std::env::var(NAME_VARIABLE).unwrap_or(DEFAULT_NAME.into())),
    }
}

impl World {
    fn install(&self) {
        let reached = self.kubectl(&["get", "--raw", "/readyz"]);
        assert!(reached.success, "{}; {CURE}", reached.stderr);
        if let Err(error) = self.reachable_from_here() {
            panic!("this test does not run inside the cluster's network: {error}; {CURE}");
        }
        self.remove_leftovers();
        let manifest = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {OPERATOR_NAMESPACE}\n  labels:\n    \
             pod-security.kubernetes.io/enforce: restricted\n    pod-security.kubernetes.io/warn: restricted\n"
        );
        self.kubectl_with(&["apply", "--filename", "-"], &manifest, CALL)
            .expect_success();
        self.upgrade(&[]);
    }

    /// kubectl enters the cluster's network by itself; this process has to be in it already.
    fn reachable_from_here(&self) -> Result<(), String> {
        let ask = || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| error.to_string())?;
            runtime.block_on(async {
                let client = self.client().await;
                match tokio::time::timeout(REACH, client.apiserver_version()).await {
                    Ok(answer) => answer.map(drop).map_err(|error| error.to_string()),
                    Err(_) => Err(format!("no answer in {REACH:?}")),
                }
            })
        };
        // In a thread of its own: the caller is inside a runtime.
        std::thread::scope(|scope| scope.spawn(ask).join())
            .unwrap_or_else(|_| Err("the client panicked".to_owned()))
    }

    /// Installs the chart, or changes its values: those of every test, then these. No operator
    /// with earlier values is left when this returns.
    ///
    /// # Panics
    /// When the operators do not become ready, old ones do not end, or the API server warns.
    pub fn upgrade(&self, values: &[&str]) {
        let mut helm = self.cluster.command("helm");
        helm.args(["upgrade", "--install", OPERATOR_NAME])
            .arg(crate::chart::folder())
            .args(["--namespace", OPERATOR_NAMESPACE])
            .args(["--wait", "--timeout", "120s"])
            .args(["--set", "replicas=2"])
            .args(["--set", "operator.logFormat=text"]);
        for (name, value) in self.images.chart_values() {
            helm.args(["--set-string", &format!("{name}={value}")]);
        }
        for value in values {
            // The last of one kind wins, and this kind wins over `--set`.
            helm.args(["--set-string", value]);
        }
        let installed = program::run(helm, "", INSTALL);
        if !installed.success {
            let pods = self.kubectl(&["--namespace", OPERATOR_NAMESPACE, "describe", "pods"]);
            let logs = self.operator_log(None);
            panic!("{}\n{}\n{logs}", installed.stderr, pods.stdout);
        }
        assert_eq!(installed.stderr, "", "helm or the API server warns");
        // helm waits for the new operators only: an old one may hold the lease still, and act on
        // what the test does next with the values of before.
        eventually_blocking("the old operators are gone", REPLACED, || {
            let found = self.kubectl(&[
                "--namespace",
                OPERATOR_NAMESPACE,
                "get",
                "pods",
                "--selector",
                OPERATOR_SELECTOR,
                "--output=json",
            ]);
            if !found.success {
                return Err(found.stderr);
            }
            // kubectl calls every list `List`, which is no kind that a client would take.
            let mut found: Value =
                serde_json::from_str(&found.stdout).map_err(|error| error.to_string())?;
            let found: Vec<Pod> =
                serde_json::from_value(found["items"].take()).map_err(|error| error.to_string())?;
            pods::of_one_template(&found)
        });
    }

    /// Ends what a run that was killed left behind.
    fn remove_leftovers(&self) {
        let selector = format!("{TEST_LABEL}=true");
        self.kubectl(&[
            "delete",
            "namespaces",
            "--selector",
            &selector,
            "--wait=false",
        ])
        .expect_success();
    }

    /// A client for the runtime that calls it.
    ///
    /// # Panics
    /// When the kubeconfig cannot be used.
    pub async fn client(&self) -> kube::Client {
        let kubeconfig = Kubeconfig::read_from(self.cluster.kubeconfig()).expect("a kubeconfig");
        let mut config =
            kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                .await
                .expect("a usable kubeconfig");
        config.read_timeout = Some(CALL);
        kube::Client::try_from(config).expect("a client")
    }

    /// Runs kubectl as a user who may do everything.
    pub fn kubectl(&self, arguments: &[&str]) -> Ended {
        self.kubectl_with(arguments, "", CALL)
    }

    /// The same with a standard input and a limit.
    pub fn kubectl_with(&self, arguments: &[&str], stdin: &str, limit: Duration) -> Ended {
        let mut command = self.command("kubectl");
        command.args(arguments);
        program::run(command, stdin, limit)
    }

    /// A program with the cluster's settings: kubectl, helm.
    pub fn command(&self, name: &str) -> Command {
        self.cluster.command(name)
    }

    /// The cluster itself.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Image of the client that runs inside the cluster.
    pub fn client_image(&self) -> &str {
        &self.images.client
    }

    /// Image of the pods that serve models.
    pub fn dataplane_image(&self) -> &str {
        &self.images.dataplane
    }

    /// What the operators said lately: the last lines, or those that speak of one namespace.
    pub fn operator_log(&self, namespace: Option<&str>) -> String {
        let arguments = [
            "--namespace",
            OPERATOR_NAMESPACE,
            "logs",
            "--selector",
            OPERATOR_SELECTOR,
            "--tail=400",
        ];
        let log = self.kubectl(&arguments).stdout;
        let mut lines: Vec<_> = log
            .lines()
            .filter(|line| namespace.is_none_or(|namespace| line.contains(namespace)))
            .collect();
        lines.drain(..lines.len().saturating_sub(40));
        lines.join("\n")
    }
}
