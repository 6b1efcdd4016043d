//! What the autoscaler does, and why it may not.

use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition,
};
use serin_crds::status::{AutoscalingStatus, ConditionType, Finding, Reason};

use crate::live::MetricsApi;
use crate::observe::Trouble;

/// `status.autoscaling` of a live autoscaler.
pub fn status(autoscaler: &HorizontalPodAutoscaler, replicas: i32) -> AutoscalingStatus {
    let status = autoscaler.status.as_ref();
    AutoscalingStatus {
        engine: "HPA".into(),
        current: replicas,
        desired: status
            .map(|status| status.desired_replicas)
            .filter(|desired| *desired > 0)
            .unwrap_or(replicas),
        last_scale_time: status.and_then(|status| status.last_scale_time.clone()),
    }
}

/// Whether the autoscaler has said that it has metrics.
pub fn is_active(autoscaler: &HorizontalPodAutoscaler) -> bool {
    condition(autoscaler, "ScalingActive").is_some_and(|condition| condition.status == "True")
}

/// The `AutoscalingActive` condition.
pub fn finding(autoscaler: Option<&HorizontalPodAutoscaler>, metrics_api: &MetricsApi) -> Finding {
    let finding = |status: Option<bool>, reason, message: &str| Finding {
        type_: ConditionType::AutoscalingActive,
        status,
        reason,
        message: message.to_owned(),
    };
    let scaling = autoscaler.and_then(|autoscaler| condition(autoscaler, "ScalingActive"));
    if scaling.is_some_and(|condition| condition.status == "True") {
        return finding(
            Some(true),
            Reason::MetricsAvailable,
            "the HorizontalPodAutoscaler has metrics and decides the number of pods",
        );
    }
    match metrics_api {
        MetricsApi::Absent => finding(
            Some(false),
            Reason::NoMetricsApi,
            "the cluster serves no metrics.k8s.io, so the number of pods stays as it is: install \
             metrics-server, or set spec.replicas instead of spec.autoscaling",
        ),
        MetricsApi::Failing => finding(
            Some(false),
            Reason::MetricsUnavailable,
            "metrics.k8s.io is registered and does not answer, so the number of pods stays as it \
             is: check the APIService v1beta1.metrics.k8s.io and the metrics-server pods",
        ),
        MetricsApi::NotAsked | MetricsApi::Served => match scaling {
            None => finding(
                None,
                Reason::MetricsUnavailable,
                "the HorizontalPodAutoscaler has not judged the pods yet",
            ),
            Some(condition) if condition.reason.as_deref() == Some("ScalingDisabled") => {
                finding(Some(false), Reason::Suspended, "there are no pods to scale")
            }
            Some(_) => finding(
                Some(false),
                Reason::MetricsUnavailable,
                "metrics.k8s.io has no metrics of these pods yet, which is usual for the first \
                 minute of a pod; `kubectl top pods` shows what it has",
            ),
        },
    }
}

/// The `AutoscalingActive` condition of an autoscaler that could not be made.
pub fn blocked(blocked: &Trouble) -> Finding {
    Finding {
        type_: ConditionType::AutoscalingActive,
        status: Some(false),
        reason: blocked.reason,
        message: blocked.message.clone(),
    }
}

fn condition<'a>(
    autoscaler: &'a HorizontalPodAutoscaler,
    type_: &str,
) -> Option<&'a HorizontalPodAutoscalerCondition> {
    autoscaler
        .status
        .as_ref()?
        .conditions
        .as_ref()?
        .iter()
        .find(|condition| condition.type_ == type_)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerStatus;

    use super::*;

    fn judged(status: &str, reason: &str) -> HorizontalPodAutoscaler {
        HorizontalPodAutoscaler {
            status: Some(HorizontalPodAutoscalerStatus {
                conditions: Some(vec![HorizontalPodAutoscalerCondition {
                    type_: "ScalingActive".into(),
                    status: status.into(),
                    reason: Some(reason.into()),
                    ..HorizontalPodAutoscalerCondition::default()
                }]),
                ..HorizontalPodAutoscalerStatus::default()
            }),
            ..HorizontalPodAutoscaler::default()
        }
    }

    #[test]
    fn each_state_of_metrics_has_its_own_reason() {
        let lacking = judged("False", "FailedGetResourceMetric");
        let cases = [
            (
                Some(judged("True", "ValidMetricFound")),
                MetricsApi::NotAsked,
                Some(true),
                Reason::MetricsAvailable,
            ),
            (
                Some(lacking.clone()),
                MetricsApi::Absent,
                Some(false),
                Reason::NoMetricsApi,
            ),
            (None, MetricsApi::Absent, Some(false), Reason::NoMetricsApi),
            (
                Some(lacking.clone()),
                MetricsApi::Failing,
                Some(false),
                Reason::MetricsUnavailable,
            ),
            (
                Some(lacking),
                MetricsApi::Served,
                Some(false),
                Reason::MetricsUnavailable,
            ),
            (None, MetricsApi::Served, None, Reason::MetricsUnavailable),
            (
                Some(judged("False", "ScalingDisabled")),
                MetricsApi::Served,
                Some(false),
                Reason::Suspended,
            ),
        ];
        for (autoscaler, api, status, reason) in cases {
            let found = finding(autoscaler.as_ref(), &api);
            assert_eq!((found.status, found.reason), (status, reason), "{api:?}");
        }
    }
}
