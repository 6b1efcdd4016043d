//! The loss of the operator that acts.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::time::SystemTime;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serin_e2e::audit::AuditMark;
use serin_e2e::world::OPERATOR_NAMESPACE;
use serin_e2e::{TestNamespace, eventually, examples, node, seconds, world};

/// The longest that nobody may act.
const TAKEOVER: std::time::Duration = seconds(20);
/// Seconds that the killed leader stays down.
const DOWN: u64 = 25;

async fn holder(leases: &Api<Lease>) -> Result<String, String> {
    let found = leases
        .list(&ListParams::default())
        .await
        .map_err(|error| error.to_string())?;
    match &found.items[..] {
        [lease] => lease
            .spec
            .as_ref()
            .and_then(|spec| spec.holder_identity.clone())
            .filter(|holder| !holder.is_empty())
            .ok_or_else(|| "the lease has no holder".to_owned()),
        leases => Err(format!("{} leases instead of one", leases.len())),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_takes_over_from_a_killed_leader_and_creates_nothing_twice() {
    let world = world();
    let namespace = TestNamespace::new(world, "leader").await;
    let leases: Api<Lease> = Api::namespaced(namespace.client.clone(), OPERATOR_NAMESPACE);
    let operators: Api<Pod> = Api::namespaced(namespace.client.clone(), OPERATOR_NAMESPACE);
    namespace.apply_model("iris");
    let mark = AuditMark::now(world);

    let service = |index: usize| {
        let mut service = examples::iris_service("iris");
        service["metadata"]["name"] = format!("iris-{index}").into();
        service
    };
    namespace.apply(&service(0));
    namespace.ready("iris-0", seconds(90)).await;

    let before = eventually("somebody leads", seconds(30), || holder(&leases)).await;
    let all = operators.list(&ListParams::default()).await.unwrap().items;
    assert!(all.len() >= 2, "only {} operators", all.len());
    let leader = all
        .into_iter()
        .find(|pod| {
            pod.metadata
                .name
                .as_deref()
                .is_some_and(|name| before.starts_with(name))
        })
        .unwrap_or_else(|| panic!("no operator is called {before}"));

    // In the middle of work the leader dies with objects half made, and is not let up again: its
    // container would start under the same name, and another operator is to take over.
    namespace.apply(&service(1));
    // It waits for kubectl, on a thread of its own: here it could hold up who watches.
    let runtime = tokio::runtime::Handle::current();
    let killed = tokio::task::spawn_blocking(move || runtime.block_on(node::kill(&leader, DOWN)));
    let taken_over = eventually("another leads", seconds(60), || async {
        match holder(&leases).await? {
            same if same == before => Err(format!("still {same}")),
            _ => Ok(SystemTime::now()),
        }
    })
    .await;
    namespace.apply(&service(2));
    let gap = taken_over.duration_since(killed.await.unwrap()).unwrap();
    println!("another led {gap:?} after the kill");
    assert!(gap < TAKEOVER, "nobody acted for {gap:?}");
    for name in ["iris-0", "iris-1", "iris-2"] {
        namespace.ready(name, seconds(90)).await;
        let deployments = namespace.deployments_of(name).await;
        assert_eq!(deployments.len(), 1, "{name}: {deployments:?}");
        assert_eq!(namespace.pods_of(name).await.len(), 1, "{name}");
    }
    if let Some(mark) = mark {
        let mut created = BTreeMap::new();
        for write in mark.operator_writes_in(&namespace.name) {
            if write.code == 201 && !write.resource.starts_with("events") {
                *created
                    .entry(format!("{}/{}", write.resource, write.name))
                    .or_insert(0) += 1;
            }
        }
        assert!(
            created.len() >= 12,
            "a Service, a Deployment and two ConfigMaps each: {created:?}"
        );
        assert!(created.values().all(|times| *times == 1), "{created:#?}");
    }
    // Both are there again for whoever comes next.
    eventually("two operators are ready", seconds(120), || async {
        let ready = world.kubectl(&[
            "--namespace",
            OPERATOR_NAMESPACE,
            "get",
            "deployment",
            "serin",
            "--output=jsonpath={.status.readyReplicas}",
        ]);
        (ready.stdout == "2").then_some(()).ok_or(ready.stdout)
    })
    .await;
}
