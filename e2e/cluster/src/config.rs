//! The components' configuration files.
use std::path::Path;

use crate::{Result, cgroups, layout, layout::Layout, sandbox::NODE_ADDRESS};

/// The cluster's DNS, a Service in front of CoreDNS.
pub(crate) const DNS_ADDRESS: &str = "10.96.0.10";
/// First addresses of Services and pods; the one node has all of the pods'.
pub(crate) const SERVICES: &str = "10.96.0.0/16";
pub(crate) const PODS: &str = "10.244.0.0/24";
/// The image of each pod's first container, imported before the kubelet starts.
pub(crate) const PAUSE_IMAGE: &str = "localhost/pause:1";
/// CoreDNS says here whether it is ready; far from the ports that tests like.
pub(crate) const DNS_READY_PORT: u16 = 10354;

/// Writes all files into the state directory.
pub(crate) fn write(layout: &Layout, cni_plugins: &str) -> Result<()> {
    let state = layout.state();
    let file = |name: &str, content: String| layout::write(&state.join(name), content);
    for directory in [
        "log",
        "log/pods",
        "cni",
        "volume-plugins",
        "helm",
        "kubectl",
    ] {
        layout::create_dir(&state.join(directory))?;
    }
    file("audit-policy.yaml", AUDIT_POLICY.into())?;
    file("containerd.toml", containerd(&state, cni_plugins))?;
    file("cni/10-serin.conflist", cni(&state))?;
    file("resolv.conf", format!("nameserver {DNS_ADDRESS}\n"))?;
    file("kubelet.yaml", kubelet(layout))?;
    file("kube-proxy.yaml", kube_proxy(layout))?;
    file("Corefile", corefile(layout))
}

/// Who wrote what, and nothing of what was written. Reads are not logged: they are many and no test asks for them.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
- level: None
";

fn containerd(state: &Path, cni_plugins: &str) -> String {
    let state = state.display();
    format!(
        r#"version = 2
root = "{state}/containerd/root"
state = "{state}/containerd/state"
[grpc]
  address = "{state}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{state}/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_plugins}"
    conf_dir = "{state}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"#
    )
}

/// `ptp` and not `bridge`: with a bridge, traffic between pods of one node passes the Service rules only with a host-wide setting.
fn cni(state: &Path) -> String {
    let addresses = state.join("cni-addresses");
    let ipam = serde_json::json!({
        "type": "host-local",
        "ranges": [[{"subnet": PODS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": addresses,
    });
    let plugins = serde_json::json!([
        {"type": "ptp", "ipMasq": true, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": true}},
    ]);
    serde_json::json!({"cniVersion": "0.4.0", "name": "serin", "plugins": plugins}).to_string()
}

/// Garbage collection of images and eviction by disk space are off: the images come from no registry, and a developer's disk may be rather full.
fn kubelet(layout: &Layout) -> String {
    let state = layout.state();
    let state = state.display();
    let cgroup = cgroups::name(&layout.name);
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /{cgroup}
cgroupsPerQOS: true
enforceNodeAllocatable: []
failSwapOn: false
authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: true}}, x509: {{clientCAFile: {state}/pki/ca.crt}}}}
authorization: {{mode: Webhook}}
tlsCertFile: {state}/pki/kubelet.crt
tlsPrivateKeyFile: {state}/pki/kubelet.key
containerRuntimeEndpoint: unix://{state}/containerd.sock
clusterDomain: cluster.local
clusterDNS: [{DNS_ADDRESS}]
resolvConf: {state}/resolv.conf
syncFrequency: 10s
evictionHard: {{memory.available: 100Mi}}
imageGCHighThresholdPercent: 100
podLogsDir: {state}/log/pods
volumePluginDir: {state}/volume-plugins
"
    )
}

/// Connection tracking's limits belong to the machine, so they are left alone.
fn kube_proxy(layout: &Layout) -> String {
    let kubeconfig = layout.kubeconfig("kube-proxy");
    let kubeconfig = kubeconfig.display();
    format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: {PODS}
hostnameOverride: node-1
clientConnection: {{kubeconfig: {kubeconfig}}}
conntrack: {{maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}}
"
    )
}

/// A name outside the cluster does not exist: the answer is quick and the same on every machine.
fn corefile(layout: &Layout) -> String {
    let kubeconfig = layout.kubeconfig("coredns");
    let kubeconfig = kubeconfig.display();
    format!(
        "cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {{
  bind {NODE_ADDRESS}
  errors
  ready {NODE_ADDRESS}:{DNS_READY_PORT}
  kubernetes cluster.local in-addr.arpa ip6.arpa {{
    kubeconfig {kubeconfig}
    ttl 5
  }}
}}
.:53 {{
  bind {NODE_ADDRESS}
  template ANY ANY {{
    rcode NXDOMAIN
  }}
}}
"
    )
}
