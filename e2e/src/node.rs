//! A look at a pod, or a shot at it, from its node.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::api::core::v1::Pod;

use crate::answers::Process;
use crate::namespace::TestNamespace;

const LIMIT: Duration = Duration::from_secs(60);

/// The processes of a pod.
///
/// # Panics
/// When they cannot be seen.
pub async fn processes(pod: &Pod) -> Vec<Process> {
    let printed = from_the_node("inspect", pod, 0).await;
    let lines = printed.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// SIGKILLs the processes of a pod, and for some seconds what is started in their place. Gives the
/// time of the first kill.
///
/// # Panics
/// When there is no process.
pub async fn kill(pod: &Pod, seconds: u64) -> SystemTime {
    let printed = from_the_node("kill", pod, seconds).await;
    let at = printed.trim().parse().map(Duration::from_millis);
    UNIX_EPOCH + at.unwrap_or_else(|error| panic!("{error}: {printed}"))
}

/// Runs a command of the client in a pod that sees all processes of the node, in a namespace of
/// its own that allows that.
async fn from_the_node(command: &str, pod: &Pod, seconds: u64) -> String {
    let world = crate::world();
    let uid = pod.metadata.uid.as_deref().expect("a pod has a UID");
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let namespace = TestNamespace::with_level(world, command, "privileged").await;
    namespace.apply(&serde_json::json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": command},
        "spec": {
            "hostPID": true,
            "nodeName": node,
            "restartPolicy": "Never",
            "containers": [{
                "name": command, "image": world.client_image(), "args": [command, uid, format!("--seconds={seconds}")],
                "securityContext": {"runAsUser": 0, "privileged": true}
            }]
        }
    }));
    let ended = namespace.kubectl_with(
        &[
            "wait",
            "pod",
            command,
            "--for=jsonpath={.status.phase}=Succeeded",
            &format!("--timeout={}s", LIMIT.as_secs()),
        ],
        "",
        LIMIT + LIMIT,
    );
    let printed = namespace.kubectl(&["logs", command]);
    assert!(
        ended.success,
        "{}{}{}",
        ended.stderr, printed.stdout, printed.stderr
    );
    printed.stdout
}
