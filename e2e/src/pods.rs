//! What the objects of pods tell, as far as they tell it yet.

use k8s_openapi::api::core::v1::Pod;

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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(fields: serde_json::Value) -> Pod {
        serde_json::from_value(fields).unwrap()
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
}
