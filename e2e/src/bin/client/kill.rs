//! SIGKILL from outside a pod: from inside, the kernel shields a container's first process.

use std::fs;

/// Whose processes to kill.
#[derive(clap::Args)]
pub struct Arguments {
    /// `metadata.uid` of the pod.
    pod_uid: String,
}

/// Kills every process whose control group names the pod, the pause container's aside.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    // systemd writes the dashes of a UID as underscores.
    let spellings = [
        arguments.pod_uid.clone(),
        arguments.pod_uid.replace('-', "_"),
    ];
    let mut killed = 0;
    for entry in fs::read_dir("/proc").map_err(|error| error.to_string())? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        let groups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if name.trim() == "pause" || !spellings.iter().any(|uid| groups.contains(uid)) {
            continue;
        }
        let pid = rustix::process::Pid::from_raw(pid).ok_or("a process has the ID 0")?;
        rustix::process::kill_process(pid, rustix::process::Signal::KILL)
            .map_err(|error| format!("kill {}: {error}", name.trim()))?;
        println!("killed {}", name.trim());
        killed += 1;
    }
    if killed == 0 {
        return Err(format!(
            "no process of pod {} here: is hostPID set, and is this its node?",
            arguments.pod_uid
        ));
    }
    Ok(())
}
