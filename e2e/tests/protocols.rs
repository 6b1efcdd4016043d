//! Every protocol through a Service, and the kubelet as a client of the health service.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use serin_e2e::{ClientPod, TestNamespace, eventually, examples, seconds, world};

const ROWS: usize = 300;
const SETOSA: [&str; 4] = ["5.1", "3.5", "1.4", "0.2"];
const VIRGINICA: [&str; 4] = ["6.3", "3.3", "6", "2.5"];

/// One string tensor of one element, as it is written raw: its length, then its bytes.
fn word(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap();
    [&length.to_le_bytes(), text.as_bytes()].concat()
}

async fn iris(theme: &str) -> TestNamespace {
    let namespace = TestNamespace::new(world(), theme).await;
    let folder = examples::path("iris");
    namespace
        .kubectl(&["apply", "--filename", &folder.to_string_lossy()])
        .expect_success();
    let wait = [
        "wait",
        "--for=condition=Ready",
        "inferenceservice/iris",
        "--timeout=90s",
    ];
    namespace
        .kubectl_with(&wait, "", seconds(120))
        .expect_success();
    namespace
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_and_its_streams_go_through_the_service_on_both_ports() {
    let namespace = iris("grpc").await;
    let client = ClientPod::start(&namespace);
    client.reaches("iris").await;
    for address in ["iris:8081", "iris:80"] {
        let one = [&[address, "iris", "measurements"], &SETOSA[..]].concat();
        let answers = client
            .grpc(&one)
            .unwrap_or_else(|error| panic!("{address}: {error}"));
        assert_eq!(answers.len(), 1, "{address}");
        assert_eq!(answers[0].outputs["label"], word("setosa"), "{address}");
        assert_eq!(answers[0].model_version, "1");

        let times = format!("--stream={ROWS}");
        let stream = [&[address, "iris", "measurements", &times], &VIRGINICA[..]].concat();
        let answers = client
            .grpc(&stream)
            .unwrap_or_else(|error| panic!("{address}: {error}"));
        let ids: Vec<_> = answers.iter().map(|answer| answer.id.clone()).collect();
        let wanted: Vec<_> = (0..ROWS).map(|at| at.to_string()).collect();
        assert_eq!(ids, wanted, "answers come in the order of requests");
        for answer in &answers {
            assert_eq!(answer.outputs["label"], word("virginica"), "{address}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_stream_through_the_service_and_come_back_in_order() {
    let namespace = iris("rows").await;
    let client = ClientPod::start(&namespace);
    client.reaches("iris").await;
    let row = |at: usize| {
        let data = [SETOSA, VIRGINICA][at % 2].join(",");
        format!(
            r#"{{"id":"{at}","inputs":[{{"name":"measurements","shape":[1,4],"datatype":"FP32","data":[{data}]}}]}}"#
        )
    };
    let rows: Vec<_> = (0..ROWS).map(row).collect();
    let url = "http://iris/v2/models/iris/infer_stream";
    let answer = client.stream_rows(url, &rows.join("\n")).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    let lines: Vec<Value> = answer
        .body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), ROWS);
    for (at, line) in lines.iter().enumerate() {
        assert_eq!(line["id"], at.to_string());
        let label = &line["outputs"][0];
        assert_eq!(label["name"], "label");
        assert_eq!(label["data"][0], ["setosa", "virginica"][at % 2], "{line}");
    }
}

/// The service's pod once more, under a name of its own, with the kubelet asking gRPC's health service.
fn probed(pod: &Pod, name: &str, asked: &str) -> Value {
    let mut copy = serde_json::to_value(pod).unwrap();
    copy["metadata"] = json!({"name": name});
    copy["status"] = Value::Null;
    let spec = copy["spec"].as_object_mut().unwrap();
    spec.remove("nodeName");
    let container = &mut spec["containers"][0];
    container["startupProbe"] = Value::Null;
    container["livenessProbe"] = Value::Null;
    container["readinessProbe"] = json!({
        "grpc": {"port": 8081, "service": asked}, "periodSeconds": 1, "failureThreshold": 1
    });
    copy["apiVersion"] = "v1".into();
    copy["kind"] = "Pod".into();
    copy
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kubelets_grpc_probe_finds_the_pod_ready_and_an_unknown_service_not() {
    let namespace = iris("probe").await;
    let pod = namespace.pods_of("iris").await.remove(0);
    for (name, asked) in [
        ("whole", ""),
        ("inference", "inference.GRPCInferenceService"),
    ] {
        namespace.apply(&probed(&pod, name, asked));
        let wait = [
            "wait",
            "pod",
            name,
            "--for=condition=Ready",
            "--timeout=60s",
        ];
        namespace
            .kubectl_with(&wait, "", seconds(80))
            .expect_success();
    }
    namespace.apply(&probed(&pod, "unknown", "nobody"));
    eventually(
        "the kubelet says why it is not ready",
        seconds(60),
        || async {
            let events = namespace.kubectl(&[
                "get",
                "events",
                "--field-selector=involvedObject.name=unknown,reason=Unhealthy",
                "--output=jsonpath={.items[*].message}",
            ]);
            if events.stdout.contains("Readiness probe failed") {
                Ok(())
            } else {
                Err(format!("{}{}", events.stdout, events.stderr))
            }
        },
    )
    .await;
    let unknown = namespace.api::<Pod>().get("unknown").await.unwrap();
    let status = unknown.status.unwrap();
    assert!(!status.container_statuses.unwrap()[0].ready);
}
