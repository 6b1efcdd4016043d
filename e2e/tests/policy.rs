//! `spec.api` and `spec.telemetry` reach the pods that serve: no new pod, no lost request.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use kube::Resource;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use serin_crds::contract::policy::{POLICY_KEY, Policy};
use serin_crds::contract::status_report::{PolicyReport, StatusReport};
use serin_crds::ports;
use serin_e2e::client_pod::infer_url;
use serin_e2e::service::status_of;
use serin_e2e::{ClientPod, TestNamespace, eventually, examples, kubelet, pods, seconds, world};
use sha2::{Digest, Sha256};

const REPLICAS: usize = 2;
const CONNECTIONS: u32 = 8;
/// A second. Leaves enough of two cores for what looks at the pods.
const RATE: u32 = 300;

/// What a change may take besides the kubelet's sync: the operator writes the ConfigMap, and the data
/// plane looks at its file once a second.
const RELOAD: Duration = seconds(2);
/// What a look at the pods through kubectl may take. It lengthens the wait only: when the policy came
/// into force is told by its age.
const LOOK: Duration = seconds(15);

/// An iris flower whose probabilities are no numbers.
const NOT_A_NUMBER: &str = r#"{
    "inputs": [{"name": "measurements", "shape": [1, 4], "datatype": "FP32", "data": ["NaN", 3.5, 1.4, 0.2]}],
    "outputs": [{"name": "probabilities"}]
}"#;

fn iris(fields: &Value) -> Value {
    let mut service = examples::iris_with(fields);
    service["spec"]["replicas"] = json!(REPLICAS);
    service
}

/// What a pod does that its policy decides.
#[derive(Clone, Debug, PartialEq)]
struct Behaviour {
    /// How it writes NaN.
    not_a_number: Value,
    /// What it answers to who loads a model.
    load: u16,
    /// Whose names its metrics have besides Serin's.
    metrics: Vec<&'static str>,
}

fn of_defaults() -> Behaviour {
    Behaviour {
        not_a_number: json!("NaN"),
        load: 403,
        metrics: vec!["VLLM"],
    }
}

fn changed() -> (Value, Behaviour) {
    let fields = json!({
        "api": {"nonFinite": "JSONNull", "repositoryControl": "Enabled"},
        "telemetry": {"compatMetrics": ["Triton"]}
    });
    let behaviour = Behaviour {
        not_a_number: Value::Null,
        load: 200,
        metrics: vec!["Triton"],
    };
    (fields, behaviour)
}

/// A pod as the client reaches it, past the Service.
struct PodAddress {
    name: String,
    ip: String,
}

impl PodAddress {
    fn of(pod: &Pod) -> Self {
        let status = pod.status.as_ref().expect("a status");
        Self {
            name: pod.metadata.name.clone().unwrap(),
            ip: status.pod_ip.clone().expect("an address"),
        }
    }

    fn ask(
        &self,
        client: &ClientPod<'_>,
        method: &str,
        place: &str,
        body: &str,
    ) -> Result<(u16, String), String> {
        let url = format!("http://{}:{place}", self.ip);
        let answer = client
            .send(method, &url, body)
            .map_err(|error| format!("{}: {error}", self.name))?;
        Ok((answer.status, answer.body))
    }

    /// The policy in force.
    fn policy(&self, client: &ClientPod<'_>) -> Result<PolicyReport, String> {
        let place = format!("{}/statusz", ports::ADMIN);
        let (_, body) = self.ask(client, "GET", &place, "")?;
        let report: StatusReport =
            serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?;
        report.policy.ok_or_else(|| format!("no policy: {body}"))
    }

    fn behaviour(&self, client: &ClientPod<'_>) -> Result<Behaviour, String> {
        let place = |path: &str| format!("{}{path}", ports::HTTP);
        let infer = place("/v2/models/iris/infer");
        let (_, inferred) = self.ask(client, "POST", &infer, NOT_A_NUMBER)?;
        let inferred: Value =
            serde_json::from_str(&inferred).map_err(|error| format!("{error}: {inferred}"))?;
        let not_a_number = inferred
            .pointer("/outputs/0/data/0")
            .ok_or_else(|| inferred.to_string())?;
        let load = place("/v2/repository/models/iris/load");
        let (load, _) = self.ask(client, "POST", &load, "{}")?;
        let (_, page) = self.ask(client, "GET", &place("/metrics"), "")?;
        let names = [
            ("VLLM", "vllm:"),
            ("Triton", "nv_inference_"),
            ("KServe", "request_predict_seconds"),
        ];
        let offered = names
            .iter()
            .filter(|(_, prefix)| page.lines().any(|line| line.starts_with(prefix)));
        Ok(Behaviour {
            not_a_number: not_a_number.clone(),
            load,
            metrics: offered.map(|(server, _)| *server).collect(),
        })
    }
}

async fn addresses(namespace: &TestNamespace) -> Vec<PodAddress> {
    let pods = namespace.pods_of("iris").await;
    assert_eq!(pods.len(), REPLICAS);
    pods.iter().map(PodAddress::of).collect()
}

/// The hash of the policy that the operator wrote.
async fn written(namespace: &TestNamespace) -> String {
    let name = Policy::config_map_name("iris");
    let map = namespace.api::<ConfigMap>().get(&name).await.unwrap();
    let document = &map.data.expect("a document")[POLICY_KEY];
    hex::encode(Sha256::digest(document))
}

