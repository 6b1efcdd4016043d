//! The release over its life: changed values, gone, and back.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serin_e2e::world::{OPERATOR_NAME, OPERATOR_NAMESPACE};
use serin_e2e::{
    ClientPod, TestNamespace, World, eventually, examples, pods, program, seconds, world,
};
use tokio::sync::Mutex;

/// One test at a time has the release.
static RELEASE: Mutex<()> = Mutex::const_new(());

/// Puts the release back to what the other tests expect, whatever happens.
struct Restored(&'static World);

impl Drop for Restored {
    fn drop(&mut self) {
        self.0.upgrade(&[]);
    }
}

async fn iris(theme: &str) -> TestNamespace {
    let namespace = TestNamespace::new(world(), theme).await;
    namespace.apply_model("iris");
    namespace.apply(&examples::iris_service("iris"));
    namespace.ready("iris", seconds(90)).await;
    namespace
}

/// Name and restarts of each pod of the service.
async fn restarts(namespace: &TestNamespace) -> Result<Vec<(String, i32)>, String> {
    let pods = namespace.pods_of("iris").await;
    pods.iter().map(pods::restarts).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_data_plane_image_restarts_no_model_until_that_model_changes() {
    let _release = RELEASE.lock().await;
    let world = world();
    let namespace = iris("upgrade").await;
    let before = restarts(&namespace).await.unwrap();
    let restored = Restored(world);
    world.upgrade(&["dataplane.image.tag=of-tomorrow"]);
    // A pass of the new operator over every service has ended when a later one is done.
    let mut other = examples::iris_with(&serde_json::json!({"suspend": true}));
    other["metadata"]["name"] = "other".into();
    namespace.apply(&other);
    eventually("the new operator has looked at it", seconds(60), || async {
        let seen = namespace.service("other").await.status;
        seen.map(|_| ()).ok_or("no status".to_owned())
    })
    .await;
    namespace.ready("iris", seconds(30)).await;
    assert_eq!(restarts(&namespace).await.unwrap(), before);

    namespace.apply(&examples::iris_with(
        &serde_json::json!({"model": {"version": "1.1"}}),
    ));
    eventually(
        "its next revision has the new image",
        seconds(60),
        || async {
            let deployments = namespace.deployments_of("iris").await;
            let images: Vec<_> = deployments
                .into_iter()
                .filter_map(|deployment| deployment.spec.template.spec?.containers.remove(0).image)
                .collect();
            let new = images.iter().any(|image| image.ends_with(":of-tomorrow"));
            new.then_some(()).ok_or(format!("{images:?}"))
        },
    )
    .await;
    drop(restored);
}

#[tokio::test(flavor = "multi_thread")]
async fn models_serve_on_without_the_release_and_a_new_one_takes_them_over() {
    let _release = RELEASE.lock().await;
    let world = world();
    let namespace = iris("reinstall").await;
    let client = ClientPod::start(&namespace);
    client.reaches("iris").await;
    let (body, _) = examples::iris_request("setosa");
    let before = restarts(&namespace).await.unwrap();
    let restored = Restored(world);

    let mut helm = world.command("helm");
    helm.args([
        "uninstall",
        OPERATOR_NAME,
        "--namespace",
        OPERATOR_NAMESPACE,
        "--wait",
    ]);
    let said = program::run(helm, "", seconds(90)).expect_success();
    assert!(said.contains("kept due to the resource policy"), "{said}");
    let left = world.kubectl(&[
        "--namespace",
        OPERATOR_NAMESPACE,
        "get",
        "deployments",
        "--output=name",
    ]);
    assert_eq!(left.expect_success(), "");
    assert_eq!(client.infer("iris", &body).unwrap().status, 200);

    drop(restored);
    namespace
        .kubectl(&["scale", "sis/iris", "--replicas=2"])
        .expect_success();
    eventually("the new release acts", seconds(90), || async {
        let count = restarts(&namespace).await?.len();
        (count == 2).then_some(()).ok_or(format!("{count} pods"))
    })
    .await;
    namespace.ready("iris", seconds(60)).await;
    let after = restarts(&namespace).await.unwrap();
    assert!(after.contains(&before[0]), "{before:?} became {after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_of_named_namespaces_serves_there_and_nowhere_else() {
    let _release = RELEASE.lock().await;
    let world = world();
    let inside = TestNamespace::new(world, "watched").await;
    let outside = TestNamespace::new(world, "unwatched").await;
    let restored = Restored(world);
    world.upgrade(&[&format!("watchNamespaces={{{}}}", inside.name)]);
    for namespace in [&outside, &inside] {
        namespace.apply_model("iris");
        namespace.apply(&examples::iris_service("iris"));
    }
    inside.ready("iris", seconds(90)).await;
    assert_eq!(outside.service("iris").await.status, None);
    let account = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_NAME}");
    let may = |namespace: &TestNamespace, what: &str| {
        let allowed = namespace.kubectl(&["auth", "can-i", "list", what, "--as", &account]);
        allowed.stdout.trim() == "yes"
    };
    assert!(may(&inside, "deployments"));
    assert!(!may(&outside, "deployments"));
    assert!(!may(&inside, "secrets"));

    drop(restored);
    outside.ready("iris", seconds(120)).await;
}
