//! The pods of a revision. They meet the `restricted` Pod Security level and have a read-only root
//! file system, whatever the user adds.

use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource,
    KeyToPath, LocalObjectReference, NodeAffinity, NodeSelector, NodeSelectorRequirement,
    NodeSelectorTerm, PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec,
    PodTemplateSpec, SeccompProfile, SecurityContext, Toleration, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serin_crds::contract::pod_config::{CACHE_MOUNT_PATH, MOUNT_PATH, SOURCE_MOUNT_PATH};
use serin_crds::contract::policy::{POLICY_KEY, POLICY_MOUNT_PATH, Policy};
use serin_crds::inference_service::Gpu;
use serin_crds::ports;

use crate::desired::config_keys::CONFIG_KEY;
use crate::desired::resources::requirements;
use crate::desired::revision_snapshot::{POLICY_FLAG, PolicyOfPods, RevisionSnapshot};
use crate::desired::{labels, probes};
use crate::validated::{Source, ValidatedService};

/// Name of the data plane's container.
pub const CONTAINER: &str = "server";

/// User and group of the process: `nonroot` of distroless images.
const USER: i64 = 65532;

/// Size limit of the cache of fetched files. The kubelet evicts a pod that exceeds it, so that a
/// model that is too large cannot fill a node's disk.
const CACHE_SIZE_LIMIT: &str = "20Gi";

/// Default termination grace period, in seconds.
const GRACE_PERIOD_SECONDS: i64 = 45;

/// Node label that the GPU products of a spec are matched with.
const GPU_PRODUCT_LABEL: &str = "nvidia.com/gpu.product";

/// The pod template of a revision.
pub fn template(service: &ValidatedService, snapshot: &RevisionSnapshot) -> PodTemplateSpec {
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels::of_pod(service, snapshot)),
            annotations: snapshot
                .pod_metadata()
                .map(|metadata| metadata.annotations.clone())
                .filter(|annotations| !annotations.is_empty()),
            ..ObjectMeta::default()
        }),
        spec: Some(pod_spec(service, snapshot)),
    }
}

fn pod_spec(service: &ValidatedService, snapshot: &RevisionSnapshot) -> PodSpec {
    let user = snapshot.pod_placement().cloned().unwrap_or_default();
    let gpu = snapshot.spec.gpu.as_ref();
    let pull_secrets: Vec<_> = snapshot
        .defaults
        .image_pull_secrets
        .iter()
        .chain(
            user.image_pull_secrets
                .iter()
                .filter(|name| !snapshot.defaults.image_pull_secrets.contains(name)),
        )
        .map(|name| LocalObjectReference { name: name.clone() })
        .collect();
    let mut tolerations = user.tolerations;
    tolerations.extend(gpu.map(gpu_toleration));
    PodSpec {
        containers: vec![container(snapshot)],
        volumes: Some(volumes(service, snapshot)),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        restart_policy: Some("Always".into()),
        termination_grace_period_seconds: Some(
            user.termination_grace_period_seconds
                .unwrap_or(GRACE_PERIOD_SECONDS),
        ),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            fs_group_change_policy: Some("OnRootMismatch".into()),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        service_account_name: user.service_account_name,
        priority_class_name: user.priority_class_name,
        runtime_class_name: user.runtime_class_name,
        scheduler_name: user.scheduler_name,
        node_selector: Some(user.node_selector).filter(|labels| !labels.is_empty()),
        tolerations: Some(tolerations).filter(|tolerations| !tolerations.is_empty()),
        affinity: affinity(user.affinity, gpu),
        topology_spread_constraints: Some(user.topology_spread_constraints)
            .filter(|constraints| !constraints.is_empty()),
        image_pull_secrets: Some(pull_secrets).filter(|secrets| !secrets.is_empty()),
        ..PodSpec::default()
    }
}

fn container(snapshot: &RevisionSnapshot) -> Container {
    let port = |name: &str, number: u16| ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(number),
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    };
    let policy = format!("{POLICY_MOUNT_PATH}/{POLICY_KEY}");
    let mut args = vec![
        ("--config", MOUNT_PATH.to_owned()),
        (POLICY_FLAG, policy),
        ("--http-port", ports::HTTP.to_string()),
        ("--grpc-port", ports::GRPC.to_string()),
        ("--admin-port", ports::ADMIN.to_string()),
        ("--cache-dir", CACHE_MOUNT_PATH.to_owned()),
    ];
    args.retain(|(flag, _)| *flag != POLICY_FLAG || reloads_policy(snapshot));
    Container {
        name: CONTAINER.into(),
        image: Some(snapshot.defaults.image.clone()),
        image_pull_policy: snapshot.defaults.image_pull_policy.clone(),
        args: Some(
            args.into_iter()
                .flat_map(|(flag, value)| [flag.to_owned(), value])
                .collect(),
        ),
        ports: Some(vec![
            port("http", ports::HTTP),
            port("grpc", ports::GRPC),
            port("admin", ports::ADMIN),
        ]),
        resources: Some(requirements(
            snapshot.spec.resources.as_ref(),
            snapshot.spec.gpu.as_ref(),
        )),
        startup_probe: Some(probes::startup()),
        readiness_probe: Some(probes::readiness()),
        liveness_probe: Some(probes::liveness()),
        termination_message_path: Some("/dev/termination-log".into()),
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".into()]),
                add: None,
            }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(volume_mounts(snapshot)),
        ..Container::default()
    }
}

