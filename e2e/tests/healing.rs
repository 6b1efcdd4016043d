//! What somebody breaks by hand heals, and an operator with nothing to do does nothing.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde_json::json;
use serin_crds::{ConditionType, Reason};
use serin_e2e::audit::AuditMark;
use serin_e2e::service::Wanted;
use serin_e2e::world::OPERATOR_NAMESPACE;
use serin_e2e::{ClientPod, TestNamespace, eventually, examples, node, seconds, world};

async fn iris(theme: &str) -> TestNamespace {
    let namespace = TestNamespace::new(world(), theme).await;
    namespace.apply_model("iris");
    namespace.apply(&examples::iris_service("iris"));
    namespace.ready("iris", seconds(90)).await;
    namespace
}

/// Deletes the `count` objects of a kind that belong to `service`, and waits for those in their
/// places.
async fn come_back<K>(namespace: &TestNamespace, service: &str, count: usize) -> Vec<K>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    K::DynamicType: Default,
{
    let kind = K::kind(&K::DynamicType::default()).into_owned();
    // What is on its way out already does not count.
    let living = || async {
        let mut found = namespace.of::<K>(service).await;
        found.retain(|object| object.meta().deletion_timestamp.is_none());
        found
    };
    let before = eventually(&format!("there is each {kind}"), seconds(60), || async {
        let found = living().await;
        match found.len() {
            there if there == count => Ok(found),
            there => Err(format!("there are {there}")),
        }
    })
    .await;
    for object in &before {
        let name = object.meta().name.clone().unwrap();
        namespace
            .api::<K>()
            .delete(&name, &DeleteParams::background())
            .await
            .unwrap();
    }
    eventually(&format!("each {kind} is back"), seconds(60), || async {
        let mut found = living().await;
        found.retain(|object| before.iter().all(|old| old.meta().uid != object.meta().uid));
        match found.len() {
            there if there == count => Ok(found),
            there => Err(format!("{there} of {count} are there")),
        }
    })
    .await
}

