//! The cluster is a real one: pods under Pod Security `restricted`, Services, DNS, logs, exec, metrics, scaling and the audit log.
//! Needs root; brings the cluster up where it is not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
use std::{
    process::{self, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serin_e2e_cluster::{Cluster, DEFAULT_NAME, image, up};

const LIMIT: Duration = Duration::from_secs(120);

/// A namespace that goes with the test.
struct Namespace {
    cluster: Cluster,
    name: String,
}

impl Namespace {
    fn new(test: &str) -> Self {
        let cluster = up(DEFAULT_NAME).unwrap();
        image::import(&cluster, &image::tools().unwrap()).unwrap();
        let namespace = Self {
            cluster,
            name: format!("cluster-{test}-{}", process::id()),
        };
        namespace.kubectl(&["create", "namespace", &namespace.name]);
        namespace.kubectl(&[
            "label",
            "namespace",
            &namespace.name,
            "pod-security.kubernetes.io/enforce=restricted",
        ]);
        namespace
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut kubectl = self.cluster.command("kubectl");
        kubectl
            .args(["--request-timeout=60s", "-n", &self.name])
            .args(arguments);
        kubectl
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn apply(&self, manifest: &str) {
        let mut kubectl = self
            .command(&["apply", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut kubectl.stdin.take().unwrap(), manifest.as_bytes()).unwrap();
        assert!(kubectl.wait().unwrap().success());
    }

    /// Repeats a kubectl command until it succeeds with output that will do.
    fn until(&self, arguments: &[&str], enough: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            let output = self.command(arguments).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() && enough(&text) {
                return text;
            }
            assert!(
                Instant::now() < deadline,
                "{arguments:?}: {text}{}",
                String::from_utf8_lossy(&output.stderr)
            );
            thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self
            .command(&["delete", "namespace", &self.name, "--wait=false"])
            .output();
    }
}

/// A web server that says hello, with everything that Pod Security `restricted` asks for.
const HELLO: &str = r#"
apiVersion: v1
kind: List
items:
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: hello}
  spec:
    selector: {matchLabels: {app: hello}}
    template:
      metadata: {labels: {app: hello}}
      spec:
        automountServiceAccountToken: false
        terminationGracePeriodSeconds: 1
        securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
        containers:
        - name: hello
          image: localhost/serin-e2e-tools:1
          args: [sh, -c, "echo hello from $(id -u) | tee /www/index.html; exec httpd -f -p 8080 -h /www"]
          ports: [{containerPort: 8080}]
          readinessProbe: {httpGet: {path: /index.html, port: 8080}, periodSeconds: 1}
          resources: {requests: {cpu: 10m, memory: 8Mi}, limits: {cpu: 500m, memory: 32Mi}}
          securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
          volumeMounts: [{name: www, mountPath: /www}]
        volumes: [{name: www, emptyDir: {}}]
- apiVersion: v1
  kind: Service
  metadata: {name: hello}
  spec: {selector: {app: hello}, ports: [{port: 80, targetPort: 8080}]}
- apiVersion: autoscaling/v2
  kind: HorizontalPodAutoscaler
  metadata: {name: hello}
  spec:
    scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: hello}
    minReplicas: 1
    maxReplicas: 2
    metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 100}}}]
"#;

#[test]
fn a_restricted_pod_serves_behind_a_name_an_address_logs_and_exec() {
    let namespace = Namespace::new("serves");
    namespace.apply(HELLO);
    namespace.kubectl(&[
        "wait",
        "--for=condition=Available",
        "--timeout=60s",
        "deployment/hello",
    ]);
    let address = namespace.kubectl(&[
        "get",
        "service",
        "hello",
        "-o",
        "jsonpath={.spec.clusterIP}",
    ]);
    for host in [
        "hello".to_owned(),
        format!("hello.{}.svc.cluster.local", namespace.name),
        address.clone(),
    ] {
        // Not wget: Debian's crashes when it is given a name.
        let ask = format!("printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {host} 80");
        let answer = namespace.until(
            &["exec", "deployment/hello", "--", "sh", "-c", &ask],
            |text| !text.is_empty(),
        );
        assert!(
            answer.ends_with("\r\n\r\nhello from 65532\n"),
            "{host}: {answer}"
        );
    }
    assert_eq!(
        namespace.kubectl(&["logs", "deployment/hello"]),
        "hello from 65532\n"
    );
    // A program on this side reaches the same address.
    let script = format!(
        "exec 3<>/dev/tcp/{address}/80; printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
    );
    let output = namespace
        .cluster
        .command("timeout")
        .args(["10", "bash", "-c", &script])
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&output.stdout).ends_with("hello from 65532\n"),
        "{output:?}"
    );
}

#[test]
fn a_name_outside_the_cluster_does_not_exist_and_the_answer_is_quick() {
    let namespace = Namespace::new("names");
    namespace.apply(HELLO);
    namespace.kubectl(&[
        "wait",
        "--for=condition=Available",
        "--timeout=60s",
        "deployment/hello",
    ]);
    let began = Instant::now();
    let output = namespace
        .command(&[
            "exec",
            "deployment/hello",
            "--",
            "nslookup",
            "models.invalid",
        ])
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("NXDOMAIN"), "{text}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_pod_that_asks_for_root_is_refused() {
    let namespace = Namespace::new("refuses");
    let output = namespace
        .command(&[
            "run",
            "root",
            "--image=localhost/serin-e2e-tools:1",
            "--",
            "sleep",
            "60",
        ])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("violates PodSecurity"),
        "{output:?}"
    );
}

#[test]
fn the_autoscaler_sees_the_usage_of_a_pod() {
    let namespace = Namespace::new("scales");
    namespace.apply(HELLO);
    namespace.until(&["top", "pods"], |text| text.contains("hello-"));
    namespace.until(&["top", "nodes"], |text| text.contains("node-1"));
    let usage = "jsonpath={.status.currentMetrics[0].resource.current.averageUtilization}";
    namespace.until(&["get", "hpa", "hello", "-o", usage], |text| {
        text.parse::<u32>().is_ok()
    });
}

#[test]
fn the_audit_log_says_who_wrote_what() {
    let namespace = Namespace::new("audit");
    namespace.kubectl(&["create", "configmap", "written"]);
    namespace.kubectl(&["get", "configmap", "written"]);
    let log = std::fs::read_to_string(namespace.cluster.audit_log().unwrap()).unwrap();
    let ours: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|event: &serde_json::Value| {
            event["objectRef"]["namespace"] == *namespace.name
                && event["objectRef"]["name"] == "written"
        })
        .collect();
    assert_eq!(ours.len(), 1, "one write and no reads: {ours:?}");
    assert_eq!(
        (
            &ours[0]["verb"],
            &ours[0]["user"]["username"],
            &ours[0]["objectRef"]["resource"]
        ),
        (&"create".into(), &"admin".into(), &"configmaps".into())
    );
}

#[test]
fn helm_and_ctr_are_at_hand() {
    let cluster = up(DEFAULT_NAME).unwrap();
    let helm = cluster
        .command("helm")
        .args(["list", "--all-namespaces"])
        .output()
        .unwrap();
    assert!(helm.status.success(), "{helm:?}");
    let images = cluster
        .command("ctr")
        .args(["images", "ls", "-q"])
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&images.stdout).contains("localhost/pause:1"),
        "{images:?}"
    );
}