/// What makes pods, and the pods: each with what a change of it changes.
async fn makers_and_pods(namespace: &TestNamespace) -> BTreeMap<String, String> {
    async fn of<K>(namespace: &TestNamespace, found: &mut BTreeMap<String, String>)
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
        K::DynamicType: Default,
    {
        let kind = K::kind(&K::DynamicType::default()).into_owned();
        for object in namespace.of::<K>("iris").await {
            let meta = object.meta();
            let (uid, generation) = (meta.uid.clone().unwrap(), meta.generation);
            let name = format!("{kind}/{}", meta.name.clone().unwrap());
            found.insert(name, format!("{uid}, generation {generation:?}"));
        }
    }
    let mut found = BTreeMap::new();
    of::<Service>(namespace, &mut found).await;
    of::<ConfigMap>(namespace, &mut found).await;
    of::<ControllerRevision>(namespace, &mut found).await;
    of::<Deployment>(namespace, &mut found).await;
    of::<ReplicaSet>(namespace, &mut found).await;
    of::<Pod>(namespace, &mut found).await;
    for pod in namespace.pods_of("iris").await {
        let (name, restarts) = pods::restarts(&pod).unwrap();
        found.insert(format!("restarts of {name}"), restarts.to_string());
    }
    let revision = status_of(&namespace.service("iris").await).stable_revision;
    found.insert("revision".to_owned(), revision.expect("a revision"));
    found
}

/// Applies a changed service and waits until each pod has its policy in force. Gives the time that
/// the slowest took, by the age that it tells.
async fn put_in_force(
    namespace: &TestNamespace,
    client: &ClientPod<'_>,
    service: &Value,
    limit: Duration,
) -> Duration {
    let pods = addresses(namespace).await;
    let before = written(namespace).await;
    let began = Instant::now();
    namespace.apply(service);
    let wanted = eventually("the operator writes the policy", RELOAD + LOOK, || async {
        let hash = written(namespace).await;
        (hash != before)
            .then_some(hash)
            .ok_or(format!("it is still {before}"))
    })
    .await;
    let mut slowest = Duration::ZERO;
    for pod in &pods {
        let what = format!("{} has policy {wanted} in force", pod.name);
        let took = eventually(&what, limit + LOOK, || async {
            let report = pod.policy(client)?;
            let age = Duration::from_secs_f64(report.age_seconds);
            (report.hash == wanted)
                .then(|| began.elapsed().saturating_sub(age))
                .ok_or(format!("{report:?}"))
        })
        .await;
        slowest = slowest.max(took);
    }
    slowest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_policy_is_in_force_in_every_pod_without_a_restart_or_a_lost_request() {
    let namespace = TestNamespace::new(world(), "policy").await;
    namespace.apply_model("iris");
    namespace.apply(&iris(&json!({})));
    namespace.ready("iris", seconds(90)).await;
    let client = ClientPod::start(&namespace);
    client.reaches("iris").await;
    for pod in addresses(&namespace).await {
        assert_eq!(pod.behaviour(&client), Ok(of_defaults()), "{}", pod.name);
    }
    let node = namespace.pods_of("iris").await[0].spec.clone().unwrap();
    let sync = kubelet::volume_sync(world(), &node.node_name.unwrap());
    let limit = sync + RELOAD;
    let before = makers_and_pods(&namespace).await;

    let (body, _) = examples::iris_request("three-flowers");
    let load = client.load(&infer_url("iris", "iris"), &body, CONNECTIONS, RATE);
    let began = Instant::now();
    let (fields, behaviour) = changed();
    for (change, service, wanted) in [
        ("set", iris(&fields), behaviour),
        ("taken away", iris(&json!({})), of_defaults()),
    ] {
        let took = put_in_force(&namespace, &client, &service, limit).await;
        println!("{change}: in force in every pod after {took:?} (limit {limit:?})");
        assert!(took <= limit, "{change}: {took:?}, limit {limit:?}");
        for pod in addresses(&namespace).await {
            let found = pod.behaviour(&client);
            assert_eq!(found.as_ref(), Ok(&wanted), "{change}: {}", pod.name);
        }
        // The operator has seen the change, and nothing is left for it to do.
        namespace.ready("iris", seconds(30)).await;
        assert_eq!(makers_and_pods(&namespace).await, before, "{change}");
    }

    let report = load.stop();
    println!("{report:?} in {:?}", began.elapsed());
    assert_eq!(report.failed, 0, "{report:#?}");
    assert!(report.requests > 1000, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_starts_with_its_policy_in_force() {
    let namespace = TestNamespace::new(world(), "policy-start").await;
    namespace.apply_model("iris");
    let (fields, behaviour) = changed();
    namespace.apply(&iris(&fields));
    namespace.ready("iris", seconds(90)).await;
    let wanted = written(&namespace).await;
    let client = ClientPod::start(&namespace);
    for pod in addresses(&namespace).await {
        let found = pod.policy(&client).unwrap();
        assert_eq!((&found.hash, &found.error), (&wanted, &None), "{found:?}");
        assert_eq!(pod.behaviour(&client).as_ref(), Ok(&behaviour));
        // From the start: the mount below the configuration's has it before the process runs.
        let log = namespace.kubectl(&["logs", &pod.name]).expect_success();
        assert!(log.contains("listening"), "{log}");
        for late in ["there is no policy file", "the policy is reloaded"] {
            assert!(!log.contains(late), "{log}");
        }
    }
}
