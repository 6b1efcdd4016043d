//! The chart, rendered and checked by the real helm. Needs helm, and no cluster.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};
use serin_crds::schema::{CHART_CRD_FILE, CRD_FILE};
use serin_e2e::chart::{folder, helm, of_kind, rendered, template};

/// Everything the operator may do where it serves models, as `GROUP/RESOURCE` and verbs.
const ALLOWED: [(&str, &str); 8] = [
    ("/configmaps", "create delete get list patch watch"),
    ("/pods", "get list watch"),
    ("/services", "create delete get list patch watch"),
    ("apps/deployments", "create delete get list patch watch"),
    (
        "autoscaling/horizontalpodautoscalers",
        "create delete get list patch watch",
    ),
    ("events.k8s.io/events", "create patch"),
    ("serin.dev/inferenceservices", "get list watch"),
    ("serin.dev/inferenceservices/status", "patch"),
];

/// The same in its own namespace.
const ALLOWED_AT_HOME: [(&str, &str); 1] = [("coordination.k8s.io/leases", "create get update")];

fn rights<'a>(roles: impl IntoIterator<Item = &'a Value>) -> BTreeMap<String, String> {
    let mut rights = BTreeMap::new();
    for rule in roles
        .into_iter()
        .flat_map(|role| role["rules"].as_array().unwrap())
    {
        assert_eq!(
            rule.as_object().unwrap().len(),
            3,
            "a part that this test does not know: {rule}"
        );
        for group in strings(&rule["apiGroups"]) {
            for resource in strings(&rule["resources"]) {
                let mut verbs = strings(&rule["verbs"]);
                verbs.sort();
                let before = rights.insert(format!("{group}/{resource}"), verbs.join(" "));
                assert_eq!(before, None, "{group}/{resource} stands twice");
            }
        }
    }
    rights
}

fn allowed(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries
        .iter()
        .map(|(resource, verbs)| ((*resource).to_owned(), (*verbs).to_owned()))
        .collect()
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}

fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

fn operator_pod(objects: &[Value]) -> &Value {
    &of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]
}

fn operator_arguments(objects: &[Value]) -> Vec<String> {
    strings(&operator_pod(objects)["containers"][0]["args"])
}

#[test]
fn helm_finds_nothing_to_criticise() {
    helm(&["lint", "--strict", &folder().to_string_lossy()]).expect_success();
}

#[test]
fn the_operator_may_do_what_the_table_says_and_nothing_more() {
    let objects = rendered(&[]);
    assert_eq!(rights(of_kind(&objects, "ClusterRole")), allowed(&ALLOWED));
    let roles = of_kind(&objects, "Role");
    assert_eq!(roles[0]["metadata"]["namespace"], "serin-system");
    assert_eq!(rights(roles), allowed(&ALLOWED_AT_HOME));
    assert_eq!(of_kind(&objects, "ClusterRoleBinding").len(), 1);
    assert_eq!(of_kind(&objects, "RoleBinding").len(), 1);
}

#[test]
fn every_binding_gives_its_role_to_the_operators_account_alone() {
    let some = rendered(&["watchNamespaces={a}", "serviceAccount.name=robot"]);
    let all = rendered(&["serviceAccount.name=robot"]);
    let mut bindings = of_kind(&some, "RoleBinding");
    bindings.extend(of_kind(&all, "ClusterRoleBinding"));
    assert_eq!(bindings.len(), 3);
    for binding in bindings {
        assert_eq!(
            binding["subjects"],
            json!([{"kind": "ServiceAccount", "name": "robot", "namespace": "serin-system"}])
        );
        assert_eq!(binding["roleRef"]["name"], name_of(binding));
    }
}

#[test]
fn named_namespaces_give_roles_there_and_none_for_the_cluster() {
    let objects = rendered(&["watchNamespaces={team-a,team-b}"]);
    assert!(of_kind(&objects, "ClusterRole").is_empty());
    assert!(of_kind(&objects, "ClusterRoleBinding").is_empty());
    let arguments = operator_arguments(&objects);
    for namespace in ["team-a", "team-b"] {
        let mut roles = of_kind(&objects, "Role");
        roles.retain(|role| role["metadata"]["namespace"] == namespace);
        assert_eq!(rights(roles), allowed(&ALLOWED), "{namespace}");
        assert!(
            arguments.contains(&format!("--watch-namespace={namespace}")),
            "{arguments:?}"
        );
    }
}