fn volume_mounts(snapshot: &RevisionSnapshot) -> Vec<VolumeMount> {
    let mount = |name: &str, path: &str, read_only: bool| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    };
    let config_folder = MOUNT_PATH
        .rsplit_once('/')
        .map_or("/", |(folder, _)| folder);
    let mut mounts = vec![
        mount("config", config_folder, true),
        mount("cache", CACHE_MOUNT_PATH, false),
    ];
    if reloads_policy(snapshot) {
        mounts.push(mount("policy", POLICY_MOUNT_PATH, true));
    }
    if snapshot.source != Source::Https {
        mounts.push(mount("source", SOURCE_MOUNT_PATH, true));
    }
    mounts
}

fn volumes(service: &ValidatedService, snapshot: &RevisionSnapshot) -> Vec<Volume> {
    let mut volumes = vec![
        Volume {
            name: "config".into(),
            // Only this key: the operator alone reads the others.
            config_map: Some(of_config_map(&snapshot.name, Some(CONFIG_KEY))),
            ..Volume::default()
        },
        Volume {
            name: "cache".into(),
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: Some(Quantity(CACHE_SIZE_LIMIT.into())),
                ..EmptyDirVolumeSource::default()
            }),
            ..Volume::default()
        },
    ];
    if reloads_policy(snapshot) {
        volumes.push(Volume {
            name: "policy".into(),
            config_map: Some(ConfigMapVolumeSource {
                // A pod can start while the ConfigMap is missing.
                optional: Some(true),
                ..of_config_map(&Policy::config_map_name(&service.name), None)
            }),
            ..Volume::default()
        });
    }
    match &snapshot.source {
        Source::Https => {}
        Source::ConfigMap { name, key } => volumes.push(Volume {
            name: "source".into(),
            config_map: Some(of_config_map(name, key.as_deref())),
            ..Volume::default()
        }),
        Source::Pvc { claim, .. } => volumes.push(Volume {
            name: "source".into(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim.clone(),
                read_only: Some(true),
            }),
            ..Volume::default()
        }),
    }
    volumes
}

/// Whether the revision's data plane knows the policy.
fn reloads_policy(snapshot: &RevisionSnapshot) -> bool {
    snapshot.policy == PolicyOfPods::Reloaded
}

/// One key of a ConfigMap, or all of them.
fn of_config_map(config_map: &str, key: Option<&str>) -> ConfigMapVolumeSource {
    let item = |key: &str| KeyToPath {
        key: key.to_owned(),
        path: key.to_owned(),
        ..KeyToPath::default()
    };
    ConfigMapVolumeSource {
        name: config_map.to_owned(),
        items: key.map(|key| vec![item(key)]),
        ..ConfigMapVolumeSource::default()
    }
}

fn gpu_toleration(gpu: &Gpu) -> Toleration {
    Toleration {
        key: Some(gpu.resource().to_owned()),
        operator: Some("Exists".into()),
        ..Toleration::default()
    }
}

/// The user's affinity with the GPU products added to each required node selector term. Terms are
/// ORed, so a term of its own would widen the choice.
fn affinity(user: Option<Affinity>, gpu: Option<&Gpu>) -> Option<Affinity> {
    let Some(gpu) = gpu.filter(|gpu| !gpu.products.is_empty()) else {
        return user;
    };
    let product = NodeSelectorRequirement {
        key: GPU_PRODUCT_LABEL.into(),
        operator: "In".into(),
        values: Some(gpu.products.clone()),
    };
    let mut affinity = user.unwrap_or_default();
    let node = affinity
        .node_affinity
        .get_or_insert_with(NodeAffinity::default);
    let required = node
        .required_during_scheduling_ignored_during_execution
        .get_or_insert_with(NodeSelector::default);
    if required.node_selector_terms.is_empty() {
        required
            .node_selector_terms
            .push(NodeSelectorTerm::default());
    }
    for term in &mut required.node_selector_terms {
        term.match_expressions
            .get_or_insert_default()
            .push(product.clone());
    }
    Some(affinity)
}

#[cfg(test)]
mod tests;
