//! What runs of a cluster.
use serde_json::Value;

use crate::{
    Cluster, Result, addons, components::NAMES, config::DNS_READY_PORT, layout::Layout,
    sandbox::Sandbox,
};

/// One process of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// For example `kubelet`.
    pub name: &'static str,
    /// Its process, as the machine numbers it; None when it does not run.
    pub pid: Option<i32>,
}

/// A cluster as it stands.
#[derive(Debug)]
pub struct Status {
    /// Its processes, in the order of starting.
    pub components: Vec<Component>,
    /// What is not ready, in words; empty when the cluster is up.
    pub missing: Vec<String>,
    /// To talk to it; None when it does not run.
    pub cluster: Option<Cluster>,
}

impl Status {
    /// All processes run, and the node, DNS and the metrics API are ready.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.missing.is_empty()
    }
}

/// Looks at the cluster without changing anything.
///
/// # Errors
/// When the name is none.
pub fn status(name: &str) -> Result<Status> {
    let layout = Layout::new(name)?;
    let cluster = Cluster::find(&layout);
    let members = Sandbox::find(&layout)
        .map(|sandbox| sandbox.members())
        .unwrap_or_default();
    let pid = |name| {
        members
            .iter()
            .find(|member| member.name() == name)
            .map(|member| member.pid)
    };
    let components: Vec<_> = NAMES
        .into_iter()
        .map(|name| Component {
            name,
            pid: pid(name),
        })
        .collect();
    let ended = components
        .iter()
        .filter(|component| component.pid.is_none());
    let mut missing: Vec<_> = ended
        .map(|component| format!("{} does not run", component.name))
        .collect();
    if missing.len() == NAMES.len() {
        missing = vec!["nothing of it runs".into()];
    }
    if missing.is_empty() {
        match &cluster {
            Some(cluster) => missing = self::missing(cluster),
            None => missing.push("it was never complete".into()),
        }
    }
    Ok(Status {
        components,
        missing,
        cluster,
    })
}

/// What is not ready, by asking the API server.
pub(crate) fn missing(cluster: &Cluster) -> Vec<String> {
    // Whatever is not there is left out of the answer, and then missing below.
    let asked = [
        "get",
        "--ignore-not-found",
        "-o",
        "json",
        "-n",
        "default",
        "node/node-1",
        "serviceaccount/default",
    ];
    let api = format!("apiservice/{}", addons::METRICS_API);
    let objects = cluster.kubectl(&[&asked[..], &[&api]].concat());
    let Some(objects) = objects
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
    else {
        return vec!["the API server does not answer".into()];
    };
    let mut missing = judge(&objects);
    // By way of the node: the API server's proxy to Services knows only those with a selector.
    let dns = format!("/api/v1/nodes/http:node-1:{DNS_READY_PORT}/proxy/ready");
    if missing.is_empty() && cluster.kubectl(&["get", "--raw", &dns]).is_err() {
        missing.push("DNS is not ready".into());
    }
    missing
}

/// The part of `missing` that needs no cluster.
fn judge(objects: &Value) -> Vec<String> {
    let no_items = Vec::new();
    let items = objects["items"].as_array().unwrap_or(&no_items);
    let has = |kind: &str, condition: Option<&str>| {
        items
            .iter()
            .filter(|item| item["kind"] == kind)
            .any(|item| {
                let no_conditions = Vec::new();
                let conditions = item["status"]["conditions"]
                    .as_array()
                    .unwrap_or(&no_conditions);
                condition.is_none_or(|wanted| {
                    conditions
                        .iter()
                        .any(|found| found["type"] == wanted && found["status"] == "True")
                })
            })
    };
    let wanted = [
        (has("Node", Some("Ready")), "the node is not ready"),
        (
            has("ServiceAccount", None),
            "the default service account is not there",
        ),
        (
            has("APIService", Some("Available")),
            "the metrics API is not available",
        ),
    ];
    wanted
        .into_iter()
        .filter(|(there, _)| !there)
        .map(|(_, problem)| problem.into())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(kind: &str, condition: &str, status: &str) -> Value {
        json!({"kind": kind, "status": {"conditions": [{"type": condition, "status": status}]}})
    }

    #[test]
    fn nothing_is_missing_when_all_conditions_are_true() {
        let items = json!([item("Node", "Ready", "True"), {"kind": "ServiceAccount"}, item("APIService", "Available", "True")]);
        assert!(judge(&json!({"items": items})).is_empty());
    }

    #[test]
    fn a_node_that_is_not_ready_is_named() {
        let items = json!([item("Node", "Ready", "False"), {"kind": "ServiceAccount"}, item("APIService", "Available", "True")]);
        assert_eq!(judge(&json!({"items": items})), ["the node is not ready"]);
    }

    #[test]
    fn an_empty_answer_misses_everything() {
        assert_eq!(judge(&json!({})).len(), 3);
    }
}