#[test]
fn the_operators_pod_is_restricted_and_cannot_write_to_its_root() {
    let objects = rendered(&[]);
    let pod = operator_pod(&objects);
    assert_eq!(
        pod["securityContext"],
        json!({
            "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"}
        })
    );
    let container = &pod["containers"][0];
    assert_eq!(
        container["securityContext"],
        json!({
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]}
        })
    );
    assert_eq!(
        container["resources"]["requests"],
        json!({"cpu": "10m", "memory": "32Mi"})
    );
    assert_eq!(pod["volumes"], Value::Null);
    assert_eq!(pod["hostNetwork"], Value::Null);
}

#[test]
fn the_cluster_may_choose_the_user() {
    let objects = rendered(&["operator.runAsUser=null"]);
    let context = &operator_pod(&objects)["securityContext"];
    assert_eq!(context["runAsUser"], Value::Null);
    assert_eq!(context["runAsNonRoot"], true);
}

#[test]
fn a_digest_wins_over_a_tag_and_the_tag_is_the_charts_version() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let value = format!("dataplane.image.digest={digest}");
    let objects = rendered(&[&value, "operator.image.repository=example/op"]);
    let arguments = operator_arguments(&objects);
    let wanted = format!("--dataplane-image=serin-dev/serin-dataplane@{digest}");
    assert!(arguments.contains(&wanted), "{arguments:?}");
    let container = &operator_pod(&objects)["containers"][0];
    assert_eq!(
        container["image"],
        format!("example/op:{}", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn every_value_of_the_operator_reaches_its_pod() {
    let objects = rendered(&[
        "replicas=2",
        "operator.logFormat=text",
        "operator.logLevel=debug",
        "dataplane.image.pullPolicy=Never",
        "dataplane.imagePullSecrets={theirs}",
        "operator.metricsPort=9999",
        "operator.priorityClassName=high",
        "operator.nodeSelector.disk=fast",
        "operator.podLabels.team=ml",
        "operator.podAnnotations.note=x",
        "operator.imagePullSecrets={pull}",
        "operator.tolerations[0].operator=Exists",
        "operator.affinity.podAntiAffinity.x=y",
        "operator.topologySpreadConstraints[0].maxSkew=1",
        "operator.image.pullPolicy=Always",
        "allowSourceNetworks={10.0.0.0/8}",
        "commonLabels.owner=us",
        "fullnameOverride=models",
    ]);
    let deployment = of_kind(&objects, "Deployment")[0];
    assert_eq!(name_of(deployment), "models");
    assert_eq!(deployment["spec"]["replicas"], 2);
    let metadata = &deployment["spec"]["template"]["metadata"];
    assert_eq!(metadata["labels"]["team"], "ml");
    assert_eq!(metadata["labels"]["owner"], "us");
    assert_eq!(metadata["annotations"], json!({"note": "x"}));
    let pod = operator_pod(&objects);
    assert_eq!(pod["priorityClassName"], "high");
    assert_eq!(pod["nodeSelector"], json!({"disk": "fast"}));
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "pull"}]));
    assert_eq!(pod["tolerations"], json!([{"operator": "Exists"}]));
    assert_eq!(pod["affinity"], json!({"podAntiAffinity": {"x": "y"}}));
    assert_eq!(pod["topologySpreadConstraints"], json!([{"maxSkew": 1}]));
    assert_eq!(pod["containers"][0]["imagePullPolicy"], "Always");
    assert_eq!(pod["containers"][0]["env"][1]["value"], "debug");
    assert_eq!(pod["containers"][0]["ports"][0]["containerPort"], 9999);
    let arguments = operator_arguments(&objects);
    for wanted in [
        "--log-format=text",
        "--dataplane-image-pull-policy=Never",
        "--image-pull-secret=theirs",
        "--metrics-port=9999",
        "--allow-source-network=10.0.0.0/8",
    ] {
        assert!(
            arguments.iter().any(|argument| argument == wanted),
            "{wanted}: {arguments:?}"
        );
    }
}

#[test]
fn the_definition_is_the_generated_one_and_stays_when_the_release_goes() {
    let root = folder().join("../..");
    let read = |file: &str| std::fs::read_to_string(root.join(file)).unwrap();
    assert!(
        read(CRD_FILE) == read(CHART_CRD_FILE),
        "run `cargo run -p serin-crds --bin crdgen`"
    );

    let objects = rendered(&[]);
    let definition = of_kind(&objects, "CustomResourceDefinition")[0];
    let definition: CustomResourceDefinition = serde_json::from_value(definition.clone()).unwrap();
    let generated = serin_crds::schema::shipped_crd();
    assert!(
        definition.spec == generated.spec,
        "helm changed the definition"
    );
    let annotations = definition.metadata.annotations.unwrap();
    assert_eq!(annotations["helm.sh/resource-policy"], "keep");
    for (name, value) in generated.metadata.annotations.unwrap() {
        assert_eq!(annotations[&name], value);
    }
}

