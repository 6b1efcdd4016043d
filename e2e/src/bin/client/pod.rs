//! The processes of a pod, seen from its node: from inside, the kernel shields a container's first
//! process from signals, and an image without a shell cannot be asked.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use serin_e2e::answers::Process;

/// Which pod.
#[derive(clap::Args)]
pub struct Arguments {
    /// `metadata.uid` of the pod.
    pod_uid: String,
    /// Seconds to go on killing for what is started again (kill).
    #[arg(long, default_value_t = 0)]
    seconds: u64,
}

/// SIGKILLs every process of the pod, and prints when the first died, in milliseconds since 1970.
pub fn kill(arguments: &Arguments) -> Result<(), String> {
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    let mut found = processes(arguments)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    println!("{}", now.map_err(|error| error.to_string())?.as_millis());
    loop {
        for process in found {
            let pid = Pid::from_raw(process.pid).ok_or("a process has the ID 0")?;
            match kill_process(pid, Signal::KILL) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(format!("kill {}: {error}", process.name)),
            }
        }
        if Instant::now() >= end {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
        // None is what is wanted.
        found = processes(arguments).unwrap_or_default();
    }
}

/// Prints a [`Process`] as a line of JSON for each process of the pod.
pub fn inspect(arguments: &Arguments) -> Result<(), String> {
    for process in processes(arguments)? {
        let line = serde_json::to_string(&process).map_err(|error| error.to_string())?;
        println!("{line}");
    }
    Ok(())
}

/// Every process whose control group names the pod, the pause container's aside.
fn processes(arguments: &Arguments) -> Result<Vec<Process>, String> {
    // systemd writes the dashes of a UID as underscores.
    let spellings = [
        arguments.pod_uid.clone(),
        arguments.pod_uid.replace('-', "_"),
    ];
    let entries = fs::read_dir("/proc").map_err(|error| error.to_string())?;
    let found: Vec<_> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .filter(|(_, path): &(i32, PathBuf)| {
            let groups = fs::read_to_string(path.join("cgroup")).unwrap_or_default();
            spellings.iter().any(|uid| groups.contains(uid))
        })
        .filter_map(|(pid, path)| read(pid, &path))
        .filter(|process| process.name != "pause")
        .collect();
    if found.is_empty() {
        return Err(format!(
            "no process of pod {} here: is hostPID set, and is this its node?",
            arguments.pod_uid
        ));
    }
    Ok(found)
}

/// `None` for a process that has ended meanwhile.
fn read(pid: i32, path: &std::path::Path) -> Option<Process> {
    let status = fs::read_to_string(path.join("status")).ok()?;
    let mounts = fs::read_to_string(path.join("mounts")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next().map(str::to_owned)
    };
    // Where something is mounted over something, the last line is what the process sees.
    let root = mounts
        .lines()
        .rev()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|mount| mount.get(1) == Some(&"/"))?;
    Some(Process {
        pid,
        name: field("Name:")?,
        resident_kib: field("VmRSS:")?.parse().ok()?,
        user: field("Uid:")?.parse().ok()?,
        effective_capabilities: field("CapEff:")?,
        no_new_privileges: field("NoNewPrivs:")? == "1",
        seccomp_filter: field("Seccomp:")? == "2",
        root_read_only: root.get(3)?.split(',').any(|option| option == "ro"),
    })
}
