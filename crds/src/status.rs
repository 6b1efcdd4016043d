//! `InferenceService.status`: what is true, and why.
//!
//! The conditions follow kstatus (`Reconciling`, `Stalled`, `observedGeneration`), so that
//! `kubectl wait`, Flux and Argo CD read them without any help.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What the operator last saw.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct InferenceServiceStatus {
    /// The `metadata.generation` that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Where callers inside the cluster find the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,

    /// The same, by protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,

    /// Version that answers callers now; empty before the first one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,

    /// Revision that answers callers now. The operator reads it back: it is state, not a report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_revision: Option<String>,

    /// Pods of the revision that answers callers (of the first one, before any does).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,

    /// Label selector of those pods, for the `scale` subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// One entry per revision that has pods or is about to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["revision".into()]))]
    pub versions: Vec<VersionStatus>,

    /// What the autoscaler does; absent for a fixed size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<AutoscalingStatus>,

    /// The state of the service, one entry per [`ConditionType`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Addresses inside the cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// Open Inference Protocol over HTTP.
    pub rest: String,
    /// Open Inference Protocol over gRPC.
    pub grpc: String,
}

/// One revision.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct VersionStatus {
    /// `<service>-<hash>`, also the name of its Deployment.
    pub revision: String,
    /// The user's name for the version.
    pub version: String,
    /// `Stable` answers callers; `Next` is on its way to.
    pub role: Role,
    /// Pods wanted.
    pub replicas: i32,
    /// Pods that are ready.
    pub ready: i32,
}

/// What a revision does at this moment.
#[derive(
    schemars::JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
pub enum Role {
    /// Answers callers.
    #[default]
    Stable,
    /// Is being started, and will answer callers once it can.
    Next,
}

/// What the autoscaler does.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AutoscalingStatus {
    /// The engine in force, never `Auto`.
    pub engine: String,
    /// Pods now.
    pub current: i32,
    /// Pods that the engine wants.
    pub desired: i32,
    /// When it last changed its mind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_scale_time: Option<Time>,
}

/// The closed list of condition types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionType {
    /// The declared spec, and nothing else, serves all callers.
    Ready,
    /// Some version answers callers. Alert on this one.
    Available,
    /// The operator is still moving towards the spec.
    Reconciling,
    /// The operator cannot reach the spec without somebody's help.
    Stalled,
    /// The pods of the declared spec have loaded its model.
    ModelLoaded,
    /// The autoscaler works. Absent for a fixed size.
    AutoscalingActive,
}

impl ConditionType {
    /// Every type, in the order in which conditions are listed.
    pub const ALL: [Self; 6] = [
        Self::Ready,
        Self::Available,
        Self::Reconciling,
        Self::Stalled,
        Self::ModelLoaded,
        Self::AutoscalingActive,
    ];

    /// The name in `conditions[].type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Available => "Available",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::ModelLoaded => "ModelLoaded",
            Self::AutoscalingActive => "AutoscalingActive",
        }
    }
}

/// The closed list of condition reasons; `docs/conditions.md` says what each means and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Every pod of the declared spec answers.
    Serving,
    /// Pods are being started, or a new revision is on its way.
    Progressing,
    /// A new revision starts while the previous one answers.
    RollingOut,
    /// The number of pods is changing.
    Scaling,
    /// The user set `suspend: true`, or `replicas: 0`.
    Suspended,
    /// Nothing left to do.
    Settled,
    /// No pod answers.
    NoReadyPods,
    /// The spec asks for what a cluster cannot do.
    InvalidSpec,
    /// An object of a needed name exists and belongs to somebody else.
    NameConflict,
    /// The model's file cannot be had, read or used.
    LoadFailed,
    /// The model is being fetched or loaded.
    Loading,
    /// The model is loaded.
    Loaded,
    /// No node can take the pod.
    Unschedulable,
    /// The API server refuses the pods: quota, Pod Security, limits.
    PodsRefused,
    /// The container image cannot be pulled.
    ImagePullFailed,
    /// A ConfigMap, Secret or volume that the pod mounts is not there.
    MissingReference,
    /// The pods stop again and again for no reason of the model's.
    CrashLooping,
    /// The pods took longer than `progressDeadline`.
    DeadlineExceeded,
    /// The API server refuses an object that Serin makes, or to delete one.
    Rejected,
    /// An object of a needed name is still being deleted.
    StillDeleting,
    /// A request to the API server failed, and may succeed later.
    RequestFailed,
    /// The autoscaler has metrics and decides.
    MetricsAvailable,
    /// The cluster serves no `metrics.k8s.io`.
    NoMetricsApi,
    /// The metrics API answers, but not (yet) for these pods.
    MetricsUnavailable,
    /// The autoscaler cannot decide, or cannot change the number of pods.
    AutoscalerFailing,
}

