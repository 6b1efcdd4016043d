//! State of the autoscaler.

use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition,
};
use serin_crds::status::{AutoscalingStatus, ConditionType, Finding, Reason};

use crate::observe::Issue;
use crate::observe::text::quote;
use crate::observed::MetricsApi;

/// Messages of Kubernetes' autoscaler while pods are too young to have metrics
/// (`pkg/controller/podautoscaler`: `metrics/client.go`, `metrics/utilization.go`,
/// `replica_calculator.go`).
const EARLY: [&str; 3] = [
    "no metrics returned",
    "did not receive metrics",
    "no pods returned by selector",
];

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
    if let Some(failure) = autoscaler.and_then(unable) {
        return finding(Some(false), Reason::AutoscalerFailing, &quoted(failure));
    }
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
            Some(condition) if !is_early(condition) => {
                finding(Some(false), Reason::AutoscalerFailing, &quoted(condition))
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

/// Why the autoscaler cannot read or change the Deployment's size. Its condition on metrics is
/// outdated then.
fn unable(autoscaler: &HorizontalPodAutoscaler) -> Option<&HorizontalPodAutoscalerCondition> {
    // Other reasons stand for a pause between two changes.
    condition(autoscaler, "AbleToScale").filter(|able| {
        let reason = able.reason.as_deref().unwrap_or_default();
        able.status == "False" && reason.starts_with("Failed")
    })
}

/// Whether the metrics are missing only because the pods are young.
fn is_early(condition: &HorizontalPodAutoscalerCondition) -> bool {
    let said = condition.message.as_deref().unwrap_or_default();
    said.is_empty() || EARLY.iter().any(|words| said.contains(words))
}

fn quoted(condition: &HorizontalPodAutoscalerCondition) -> String {
    format!(
        "the number of pods stays as it is, because the HorizontalPodAutoscaler says {}: {}",
        quote(condition.reason.as_deref().unwrap_or("no reason")),
        quote(condition.message.as_deref().unwrap_or("no detail"))
    )
}

/// The `AutoscalingActive` condition of an autoscaler that could not be made.
pub fn blocked(blocked: &Issue) -> Finding {
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

    fn saying(type_: &str, reason: &str, message: &str) -> HorizontalPodAutoscaler {
        let mut autoscaler = judged("True", "ValidMetricFound");
        let conditions = autoscaler.status.as_mut().unwrap().conditions.as_mut();
        let said = HorizontalPodAutoscalerCondition {
            type_: type_.into(),
            status: "False".into(),
            reason: Some(reason.into()),
            message: Some(message.into()),
            ..HorizontalPodAutoscalerCondition::default()
        };
        let conditions = conditions.unwrap();
        conditions.retain(|condition| condition.type_ != type_);
        conditions.push(said);
        autoscaler
    }

    #[test]
    fn what_keeps_the_autoscaler_from_its_work_is_quoted() {
        let lacking = "failed to get cpu utilization: missing request for cpu in container proxy of Pod iris-1-x";
        let cases = [
            ("ScalingActive", "FailedGetResourceMetric", lacking),
            (
                "ScalingActive",
                "InvalidSelector",
                "the HPA target's scale is missing a selector",
            ),
            (
                "AbleToScale",
                "FailedGetScale",
                "deployments.apps \"iris-1\" is forbidden",
            ),
        ];
        for (type_, reason, message) in cases {
            let found = finding(Some(&saying(type_, reason, message)), &MetricsApi::Served);
            assert_eq!(
                (found.status, found.reason),
                (Some(false), Reason::AutoscalerFailing),
                "{reason}"
            );
            let said = format!("{reason}: {message}");
            assert!(found.message.contains(&said), "{}", found.message);
            assert!(!found.message.contains("first minute"), "{}", found.message);
        }
        let endless = saying(
            "ScalingActive",
            "FailedGetResourceMetric",
            &"x".repeat(9000),
        );
        let found = finding(Some(&endless), &MetricsApi::Served);
        assert!(found.message.len() < 800, "{}", found.message.len());
    }

    #[test]
    fn only_metrics_that_are_still_to_come_are_usual() {
        for early in [
            "unable to get metrics for resource cpu: no metrics returned from resource metrics API",
            "failed to get cpu utilization: no metrics returned matched known pods",
            "failed to get cpu utilization: did not receive metrics for targeted pods (pods might be unready)",
            "no pods returned by selector while calculating replica count",
        ] {
            let autoscaler = saying("ScalingActive", "FailedGetResourceMetric", early);
            let found = finding(Some(&autoscaler), &MetricsApi::Served);
            assert_eq!(found.reason, Reason::MetricsUnavailable, "{early}");
            assert!(found.message.contains("first minute"), "{early}");
        }
    }

    #[test]
    fn an_autoscaler_that_only_waits_before_it_shrinks_is_active() {
        let waits = saying("AbleToScale", "BackoffBoth", "too soon");
        assert_eq!(
            finding(Some(&waits), &MetricsApi::NotAsked).status,
            Some(true)
        );
    }
}
