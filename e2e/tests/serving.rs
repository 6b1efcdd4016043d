//! From a folder of manifests to a prediction: what a user does first.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use k8s_openapi::api::core::v1::{Pod, Service};
use serde_json::Value;
use serin_e2e::answers::Answer;
use serin_e2e::examples::{self, output};
use serin_e2e::{ClientPod, TestNamespace, eventually, node, seconds, world};

/// The answer says what the example promises, to the precision of its numbers.
fn assert_predicts(answer: &Answer, expected: &Value) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let got = answer.json();
    for field in ["model_name", "model_version", "id"] {
        assert_eq!(got[field], expected[field], "{}", answer.body);
    }
    assert_eq!(output(&got, "label"), output(expected, "label"));
    let probabilities = |answer: &Value| -> Vec<f64> {
        let data = output(answer, "probabilities")["data"].as_array().unwrap();
        data.iter().map(|number| number.as_f64().unwrap()).collect()
    };
    let (got, wanted) = (probabilities(&got), probabilities(expected));
    assert_eq!(got.len(), wanted.len());
    for (got, wanted) in got.iter().zip(&wanted) {
        assert!((got - wanted).abs() < 1e-5, "{got} is not {wanted}");
    }
}

async fn iris(theme: &str) -> TestNamespace {
    let namespace = TestNamespace::new(world(), theme).await;
    let folder = examples::path("iris");
    let applied = namespace.kubectl(&["apply", "--filename", &folder.to_string_lossy()]);
    assert_eq!(
        applied.stderr, "",
        "kubectl apply of the example has a warning"
    );
    applied.expect_success();
    let waited = namespace.kubectl_with(
        &[
            "wait",
            "--for=condition=Ready",
            "inferenceservice/iris",
            "--timeout=90s",
        ],
        "",
        seconds(120),
    );
    waited.expect_success();
    namespace
}

#[tokio::test(flavor = "multi_thread")]
async fn the_iris_example_as_it_stands_predicts_by_address_and_by_name() {
    let namespace = iris("serving").await;
    let client = ClientPod::start(&namespace);
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

    let (body, expected) = examples::iris_request("three-flowers");
    assert_predicts(&client.infer("iris", &body).unwrap(), &expected);

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