async fn answers(client: &ClientPod<'_>, what: &str) {
    let (body, _) = examples::iris_request("setosa");
    eventually(
        &format!("iris answers after {what}"),
        seconds(60),
        || async {
            match client.infer("iris", &body) {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(format!("{} {}", answer.status, answer.body)),
                Err(error) => Err(error),
            }
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_deleted_comes_back_and_serves() {
    let namespace = iris("healing").await;
    let client = ClientPod::start(&namespace);
    answers(&client, "the start").await;

    come_back::<Pod>(&namespace, "iris", 1).await;
    namespace.ready("iris", seconds(60)).await;
    answers(&client, "the loss of its pod").await;

    come_back::<Deployment>(&namespace, "iris", 1).await;
    namespace.ready("iris", seconds(60)).await;
    answers(&client, "the loss of its Deployment").await;

    come_back::<Service>(&namespace, "iris", 1).await;
    answers(&client, "the loss of its Service").await;

    // The revision's and the policy's.
    come_back::<ConfigMap>(&namespace, "iris", 2).await;
    come_back::<Pod>(&namespace, "iris", 1).await;
    namespace.ready("iris", seconds(60)).await;
    answers(&client, "the loss of its configuration and its pod").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_by_hand_is_undone() {
    let namespace = iris("edits").await;
    let deployments = namespace.api::<Deployment>();
    let name = namespace.deployments_of("iris").await[0]
        .metadata
        .name
        .clone()
        .unwrap();
    let by_hand = PatchParams::default();

    let image = |deployment: &Deployment| {
        let pod = deployment.spec.template.spec.clone().unwrap();
        pod.containers[0].image.clone().unwrap()
    };
    let patch = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "server", "image": "localhost/somebody-elses:1"}
    ]}}}});
    let edited = deployments
        .patch(&name, &by_hand, &Patch::Strategic(patch))
        .await
        .unwrap();
    assert_eq!(image(&edited), "localhost/somebody-elses:1");
    eventually("the image is the operator's again", seconds(30), || async {
        let found = image(&deployments.get(&name).await.unwrap());
        (found == world().dataplane_image())
            .then_some(())
            .ok_or(found)
    })
    .await;

    let patch = json!({"spec": {"selector": {"serin.dev/service": "other"}}});
    let services = namespace.api::<Service>();
    services
        .patch("iris", &by_hand, &Patch::Merge(patch))
        .await
        .unwrap();
    eventually(
        "the Service selects the pods again",
        seconds(30),
        || async {
            let selector = services
                .get("iris")
                .await
                .unwrap()
                .spec
                .unwrap()
                .selector
                .unwrap();
            match selector["serin.dev/service"].as_str() {
                "iris" => Ok(()),
                other => Err(other.to_owned()),
            }
        },
    )
    .await;
    namespace.ready("iris", seconds(60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_autoscaler_that_is_deleted_or_edited_is_restored() {
    let namespace = TestNamespace::new(world(), "healing-hpa").await;
    namespace.apply_model("iris");
    namespace.apply(&examples::iris_with(
        &json!({"replicas": null, "autoscaling": {"minReplicas": 1, "maxReplicas": 2}}),
    ));
    namespace.ready("iris", seconds(120)).await;
    let restored = come_back::<HorizontalPodAutoscaler>(&namespace, "iris", 1)
        .await
        .remove(0);
    assert_eq!(restored.spec.max_replicas, 2);

    let autoscalers = namespace.api::<HorizontalPodAutoscaler>();
    let name = restored.metadata.name.unwrap();
    let patch = Patch::Merge(json!({"spec": {"maxReplicas": 9}}));
    autoscalers
        .patch(&name, &PatchParams::default(), &patch)
        .await
        .unwrap();
    eventually("its bounds are the spec's again", seconds(30), || async {
        match autoscalers.get(&name).await.unwrap().spec.max_replicas {
            2 => Ok(()),
            other => Err(format!("maxReplicas is {other}")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_deleted_and_created_again_at_once_is_a_new_one() {
    let namespace = iris("again").await;
    let before = namespace.service("iris").await.metadata.uid;
    namespace
        .kubectl(&["delete", "sis/iris", "--wait=false"])
        .expect_success();
    namespace.apply(&examples::iris_service("iris"));
    let service = namespace.ready("iris", seconds(120)).await;
    assert_ne!(service.metadata.uid, before);

    // The collector of garbage takes what belonged to the first; what is there in the end is the second's.
    eventually("everything is the new service's", seconds(90), || async {
        let mut owners = Vec::new();
        for meta in [
            namespace
                .of::<Deployment>("iris")
                .await
                .into_iter()
                .map(|d| d.metadata)
                .collect::<Vec<_>>(),
            namespace
                .of::<Service>("iris")
                .await
                .into_iter()
                .map(|s| s.metadata)
                .collect(),
            namespace
                .of::<ConfigMap>("iris")
                .await
                .into_iter()
                .map(|c| c.metadata)
                .collect(),
        ] {
            for object in meta {
                owners.extend(object.owner_references.unwrap_or_default());
            }
        }
        let new = owners.iter().all(|owner| {
            owner.controller == Some(true) && Some(&owner.uid) == service.metadata.uid.as_ref()
        });
        // A Deployment, a Service, the revision's ConfigMap and the policy's.
        (owners.len() == 4 && new)
            .then_some(())
            .ok_or(format!("{owners:?}"))
    })
    .await;
    namespace.ready("iris", seconds(60)).await;
    let client = ClientPod::start(&namespace);
    answers(&client, "its second creation").await;
}

/// Every object of Serin's in the namespace, with its version.
async fn versions(namespace: &TestNamespace) -> BTreeMap<String, String> {
    async fn of<K>(namespace: &TestNamespace, found: &mut BTreeMap<String, String>)
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
        K::DynamicType: Default,
    {
        let kind = K::kind(&K::DynamicType::default()).into_owned();
        for object in namespace
            .api::<K>()
            .list(&Default::default())
            .await
            .unwrap()
        {
            let meta = object.meta();
            let name = format!("{kind}/{}", meta.name.clone().unwrap());
            found.insert(name, meta.resource_version.clone().unwrap());
        }
    }
    let mut found = BTreeMap::new();
    of::<serin_crds::InferenceService>(namespace, &mut found).await;
    of::<Service>(namespace, &mut found).await;
    of::<ConfigMap>(namespace, &mut found).await;
    of::<Deployment>(namespace, &mut found).await;
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_has_converged_writes_nothing_for_a_minute() {
    let namespace = iris("quiet").await;
    // What will never work must not keep the operator busy either.
    let mut impossible = examples::iris_with(&json!({"resources": {
        "requests": {"cpu": "1000"}, "limits": null
    }}));
    impossible["metadata"]["name"] = "impossible".into();
    namespace.apply(&impossible);
    let mut absent = examples::iris_with(&json!({"model": {"source": {
        "uri": "configmap://no-such-map/iris.onnx", "digest": null
    }}}));
    absent["metadata"]["name"] = "absent".into();
    namespace.apply(&absent);
    for (name, reason) in [
        ("impossible", Reason::Unschedulable),
        ("absent", Reason::MissingReference),
    ] {
        let stalled = Wanted {
            type_: ConditionType::Stalled,
            status: "True",
            reason: Some(reason),
        };
        namespace.reaches(name, &stalled, seconds(120)).await;
    }

    // Converged: nothing has changed for ten seconds.
    eventually("nothing changes for ten seconds", seconds(120), || async {
        let before = versions(&namespace).await;
        tokio::time::sleep(seconds(10)).await;
        let after = versions(&namespace).await;
        (before == after)
            .then_some(())
            .ok_or_else(|| format!("{before:?}\n{after:?}"))
    })
    .await;

    let before = versions(&namespace).await;
    let mark = AuditMark::now(world());
    tokio::time::sleep(seconds(60)).await;
    if let Some(mark) = mark {
        let writes = mark.operator_writes_in(&namespace.name);
        assert!(writes.is_empty(), "{writes:#?}");
    }
    assert_eq!(versions(&namespace).await, before);

    // Idle it is small, too, whichever of the two leads.
    let operators: Api<Pod> = Api::namespaced(namespace.client.clone(), OPERATOR_NAMESPACE);
    for pod in operators.list(&Default::default()).await.unwrap() {
        for process in node::processes(&pod).await {
            println!("{} holds {} KiB", process.name, process.resident_kib);
            assert!(process.resident_kib < 32 * 1024, "{process:?}");
        }
    }
}