#[test]
fn the_definition_can_be_left_out_or_go_with_the_release() {
    let without = rendered(&["crds.install=false"]);
    assert!(of_kind(&without, "CustomResourceDefinition").is_empty());
    let objects = rendered(&["crds.keep=false"]);
    let metadata = &of_kind(&objects, "CustomResourceDefinition")[0]["metadata"];
    assert_eq!(
        metadata["annotations"]["helm.sh/resource-policy"],
        Value::Null
    );
}

#[test]
fn an_unknown_or_wrong_value_is_refused_by_name() {
    for (value, named) in [
        ("replica=2", "replica"),
        ("operator.image.tga=x", "tga"),
        ("operator.logFormat=xml", "logFormat"),
        ("replicas=many", "replicas"),
        ("dataplane.image.digest=sha256:12", "digest"),
        ("watchNamespaces={Not A Name}", "watchNamespaces"),
        ("allowSourceNetworks={10.0.0.1}", "allowSourceNetworks"),
        ("operator.metricsPort=80", "metricsPort"),
    ] {
        let refused = template(&[value]).expect_failure();
        assert!(
            refused.contains("schema") && refused.contains(named),
            "{value}: {refused}"
        );
    }
}

#[test]
fn an_account_that_is_not_made_must_be_named() {
    let refused = template(&["serviceAccount.create=false"]).expect_failure();
    assert!(refused.contains("serviceAccount.name"), "{refused}");
    let objects = rendered(&["serviceAccount.create=false", "serviceAccount.name=theirs"]);
    assert!(of_kind(&objects, "ServiceAccount").is_empty());
    assert_eq!(operator_pod(&objects)["serviceAccountName"], "theirs");
}

#[test]
fn values_and_schema_know_the_same_names() {
    fn check(path: &str, values: &Value, schema: &Value) {
        assert_eq!(
            schema["additionalProperties"], false,
            "{path} takes unknown values"
        );
        let known = schema["properties"].as_object().unwrap();
        for (name, value) in values.as_object().unwrap() {
            let path = format!("{path}.{name}");
            let field = known
                .get(name)
                .unwrap_or_else(|| panic!("{path} is not in the schema"));
            if field["properties"].is_object() && name != "resources" {
                check(&path, value, field);
            }
        }
        for name in known.keys().filter(|name| *name != "global") {
            assert!(
                values.get(name).is_some(),
                "{path}.{name} has no default in values.yaml"
            );
        }
    }
    let read = |file: &str| std::fs::read_to_string(folder().join(file)).unwrap();
    let values: Value = serde_saphyr::from_str(&read("values.yaml")).unwrap();
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    check("", &values, &schema);
}

/// What Argo CD would show for an object, from the script that the chart ships.
fn argo_health(script: &str, object: &Value) -> (String, String) {
    use mlua::{Lua, LuaOptions, LuaSerdeExt, StdLib, Table};
    // Argo CD has no more than these libraries, the string library not among them.
    let lua = Lua::new_with(StdLib::TABLE, LuaOptions::default()).unwrap();
    let object = lua.to_value(object).unwrap();
    lua.globals().set("obj", object).unwrap();
    let health: Table = lua.load(script).eval().unwrap();
    (
        health.get("status").unwrap(),
        health.get("message").unwrap(),
    )
}

#[test]
fn argo_cd_reads_the_conditions_as_they_are_meant() {
    let objects = rendered(&["argocd.healthConfigMap=true"]);
    let key = "resource.customizations.health.serin.dev_InferenceService";
    let script = of_kind(&objects, "ConfigMap")[0]["data"][key]
        .as_str()
        .unwrap();
    let object = |generation: i64, ready: (&str, &str), stalled: &str| {
        json!({
            "metadata": {"generation": generation},
            "status": {"observedGeneration": 2, "conditions": [
                {"type": "Ready", "status": ready.0, "reason": ready.1, "message": "m"},
                {"type": "Stalled", "status": stalled, "reason": "LoadFailed", "message": "no such key"},
            ]}
        })
    };
    for (object, health) in [
        (json!({"metadata": {"generation": 1}}), "Progressing"),
        (object(3, ("True", "Serving"), "False"), "Progressing"),
        (object(2, ("True", "Serving"), "False"), "Healthy"),
        (object(2, ("False", "RollingOut"), "False"), "Progressing"),
        (object(2, ("False", "Suspended"), "False"), "Suspended"),
        (object(2, ("False", "LoadFailed"), "True"), "Degraded"),
    ] {
        assert_eq!(argo_health(script, &object).0, health, "{object}");
    }
    let (_, message) = argo_health(script, &object(2, ("False", "LoadFailed"), "True"));
    assert_eq!(message, "LoadFailed: no such key");
}
