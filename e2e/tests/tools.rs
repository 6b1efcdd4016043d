//! What kubectl, kstatus and the API server make of the resource.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray,
};
use serde_json::json;
use serin_crds::schema::shipped_schema;
use serin_e2e::program::Ended;
use serin_e2e::service::{Kstatus, kstatus};
use serin_e2e::{TestNamespace, eventually, examples, seconds, world};

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_columns_and_explains_fields() {
    let namespace = TestNamespace::new(world(), "columns").await;
    namespace.apply_model("iris");
    namespace.apply(&examples::iris_service("iris"));
    namespace.ready("iris", seconds(90)).await;

    let table = namespace.kubectl(&["get", "sis"]).expect_success();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows[0],
        ["NAME", "READY", "VERSION", "REPLICAS", "URL", "AGE"]
    );
    assert_eq!(rows[1][..4], ["iris", "True", "1", "1"], "{table}");
    let url = format!("http://iris.{}.svc", namespace.name);
    assert!(rows[1][4].starts_with(&url), "{table}");
    let category = namespace
        .kubectl(&["get", "serin", "--output=name"])
        .expect_success();
    assert_eq!(category.trim(), "inferenceservice.serin.dev/iris");
    let wide = namespace
        .kubectl(&["get", "sis", "--output=wide"])
        .expect_success();
    assert!(
        wide.contains("MESSAGE") && wide.contains("Serving"),
        "{wide}"
    );

    let explained = namespace
        .kubectl(&["explain", "inferenceservice.spec.model.source.uri"])
        .expect_success();
    assert!(explained.contains("configmap://NAME/KEY"), "{explained}");
    let described = namespace
        .kubectl(&["describe", "sis", "iris"])
        .expect_success();
    assert!(described.contains("Events:"), "{described}");
    assert!(
        !described.contains("Events:  <none>"),
        "no event explains the failure: {described}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_wait_and_kstatus_follow_a_service_from_start_to_failure_to_cure() {
    let namespace = TestNamespace::new(world(), "wait").await;
    let wait = |condition: &str| -> Ended {
        namespace.kubectl_with(
            &[
                "wait",
                "sis/iris",
                &format!("--for=condition={condition}"),
                "--timeout=90s",
            ],
            "",
            seconds(100),
        )
    };
    namespace.apply(&examples::iris_service("iris"));
    wait("Stalled").expect_success();
    assert_eq!(kstatus(&namespace.service("iris").await), Kstatus::Failed);

    namespace.apply_model("iris");
    wait("Ready").expect_success();
    namespace.ready("iris", seconds(10)).await;

    // A change makes the old answer stale at once, whoever asks first.
    namespace.apply_model("iris/v2");
    namespace.apply(&examples::iris_service("iris/v2"));
    assert_ne!(kstatus(&namespace.service("iris").await), Kstatus::Current);
    wait("Ready").expect_success();
    let service = namespace.service("iris").await;
    let status = service.status.clone().unwrap();
    assert_eq!(status.observed_generation, service.metadata.generation);
    assert_eq!(status.version.as_deref(), Some("2"));
    eventually("kstatus has nothing to wait for", seconds(30), || async {
        let status = kstatus(&namespace.service("iris").await);
        (status == Kstatus::Current)
            .then_some(())
            .ok_or(format!("{status:?}"))
    })
    .await;
}

/// A document of `crds/tests/manifests`.
struct Case {
    name: String,
    says: String,
    text: String,
}

fn cases(file: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crds/tests/manifests")
        .join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let after = |document: &str, mark: &str| -> String {
        let lines: Vec<_> = document
            .lines()
            .filter_map(|line| line.strip_prefix(mark))
            .collect();
        lines.join("\n")
    };
    text.split("\n---\n")
        .skip(1)
        .map(|document| Case {
            name: after(document, "# case: "),
            says: after(document, "# says: "),
            text: document.to_owned(),
        })
        .collect()
}

/// Every rule's message.
fn rules() -> Vec<String> {
    fn collect(schema: &JSONSchemaProps, found: &mut Vec<String>) {
        for rule in schema.x_kubernetes_validations.iter().flatten() {
            found.extend(rule.message.clone());
        }
        for field in schema.properties.iter().flat_map(|fields| fields.values()) {
            collect(field, found);
        }
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
            collect(items, found);
        }
    }
    let mut found = Vec::new();
    collect(&shipped_schema(), &mut found);
    found
}

fn put(namespace: &TestNamespace, verb: &[&str], text: &str) -> Ended {
    let mut arguments = verb.to_vec();
    arguments.extend(["--validate=strict", "--filename", "-"]);
    namespace.kubectl_with(&arguments, text, seconds(20))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_accepts_and_refuses_what_serin_check_does() {
    let namespace = TestNamespace::new(world(), "rules").await;
    let create = ["create", "--dry-run=server"];
    let mut wrong = Vec::new();
    let accepted = cases("accepted.yaml");
    assert!(accepted.len() >= 5);
    for case in accepted {
        let ended = put(&namespace, &create, &case.text);
        if !ended.success || !ended.stderr.is_empty() {
            wrong.push(format!("not accepted: {}\n  {}", case.name, ended.stderr));
        }
    }
    let rules = rules();
    let mut broken = 0;
    let rejected = cases("rejected.yaml");
    assert!(rejected.len() >= 30);
    for case in rejected {
        let ended = put(&namespace, &create, &case.text);
        if ended.success {
            wrong.push(format!("accepted: {}", case.name));
        }
        for rule in rules.iter().filter(|rule| case.says.contains(*rule)) {
            broken += 1;
            if !ended.stderr.contains(rule) {
                wrong.push(format!(
                    "{}: {rule:?} is not in\n  {}",
                    case.name, ended.stderr
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(broken >= 8, "only {broken} documents break a rule");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_judges_a_change_by_what_was_there() {
    let namespace = TestNamespace::new(world(), "changes").await;
    let mut wrong = Vec::new();
    for pair in cases("transitions.yaml").chunks(2) {
        put(&namespace, &["apply"], &pair[0].text).expect_success();
        let ended = put(&namespace, &["apply"], &pair[1].text);
        if ended.success != pair[1].says.is_empty() {
            wrong.push(format!("{}: {}", pair[1].name, ended.stderr));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_null_is_as_good_as_nothing() {
    let namespace = TestNamespace::new(world(), "null").await;
    let mut service = examples::iris_service("iris");
    service["spec"]["replicas"] = json!(null);
    service["spec"]["autoscaling"] = json!({"maxReplicas": 2});
    put(
        &namespace,
        &["create", "--dry-run=server"],
        &service.to_string(),
    )
    .expect_success();
}
