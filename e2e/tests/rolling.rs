//! A new version under constant load.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::json;
use serin_e2e::client_pod::{Load, infer_url};
use serin_e2e::{ClientPod, TestNamespace, eventually, examples, seconds, world};

const CONNECTIONS: u32 = 16;
/// A second. Leaves enough of two cores for pods to start.
const RATE: u32 = 1200;
/// The least number of requests that a change of version must survive.
const REQUESTS: u64 = 20_000;

async fn reaches(load: &Load, requests: u64) {
    eventually(&format!("{requests} requests"), seconds(120), || async {
        let report = load.so_far();
        (report.requests >= requests)
            .then_some(())
            .ok_or(format!("{report:?}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_to_version_2_and_back_to_1_fails_no_request() {
    let namespace = TestNamespace::new(world(), "rolling").await;
    namespace.apply_model("iris");
    namespace.apply_model("iris/v2");
    let service = |folder: &str| {
        let mut service = examples::iris_service(folder);
        service["spec"]["replicas"] = json!(2);
        service
    };
    namespace.apply(&service("iris"));
    namespace.ready("iris", seconds(90)).await;
    let client = ClientPod::start(&namespace);
    client.reaches("iris").await;
    let (body, _) = examples::iris_request("three-flowers");

    let load = client.load(&infer_url("iris", "iris"), &body, CONNECTIONS, RATE);
    reaches(&load, 2000).await;
    assert_eq!(load.so_far().of_version("2"), 0);

    namespace.apply(&service("iris/v2"));
    let rolled = namespace.ready("iris", seconds(120)).await;
    assert_eq!(rolled.status.unwrap().version.as_deref(), Some("2"));
    eventually(
        "every connection has moved to version 2",
        seconds(90),
        || async {
            let before = load.so_far().of_version("1");
            tokio::time::sleep(seconds(2)).await;
            let after = load.so_far().of_version("1");
            (before == after)
                .then_some(())
                .ok_or(format!("{before} -> {after} of version 1"))
        },
    )
    .await;
    reaches(&load, REQUESTS).await;
    let there = load.so_far();

    namespace.apply(&service("iris"));
    namespace.ready("iris", seconds(120)).await;
    eventually("every connection has moved back", seconds(90), || async {
        let before = load.so_far().of_version("2");
        tokio::time::sleep(seconds(2)).await;
        let after = load.so_far().of_version("2");
        (before == after)
            .then_some(())
            .ok_or(format!("{before} -> {after} of version 2"))
    })
    .await;
    let report = load.stop();
    println!("there: {there:?}\nand back: {report:?}");

    assert_eq!(report.failed, 0, "{report:#?}");
    assert!(report.requests >= REQUESTS, "{report:?}");
    assert!(there.of_version("2") > 1000, "{there:?}");
    assert!(
        report.connections > u64::from(CONNECTIONS),
        "no connection moved: {report:?}"
    );
}
