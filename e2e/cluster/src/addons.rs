//! What stands in the cluster from the start: the Services of CoreDNS and metrics-server, which run outside pods.
use serde_json::{Value, json};

use crate::{components::METRICS_PORT, config::DNS_ADDRESS, sandbox::NODE_ADDRESS};

/// A port of a Service and the one behind it.
struct Port {
    name: &'static str,
    protocol: &'static str,
    port: u16,
    target: u16,
}

/// Everything to apply, as one List.
pub(crate) fn manifests() -> Value {
    let dns = [
        Port {
            name: "dns",
            protocol: "UDP",
            port: 53,
            target: 53,
        },
        Port {
            name: "dns-tcp",
            protocol: "TCP",
            port: 53,
            target: 53,
        },
    ];
    let metrics = [Port {
        name: "https",
        protocol: "TCP",
        port: 443,
        target: METRICS_PORT,
    }];
    let mut items = service("kube-dns", Some(DNS_ADDRESS), &dns).to_vec();
    items.extend(service("metrics-server", None, &metrics));
    items.push(json!({
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": METRICS_API},
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": true,
            "service": {"name": "metrics-server", "namespace": "kube-system", "port": 443},
        },
    }));
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// The resource metrics API, served by metrics-server.
pub(crate) const METRICS_API: &str = "v1beta1.metrics.k8s.io";

/// A Service without a selector, and the slice that names the process behind it.
fn service(name: &str, address: Option<&str>, ports: &[Port]) -> [Value; 2] {
    let front = |port: &Port| json!({"name": port.name, "protocol": port.protocol, "port": port.port, "targetPort": port.target});
    let back =
        |port: &Port| json!({"name": port.name, "protocol": port.protocol, "port": port.target});
    let mut spec = json!({"ports": ports.iter().map(front).collect::<Vec<_>>()});
    if let Some(address) = address {
        spec["clusterIP"] = address.into();
    }
    [
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": "kube-system"},
            "spec": spec,
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": format!("{name}-1"), "namespace": "kube-system", "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": ports.iter().map(back).collect::<Vec<_>>(),
            "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": true}}],
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_has_a_slice_with_its_ports() {
        let list = manifests();
        let items = list["items"].as_array().unwrap();
        for service in items.iter().filter(|item| item["kind"] == "Service") {
            let slice = items
                .iter()
                .find(|item| {
                    item["metadata"]["labels"]["kubernetes.io/service-name"]
                        == service["metadata"]["name"]
                })
                .unwrap();
            let targets: Vec<_> = service["spec"]["ports"]
                .as_array()
                .unwrap()
                .iter()
                .map(|port| &port["targetPort"])
                .collect();
            let ports: Vec<_> = slice["ports"]
                .as_array()
                .unwrap()
                .iter()
                .map(|port| &port["port"])
                .collect();
            assert_eq!(targets, ports);
        }
    }
}