impl Reason {
    /// Every reason, in the order of `docs/conditions.md`.
    pub const ALL: [Self; 25] = [
        Self::Serving,
        Self::Progressing,
        Self::RollingOut,
        Self::Scaling,
        Self::Suspended,
        Self::Settled,
        Self::NoReadyPods,
        Self::InvalidSpec,
        Self::NameConflict,
        Self::LoadFailed,
        Self::Loading,
        Self::Loaded,
        Self::Unschedulable,
        Self::PodsRefused,
        Self::ImagePullFailed,
        Self::MissingReference,
        Self::CrashLooping,
        Self::DeadlineExceeded,
        Self::Rejected,
        Self::StillDeleting,
        Self::RequestFailed,
        Self::MetricsAvailable,
        Self::NoMetricsApi,
        Self::MetricsUnavailable,
        Self::AutoscalerFailing,
    ];

    /// The name in `conditions[].reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "Serving",
            Self::Progressing => "Progressing",
            Self::RollingOut => "RollingOut",
            Self::Scaling => "Scaling",
            Self::Suspended => "Suspended",
            Self::Settled => "Settled",
            Self::NoReadyPods => "NoReadyPods",
            Self::InvalidSpec => "InvalidSpec",
            Self::NameConflict => "NameConflict",
            Self::LoadFailed => "LoadFailed",
            Self::Loading => "Loading",
            Self::Loaded => "Loaded",
            Self::Unschedulable => "Unschedulable",
            Self::PodsRefused => "PodsRefused",
            Self::ImagePullFailed => "ImagePullFailed",
            Self::MissingReference => "MissingReference",
            Self::CrashLooping => "CrashLooping",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::Rejected => "Rejected",
            Self::StillDeleting => "StillDeleting",
            Self::RequestFailed => "RequestFailed",
            Self::MetricsAvailable => "MetricsAvailable",
            Self::NoMetricsApi => "NoMetricsAPI",
            Self::MetricsUnavailable => "MetricsUnavailable",
            Self::AutoscalerFailing => "AutoscalerFailing",
        }
    }
}

/// What a condition should say, before it meets the condition that stands there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which condition.
    pub type_: ConditionType,
    /// `Some(true)`, `Some(false)`, or `None` for `Unknown`.
    pub status: Option<bool>,
    /// Why.
    pub reason: Reason,
    /// For people: what is so, where, and what to do. Deterministic: no counters that flap.
    pub message: String,
}

/// Longest `message` of a condition, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1024;

/// Puts findings over the conditions of before: `lastTransitionTime` moves only where `status`
/// flips, types that have no finding disappear, and the order is that of [`ConditionType::ALL`].
pub fn conditions(
    previous: &[Condition],
    findings: &[Finding],
    generation: i64,
    now: &Time,
) -> Vec<Condition> {
    ConditionType::ALL
        .iter()
        .filter_map(|type_| findings.iter().find(|finding| finding.type_ == *type_))
        .map(|finding| {
            let status = match finding.status {
                Some(true) => "True",
                Some(false) => "False",
                None => "Unknown",
            };
            let since = previous
                .iter()
                .find(|old| old.type_ == finding.type_.as_str() && old.status == status)
                .map_or_else(|| now.clone(), |old| old.last_transition_time.clone());
            Condition {
                type_: finding.type_.as_str().to_owned(),
                status: status.to_owned(),
                reason: finding.reason.as_str().to_owned(),
                message: shortened(&finding.message),
                observed_generation: Some(generation),
                last_transition_time: since,
            }
        })
        .collect()
}

fn shortened(message: &str) -> String {
    if message.len() <= MAX_MESSAGE_BYTES {
        return message.to_owned();
    }
    let mut end = MAX_MESSAGE_BYTES - '…'.len_utf8();
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &message[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time(k8s_openapi::jiff::Timestamp::from_second(second).expect("a valid second"))
    }

    fn ready(status: bool) -> Finding {
        Finding {
            type_: ConditionType::Ready,
            status: Some(status),
            reason: Reason::Serving,
            message: "m".into(),
        }
    }

    #[test]
    fn the_transition_time_moves_only_when_the_status_flips() {
        let first = conditions(&[], &[ready(false)], 1, &at(1));
        let same = conditions(&first, &[ready(false)], 2, &at(2));
        assert_eq!(same[0].last_transition_time, at(1));
        assert_eq!(same[0].observed_generation, Some(2));
        let flipped = conditions(&same, &[ready(true)], 2, &at(3));
        assert_eq!(flipped[0].last_transition_time, at(3));
    }

    #[test]
    fn a_long_message_is_cut_at_a_character_boundary() {
        let mut finding = ready(true);
        finding.message = "é".repeat(MAX_MESSAGE_BYTES);
        let cut = &conditions(&[], &[finding], 1, &at(1))[0].message;
        assert!(cut.len() <= MAX_MESSAGE_BYTES && cut.ends_with('…'));
    }

    #[test]
    fn reasons_and_types_are_distinct() {
        let mut names: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Reason::ALL.len());
    }
}
