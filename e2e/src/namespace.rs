//! A namespace of a test's own, under Pod Security `restricted`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Resource};
use serde_json::Value;
use serin_crds::{InferenceService, labels};

use crate::program::Ended;
use crate::world::{TEST_LABEL, World};

/// Limit of a kubectl call that waits for nothing.
const CALL: Duration = Duration::from_secs(30);

/// A namespace that is deleted at the end of the test. When the test failed, what was in it is
/// printed before.
pub struct TestNamespace {
    /// Its name.
    pub name: String,
    /// A client for the test's runtime.
    pub client: kube::Client,
    world: &'static World,
}

impl TestNamespace {
    /// Makes one whose name begins with `theme`.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn new(world: &'static World, theme: &str) -> Self {
        Self::with_level(world, theme, "restricted").await
    }

    /// One under another Pod Security level.
    pub async fn with_level(world: &'static World, theme: &str, level: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("e2e-{theme}-{}-{count}", std::process::id());
        let manifest = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels:\n    {TEST_LABEL}: \"true\"\n    \
             pod-security.kubernetes.io/enforce: {level}\n    pod-security.kubernetes.io/warn: {level}\n"
        );
        world
            .kubectl_with(&["create", "--filename", "-"], &manifest, CALL)
            .expect_success();
        Self {
            name,
            client: world.client().await,
            world,
        }
    }

    /// The cluster it is in.
    pub fn world(&self) -> &'static World {
        self.world
    }

    /// Objects of a kind in it.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Its services.
    pub fn services(&self) -> Api<InferenceService> {
        self.api()
    }

    /// Runs kubectl in it.
    pub fn kubectl(&self, arguments: &[&str]) -> Ended {
        self.kubectl_with(arguments, "", CALL)
    }

    /// The same with a standard input and a limit.
    pub fn kubectl_with(&self, arguments: &[&str], stdin: &str, limit: Duration) -> Ended {
        let arguments: Vec<_> = ["--namespace", &self.name]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        self.world.kubectl_with(&arguments, stdin, limit)
    }

    /// `kubectl apply` of one manifest.
    ///
    /// # Panics
    /// When it is refused, or accepted with a warning.
    pub fn apply(&self, manifest: &Value) {
        let ended = self.kubectl_with(&["apply", "--filename", "-"], &manifest.to_string(), CALL);
        assert_eq!(ended.stderr, "", "kubectl apply has something to say");
        ended.expect_success();
    }

    /// `kubectl apply` of the model's ConfigMap of an example: `iris` or `iris/v2`.
    pub fn apply_model(&self, example: &str) {
        let path = crate::examples::path(&format!("{example}/model-configmap.yaml"));
        self.kubectl(&["apply", "--filename", &path.to_string_lossy()])
            .expect_success();
    }

    /// A ConfigMap with one key.
    pub fn apply_config_map(&self, name: &str, key: &str, text: &str) {
        self.apply(&serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {key: text}
        }));
    }

    /// Deployments of a service.
    ///
    /// # Panics
    /// When they cannot be listed.
    pub async fn deployments_of(&self, service: &str) -> Vec<Deployment> {
        self.of(service).await
    }

    /// Pods of a service.
    ///
    /// # Panics
    /// When they cannot be listed.
    pub async fn pods_of(&self, service: &str) -> Vec<Pod> {
        self.of(service).await
    }

    /// What Serin made for a service, of one kind.
    ///
    /// # Panics
    /// When it cannot be listed.
    pub async fn of<K>(&self, service: &str) -> Vec<K>
    where
        K: Resource<Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
        K::DynamicType: Default,
    {
        let selector = format!("{}={service}", labels::SERVICE);
        let listed = self
            .api::<K>()
            .list(&ListParams::default().labels(&selector))
            .await;
        listed.expect("the API server lists").items
    }

    fn diagnosis(&self) -> String {
        let mut text = String::new();
        for arguments in [
            &["get", "inferenceservices", "--output", "yaml"][..],
            &[
                "get",
                "deployments,replicasets,pods,services,horizontalpodautoscalers,configmaps",
                "--output",
                "wide",
            ],
            &["describe", "pods"],
            &["get", "events", "--sort-by", ".lastTimestamp"],
            &[
                "logs",
                "--selector",
                labels::SERVICE,
                "--prefix",
                "--tail",
                "40",
            ],
        ] {
            let ended = self.kubectl(arguments);
            text.push_str(&format!(
                "--- kubectl {}\n{}{}\n",
                arguments.join(" "),
                ended.stdout,
                ended.stderr
            ));
        }
        text + "--- operator\n" + &self.world.operator_log(Some(&self.name))
    }
}

impl Drop for TestNamespace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.diagnosis());
        }
        self.world
            .kubectl(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}
