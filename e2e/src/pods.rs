//! What the objects of pods tell, as far as they tell it yet.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;

/// Label that a Deployment gives the pods of one version of its template.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// A pod's name, and how often its only container was started again.
///
/// # Errors
/// That the kubelet has not reported on it yet: the status of a new pod names no container.
pub fn restarts(pod: &Pod) -> Result<(String, i32), String> {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let reported = pod.status.as_ref();
    match reported.and_then(|status| status.container_statuses.as_deref()) {
        Some([container, ..]) => Ok((name, container.restart_count)),
        _ => Err(format!("the kubelet has not reported on {name} yet")),
    }
}

/// Whether all pods of a Deployment are made from one version of its template. Once a pod of the
/// latest version is there, no older one is, not even one that is ending.
///
/// # Errors
/// The versions, where there are several.
pub fn of_one_template(pods: &[Pod]) -> Result<(), String> {
    let versions: BTreeSet<_> = pods
        .iter()
        .filter_map(|pod| pod.metadata.labels.as_ref()?.get(TEMPLATE_HASH))
        .collect();
    match versions.len() {
        1 => Ok(()),
        0 => Err("there is no pod".to_owned()),
        _ => Err(format!("there are pods of several versions: {versions:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(fields: serde_json::Value) -> Pod {
        serde_json::from_value(fields).unwrap()
    }

    fn of_template(hash: &str, ending: bool) -> Pod {
        let deleted = ending.then_some("2026-01-01T00:00:00Z");
        pod(json!({
            "metadata": {"labels": {TEMPLATE_HASH: hash}, "deletionTimestamp": deleted}
        }))
    }

    #[test]
    fn a_pod_that_no_kubelet_has_reported_on_has_no_restarts_yet() {
        let named = json!({"name": "a"});
        for status in [json!(null), json!({}), json!({"containerStatuses": []})] {
            let fresh = pod(json!({"metadata": named, "status": status}));
            assert!(restarts(&fresh).unwrap_err().contains("on a yet"));
        }
        let container = json!({
            "name": "server", "image": "d:1", "imageID": "", "ready": true, "restartCount": 2
        });
        let running = pod(json!({"metadata": named, "status": {"containerStatuses": [container]}}));
        assert_eq!(restarts(&running), Ok(("a".to_owned(), 2)));
    }

    #[test]
    fn an_upgrade_is_over_when_the_last_old_pod_is_gone_and_not_when_it_is_ending() {
        let new = || of_template("new", false);
        assert_eq!(of_one_template(&[new(), new()]), Ok(()));
        for ending in [false, true] {
            let waiting = of_one_template(&[new(), of_template("old", ending), new()]);
            assert!(waiting.unwrap_err().contains("old"));
        }
        assert!(of_one_template(&[]).is_err());
    }
}
