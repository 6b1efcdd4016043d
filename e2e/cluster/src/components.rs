//! The cluster's processes and how each is started.
use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Error, Result, command,
    config::{PODS, SERVICES},
    layout::Layout,
    sandbox::{NODE_ADDRESS, Sandbox},
};

/// All that must run, in the order of starting.
pub(crate) const NAMES: [&str; 9] = [
    "containerd",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "coredns",
    "metrics-server",
];

/// Those that the API server needs or that need no API server.
pub(crate) const FIRST: usize = 3;

/// How long a component must be out of sight to have ended. A process has no command line while the kernel loads its program,
/// which takes a moment where the program must be read from the disk.
const UNSEEN_LIMIT: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);

/// Starts one component.
pub(crate) fn start(layout: &Layout, sandbox: &Sandbox, binaries: &Path, name: &str) -> Result<()> {
    let program = if name == "containerd" {
        PathBuf::from(name)
    } else {
        binaries.join(name)
    };
    sandbox.spawn(&layout.log(name), &program, &arguments(layout, name))
}

/// An error for the first component that ended, if one did.
pub(crate) fn check_alive(layout: &Layout, sandbox: &Sandbox, names: &[&str]) -> Result<()> {
    let deadline = Instant::now() + UNSEEN_LIMIT;
    loop {
        let members = sandbox.members();
        let unseen = names
            .iter()
            .find(|name| !members.iter().any(|member| member.is(name)));
        match unseen {
            None => return Ok(()),
            Some(ended) if Instant::now() > deadline => {
                return Err(failure(layout, ended, "ended"));
            }
            Some(_) => thread::sleep(POLL),
        }
    }
}

/// An error that quotes the component's log.
pub(crate) fn failure(layout: &Layout, name: &str, problem: &str) -> Error {
    let log = layout.log(name);
    let text = fs::read(&log).unwrap_or_default();
    let tail = command::tail(&String::from_utf8_lossy(&text), 2000)
        .trim_end()
        .to_owned();
    Error::Component {
        component: name.into(),
        problem: problem.into(),
        log,
        tail,
    }
}

fn arguments(layout: &Layout, name: &str) -> Vec<String> {
    let state = layout.state();
    let state = state.display();
    let kubeconfig = layout.kubeconfig(name);
    let kubeconfig = kubeconfig.display();
    let line = match name {
        "containerd" => format!("--config {state}/containerd.toml"),
        // The data lives as long as the cluster, so nothing is gained by waiting for the disk.
        "etcd" => format!(
            "--data-dir {state}/etcd --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
             --listen-peer-urls http://127.0.0.1:2380 --unsafe-no-fsync --log-level warn"
        ),
        "kube-apiserver" => api_server(layout),
        // Five seconds instead of fifteen between looks at the metrics: tests of scaling wait for several.
        "kube-controller-manager" => format!(
            "--kubeconfig {kubeconfig} --authentication-kubeconfig {kubeconfig} --authorization-kubeconfig {kubeconfig} \
             --service-account-private-key-file {state}/pki/sa.key --root-ca-file {state}/pki/ca.crt --use-service-account-credentials \
             --allocate-node-cidrs --cluster-cidr {PODS} --node-cidr-mask-size 24 --leader-elect=false \
             --cluster-signing-cert-file {state}/pki/ca.crt --cluster-signing-key-file {state}/pki/ca.key \
             --horizontal-pod-autoscaler-sync-period 5s"
        ),
        "kube-scheduler" => format!(
            "--kubeconfig {kubeconfig} --authentication-kubeconfig {kubeconfig} --authorization-kubeconfig {kubeconfig} --leader-elect=false"
        ),
        "kubelet" => format!(
            "--config {state}/kubelet.yaml --kubeconfig {kubeconfig} --root-dir {state}/kubelet --hostname-override node-1 --node-ip {NODE_ADDRESS}"
        ),
        "kube-proxy" => format!("--config {state}/kube-proxy.yaml"),
        "coredns" => format!("-conf {state}/Corefile"),
        "metrics-server" => format!(
            "--kubeconfig {kubeconfig} --authentication-kubeconfig {kubeconfig} --authorization-kubeconfig {kubeconfig} \
             --secure-port {METRICS_PORT} --kubelet-insecure-tls --kubelet-preferred-address-types InternalIP \
             --metric-resolution 10s --kubelet-request-timeout 5s --cert-dir {state}/metrics-server"
        ),
        _ => String::new(),
    };
    line.split_whitespace().map(Into::into).collect()
}

/// metrics-server's port on the node.
pub(crate) const METRICS_PORT: u16 = 10443;

fn api_server(layout: &Layout) -> String {
    let (state, audit) = (layout.state(), layout.audit_log());
    let (state, audit) = (state.display(), audit.display());
    format!(
        "--etcd-servers http://127.0.0.1:2379 --bind-address 0.0.0.0 --advertise-address {NODE_ADDRESS} --secure-port 6443 \
         --tls-cert-file {state}/pki/kube-apiserver.crt --tls-private-key-file {state}/pki/kube-apiserver.key --client-ca-file {state}/pki/ca.crt \
         --service-account-issuer https://kubernetes.default.svc --service-account-key-file {state}/pki/sa.pub \
         --service-account-signing-key-file {state}/pki/sa.key --service-cluster-ip-range {SERVICES} --allow-privileged \
         --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
         --kubelet-client-certificate {state}/pki/kube-apiserver.crt --kubelet-client-key {state}/pki/kube-apiserver.key \
         --kubelet-preferred-address-types InternalIP \
         --requestheader-client-ca-file {state}/pki/ca.crt --requestheader-allowed-names front-proxy-client \
         --requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
         --requestheader-extra-headers-prefix X-Remote-Extra- --proxy-client-cert-file {state}/pki/front-proxy.crt \
         --proxy-client-key-file {state}/pki/front-proxy.key --enable-aggregator-routing \
         --audit-policy-file {state}/audit-policy.yaml --audit-log-path {audit} --audit-log-mode blocking"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_has_arguments() {
        let layout = Layout::new("test").unwrap();
        for name in NAMES {
            assert!(!arguments(&layout, name).is_empty(), "{name}");
        }
    }
}
