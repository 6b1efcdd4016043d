use serin_crds::inference_service::PodTemplate;
use serin_crds::inference_service::pod_template::{PodMetadata, PodPlacement};

use super::*;
use crate::testing::builders::{snapshot, validated};

fn l4() -> Gpu {
    Gpu {
        count: 2,
        resource: None,
        products: vec!["NVIDIA-L4".into()],
    }
}

fn built(change: impl FnOnce(&mut RevisionSnapshot)) -> PodTemplateSpec {
    let service = validated("iris");
    let mut snapshot = snapshot(&service);
    change(&mut snapshot);
    template(&service, &snapshot)
}

fn spec(change: impl FnOnce(&mut RevisionSnapshot)) -> PodSpec {
    built(change).spec.unwrap()
}

#[test]
fn a_configmap_source_is_mounted_read_only_with_the_one_key() {
    let pod = spec(|_| {});
    let source = pod
        .volumes
        .unwrap()
        .into_iter()
        .find(|volume| volume.name == "source")
        .unwrap();
    let map = source.config_map.unwrap();
    assert_eq!(
        (map.name.as_str(), map.items.unwrap()[0].key.as_str()),
        ("iris-model", "iris.onnx")
    );
    let mounts = pod.containers[0].volume_mounts.clone().unwrap();
    let mount = mounts.iter().find(|mount| mount.name == "source").unwrap();
    assert_eq!(mount.read_only, Some(true));
}

#[test]
fn a_configmap_without_a_key_is_mounted_whole() {
    let pod = spec(|snapshot| {
        snapshot.source = Source::ConfigMap {
            name: "embedder-model".into(),
            key: None,
        };
    });
    let source = pod.volumes.unwrap().pop().unwrap().config_map.unwrap();
    assert_eq!(
        (source.name.as_str(), source.items),
        ("embedder-model", None)
    );
}

#[test]
fn the_policy_is_mounted_as_a_folder_and_may_be_missing() {
    let pod = spec(|_| {});
    let volumes = pod.volumes.unwrap();
    let volume = volumes.iter().find(|volume| volume.name == "policy");
    let map = volume.unwrap().config_map.clone().unwrap();
    assert_eq!(
        (map.name.as_str(), map.items, map.optional),
        ("iris-policy", None, Some(true))
    );
    let container = &pod.containers[0];
    let mounts = container.volume_mounts.as_ref().unwrap();
    let mount = mounts.iter().find(|mount| mount.name == "policy").unwrap();
    assert_eq!(
        (mount.mount_path.as_str(), &mount.sub_path),
        ("/etc/serin/policy", &None),
        "the kubelet updates no single file"
    );
    let args = container.args.as_ref().unwrap().join(" ");
    assert!(args.contains("--policy /etc/serin/policy/policy.json"));
}

#[test]
fn a_claim_is_mounted_read_only_and_https_mounts_nothing() {
    let pod = spec(|snapshot| {
        snapshot.source = Source::Pvc {
            claim: "models".into(),
            path: "a/model.onnx".into(),
        };
    });
    let claim = pod
        .volumes
        .unwrap()
        .pop()
        .unwrap()
        .persistent_volume_claim
        .unwrap();
    assert_eq!(
        (claim.claim_name.as_str(), claim.read_only),
        ("models", Some(true))
    );
    let https = spec(|snapshot| snapshot.source = Source::Https);
    assert!(
        https
            .volumes
            .unwrap()
            .iter()
            .all(|volume| volume.name != "source")
    );
}

#[test]
fn a_gpu_is_asked_for_tolerated_and_chosen_by_product() {
    let pod = spec(|snapshot| snapshot.spec.gpu = Some(l4()));
    let limits = pod.containers[0].resources.clone().unwrap().limits.unwrap();
    assert_eq!(limits["nvidia.com/gpu"].0, "2");
    assert_eq!(
        pod.tolerations.unwrap()[0].key.as_deref(),
        Some("nvidia.com/gpu")
    );
    let required = pod.affinity.unwrap().node_affinity.unwrap();
    let terms = required
        .required_during_scheduling_ignored_during_execution
        .unwrap()
        .node_selector_terms;
    assert_eq!(
        terms[0].match_expressions.as_ref().unwrap()[0].values,
        Some(vec!["NVIDIA-L4".into()])
    );
}

#[test]
fn the_product_narrows_every_alternative_of_the_user() {
    let zone = |zone: &str| NodeSelectorTerm {
        match_expressions: Some(vec![NodeSelectorRequirement {
            key: "zone".into(),
            operator: "In".into(),
            values: Some(vec![zone.into()]),
        }]),
        match_fields: None,
    };
    let user = Affinity {
        node_affinity: Some(NodeAffinity {
            required_during_scheduling_ignored_during_execution: Some(NodeSelector {
                node_selector_terms: vec![zone("a"), zone("b")],
            }),
            ..NodeAffinity::default()
        }),
        ..Affinity::default()
    };
    let merged = affinity(Some(user), Some(&l4())).unwrap();
    let required = merged
        .node_affinity
        .unwrap()
        .required_during_scheduling_ignored_during_execution;
    for term in required.unwrap().node_selector_terms {
        assert_eq!(term.match_expressions.unwrap().len(), 2);
    }
}

#[test]
fn a_users_label_cannot_take_a_pod_out_of_its_service() {
    let template = built(|snapshot| {
        snapshot.spec.pod_template = Some(PodTemplate {
            metadata: Some(PodMetadata {
                labels: [("team", "ml"), ("serin.dev/revision", "other")]
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
                ..PodMetadata::default()
            }),
            spec: None,
        });
    });
    let labels = template.metadata.unwrap().labels.unwrap();
    assert_eq!(labels["team"], "ml");
    assert_ne!(labels["serin.dev/revision"], "other");
}

#[test]
fn what_the_user_adds_reaches_the_pods() {
    let pod = spec(|snapshot| {
        snapshot.defaults.image_pull_secrets = vec!["ours".into()];
        snapshot.spec.pod_template = Some(PodTemplate {
            metadata: None,
            spec: Some(PodPlacement {
                service_account_name: Some("robot".into()),
                image_pull_secrets: vec!["theirs".into(), "ours".into()],
                termination_grace_period_seconds: Some(120),
                ..PodPlacement::default()
            }),
        });
    });
    assert_eq!(pod.service_account_name.as_deref(), Some("robot"));
    assert_eq!(pod.termination_grace_period_seconds, Some(120));
    let secrets: Vec<_> = pod
        .image_pull_secrets
        .unwrap()
        .into_iter()
        .map(|secret| secret.name)
        .collect();
    assert_eq!(secrets, ["ours", "theirs"]);
}
