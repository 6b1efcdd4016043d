//! From a folder of manifests to a prediction: what a user does first.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use k8s_openapi::api::core::v1::{Pod, Service};
use serde_json::Value;
use serin_e2e::answers::Answer;
use serin_e2e::{ClientPod, TestNamespace, eventually, examples, node, seconds, world};

/// The answer says what the example promises, to the precision of its numbers.
fn assert_predicts(answer: &Answer, expected: &Value) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_same(&answer.json(), expected, "the answer");
}

fn assert_same(got: &Value, wanted: &Value, place: &str) {
    match (got, wanted) {
        (Value::Object(got), Value::Object(wanted)) => {
            for (name, wanted) in wanted {
                let got = got.get(name).unwrap_or(&Value::Null);
                assert_same(got, wanted, &format!("{place}.{name}"));
            }
        }
        (Value::Array(got), Value::Array(wanted)) => {
            assert_eq!(got.len(), wanted.len(), "{place}");
            for (index, (got, wanted)) in got.iter().zip(wanted).enumerate() {
                assert_same(got, wanted, &format!("{place}[{index}]"));
            }
        }
        (Value::Number(got), Value::Number(wanted)) => {
            let (got, wanted) = (got.as_f64().unwrap(), wanted.as_f64().unwrap());
            assert!(
                (got - wanted).abs() < 1e-5,
                "{place} is {got}, not {wanted}"
            );
        }
        _ => assert_eq!(got, wanted, "{place}"),
    }
}

/// `kubectl apply -f examples/NAME` and `kubectl wait`, as the README says.
fn apply_example(namespace: &TestNamespace, name: &str) {
    let folder = examples::path(name);
    let applied = namespace.kubectl(&["apply", "--filename", &folder.to_string_lossy()]);
    assert_eq!(applied.stderr, "", "kubectl apply gives a warning");
    applied.expect_success();
    let service = format!("inferenceservice/{name}");
    let wait = ["wait", "--for=condition=Ready", &service, "--timeout=90s"];
    namespace
        .kubectl_with(&wait, "", seconds(120))
        .expect_success();
}

async fn iris(theme: &str) -> TestNamespace {
    let namespace = TestNamespace::new(world(), theme).await;
    apply_example(&namespace, "iris");
    namespace
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_as_it_stands_gives_the_answers_it_promises() {
    let namespace = TestNamespace::new(world(), "examples").await;
    let client = ClientPod::start(&namespace);
    let examples = examples::all();
    assert!(examples.len() >= 2, "{examples:?}");
    for (example, requests) in examples {
        apply_example(&namespace, &example);
        client.reaches(&example).await;
        assert!(!requests.is_empty(), "{example} has no request");
        for request in requests {
            let (body, expected) = examples::request(&example, &request);
            let url = format!("http://{example}{}", examples::path_of(&example, &body));
            let answer = client.send("POST", &url, &body).unwrap();
            assert_predicts(&answer, &expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_iris_example_as_it_stands_predicts_by_address_and_by_name() {
    let namespace = iris("serving").await;
    let client = ClientPod::start(&namespace);
    client.reaches("iris").await;
    let (body, expected) = examples::iris_request("setosa");

    let service = namespace.api::<Service>().get("iris").await.unwrap();
    let address = service.spec.unwrap().cluster_ip.unwrap();
    let name = &namespace.name;
    let by_address = client
        .send(
            "POST",
            &format!("http://{address}/v2/models/iris/infer"),
            &body,
        )
        .unwrap();
    assert_predicts(&by_address, &expected);
    for host in [
        "iris".to_owned(),
        format!("iris.{name}.svc"),
        format!("iris.{name}.svc.cluster.local"),
    ] {
        let answer = client
            .send(
                "POST",
                &format!("http://{host}/v2/models/iris/infer"),
                &body,
            )
            .unwrap_or_else(|error| panic!("{host}: {error}"));
        assert_eq!(answer.peer, format!("{address}:80"), "{host}");
        assert_predicts(&answer, &expected);
    }

    let status = namespace.service("iris").await.status.unwrap();
    let url = status.url.expect("a URL in the status");
    let ready = client
        .send("GET", &format!("{url}/v2/health/ready"), "")
        .unwrap();
    assert_eq!(ready.status, 200, "{url}: {}", ready.body);
    assert_eq!(status.version.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_restricted_and_its_deployment_gives_no_warning() {
    let namespace = iris("restricted").await;
    let pod: Pod = namespace.pods_of("iris").await.remove(0);
    let pod = serde_json::to_value(&pod).unwrap();
    assert_eq!(pod["spec"]["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
    for container in pod["spec"]["containers"].as_array().unwrap() {
        let context = &container["securityContext"];
        assert_eq!(context["readOnlyRootFilesystem"], true, "{context}");
        assert_eq!(context["allowPrivilegeEscalation"], false, "{context}");
    }
    assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0);

    // What was asked for is what the kernel enforces.
    let processes = node::processes(&namespace.pods_of("iris").await[0]).await;
    for process in &processes {
        assert_eq!(process.user, 65532, "{process:?}");
        assert_eq!(
            process.effective_capabilities,
            "0".repeat(16),
            "{process:?}"
        );
        assert!(
            process.no_new_privileges && process.seccomp_filter,
            "{process:?}"
        );
        assert!(process.root_read_only, "{process:?}");
    }

    // The API server would warn whoever creates the same again in this namespace.
    let deployments = namespace.deployments_of("iris").await;
    let mut deployment = serde_json::to_value(&deployments[0]).unwrap();
    deployment["apiVersion"] = "apps/v1".into();
    deployment["kind"] = "Deployment".into();
    deployment["metadata"] = serde_json::json!({"name": "copy"});
    let created = namespace.kubectl_with(
        &["create", "--dry-run=server", "--filename", "-"],
        &deployment.to_string(),
        seconds(20),
    );
    assert_eq!(created.stderr, "");
    created.expect_success();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_answers_only_while_it_exists() {
    let namespace = iris("gone").await;
    let client = ClientPod::start(&namespace);
    client.reaches("iris").await;
    let (body, _) = examples::iris_request("setosa");
    assert_eq!(client.infer("iris", &body).unwrap().status, 200);
    namespace
        .kubectl(&["delete", "inferenceservice", "iris", "--wait=false"])
        .expect_success();
    eventually("nobody answers", seconds(60), || async {
        match client.infer("iris", &body) {
            Ok(answer) => Err(format!("{} {}", answer.status, answer.body)),
            Err(_) => Ok(()),
        }
    })
    .await;
}
