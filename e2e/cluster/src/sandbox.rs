//! The namespaces that the whole cluster lives in, and the one process that holds them.
//!
//! The holder is the first process of a process namespace: when it ends the kernel ends every other process in there, however deep
//! and however detached (shims, containers, daemons of daemons), and the mount and network namespaces go with the last of them.
//! It is found by the path of its program, which lies in the cluster's state directory and is nobody else's. So there is nothing to
//! write down before acting, and nothing is forgotten when `up` is killed, at whatever moment.
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::{
    Error, Result, command,
    layout::{HIDDEN_IN_SANDBOX, Layout},
    packages,
};

/// The node's address, on a pair of interfaces that both stay in the namespace.
pub const NODE_ADDRESS: &str = "10.200.0.1";

const START_LIMIT: Duration = Duration::from_secs(30);
const END_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// Host-wide settings that the kubelet would change: in the sandbox it sees them as it wants them, and the machine's stay.
const SETTINGS: [(&str, u32); 6] = [
    ("vm/overcommit_memory", 1),
    ("vm/panic_on_oom", 0),
    ("kernel/panic", 10),
    ("kernel/panic_on_oops", 1),
    ("kernel/keys/root_maxkeys", 1_000_000),
    ("kernel/keys/root_maxbytes", 25_000_000),
];

/// A running cluster's namespaces.
#[derive(Debug, Clone)]
pub(crate) struct Sandbox {
    /// The holder, as the machine numbers it.
    pub(crate) pid: i32,
}

/// A process in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) arguments: Vec<String>,
}

impl Process {
    /// The name it was called by, without directories.
    pub(crate) fn name(&self) -> &str {
        self.arguments.first().map_or("", |program| file(program))
    }

    /// Whether it is this component, or is about to become it: on a busy machine the shell and `setsid` that start a daemon are
    /// still there when it is looked for.
    pub(crate) fn is(&self, component: &str) -> bool {
        let starts = ["sh", "setsid"].contains(&self.name());
        self.name() == component
            || (starts && self.arguments.iter().any(|word| file(word) == component))
    }
}

fn file(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

impl Sandbox {
    /// The sandbox of this cluster, if it has one.
    pub(crate) fn find(layout: &Layout) -> Option<Self> {
        let holder = layout.holder();
        let found =
            processes().find(|process| role(&process.arguments, &holder) == Some(Role::Holder))?;
        Some(Self { pid: found.pid })
    }

    /// Makes the namespaces, with mounts and addresses ready for use. The holder's program must be in its place.
    pub(crate) fn start(layout: &Layout) -> Result<Self> {
        let holder = layout.holder();
        // Through a shell that ends at once, so that the machine's first process is the parent and reaps it.
        let mut unshare = Command::new("sh");
        unshare.args(["-c", r#"cd /; setsid unshare --mount --net --pid --fork --mount-proc --propagation private -- "$1" >/dev/null 2>&1 </dev/null &"#, "sh"]);
        command::output(unshare.arg(&holder), START_LIMIT)?;
        let deadline = Instant::now() + START_LIMIT;
        let sandbox = loop {
            if let Some(sandbox) = Self::find(layout) {
                break sandbox;
            }
            if Instant::now() > deadline {
                return Err(Error::TimedOut {
                    command: command::show(&unshare),
                    limit: START_LIMIT,
                    output: "are namespaces allowed on this machine?".into(),
                });
            }
            thread::sleep(POLL);
        };
        command::output(
            &mut sandbox.enter("sh", &["-euc", &set_up_script()]),
            START_LIMIT,
        )?;
        Ok(sandbox)
    }

    /// A command in all of the cluster's namespaces, as its components run.
    pub(crate) fn enter(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args([
                "--target",
                &self.pid.to_string(),
                "--mount",
                "--net",
                "--pid",
                "--",
                program,
            ])
            .args(arguments);
        command
            .env_clear()
            .env("PATH", packages::PATH)
            .env("HOME", "/root");
        command
    }

    /// A command in the cluster's network alone: it sees the machine's files and processes.
    pub(crate) fn enter_network(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.pid.to_string(), "--net", "--"])
            .arg(program);
        command
    }

    /// Starts a daemon that outlives this process, its output in a file.
    pub(crate) fn spawn(&self, log: &Path, program: &Path, arguments: &[String]) -> Result<()> {
        let mut daemon = self.enter(
            "sh",
            &[
                "-c",
                r#"log=$1; shift; cd /; setsid "$@" >"$log" 2>&1 </dev/null &"#,
                "sh",
            ],
        );
        daemon.arg(log).arg(program).args(arguments);
        command::output(&mut daemon, START_LIMIT).map(drop)
    }

    /// All processes in the sandbox but the holder.
    pub(crate) fn members(&self) -> Vec<Process> {
        let Some(namespace) = pid_namespace(self.pid) else {
            return Vec::new();
        };
        processes()
            .filter(|process| {
                process.pid != self.pid && pid_namespace(process.pid).as_ref() == Some(&namespace)
            })
            .collect()
    }
}

/// Ends a cluster's processes, also one whose start was cut short, and the programs that somebody runs in its network. None is
/// fine.
pub(crate) fn end(layout: &Layout) -> Result<()> {
    let cluster = Remains::of(layout);
    let deadline = Instant::now() + END_LIMIT;
    loop {
        let ours: Vec<_> = processes()
            .filter(|process| cluster.include(process))
            .collect();
        if ours.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::Leftover {
                what: "processes",
                limit: END_LIMIT,
                detail: format!("{ours:?}"),
            });
        }
        ours.iter().for_each(|process| cluster.kill(process));
        thread::sleep(POLL);
    }
}

/// What tells a cluster's processes from the machine's others.
struct Remains {
    holder: PathBuf,
    /// The holder as nsenter is told it, and its network: a program that `up` had just started there when it was killed has
    /// left the process namespace out, so that it outlives the holder.
    entered: Option<(String, PathBuf)>,
}

impl Remains {
    fn of(layout: &Layout) -> Self {
        let network = |sandbox: Sandbox| {
            let network = network_namespace(sandbox.pid)?;
            Some((sandbox.pid.to_string(), network))
        };
        Self {
            holder: layout.holder(),
            entered: Sandbox::find(layout).and_then(network),
        }
    }

    fn include(&self, process: &Process) -> bool {
        if role(&process.arguments, &self.holder).is_some() {
            return true;
        }
        let Some((holder, network)) = &self.entered else {
            return false;
        };
        if i64::from(process.pid) == i64::from(std::process::id()) {
            return false;
        }
        is_entering(&process.arguments, holder)
            || network_namespace(process.pid).as_ref() == Some(network)
    }

    /// Kills exactly this process: the handle is taken first and what it is looked at again, so that a reused number hits
    /// nobody.
    fn kill(&self, process: &Process) {
        let Some(pid) = Pid::from_raw(process.pid) else {
            return;
        };
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else {
            return;
        };
        let now = arguments(process.pid).map(|arguments| Process {
            pid: process.pid,
            arguments,
        });
        if now.is_some_and(|now| self.include(&now)) {
            // It may have ended since, which is what is wanted; `end` looks again.
            let _ = pidfd_send_signal(&handle, Signal::KILL);
        }
    }
}

/// Whether this is nsenter on its way into the holder's namespaces.
fn is_entering(arguments: &[String], holder: &str) -> bool {
    matches!(arguments, [program, target, pid, ..] if program == "nsenter" && target == "--target" && pid == holder)
}

const STARTERS: [&str; 3] = ["sh", "setsid", "unshare"];

#[derive(Debug, PartialEq, Eq)]
enum Role {
    /// The first process of the namespace.
    Holder,
    /// The shell that starts it, or `setsid` or `unshare` on the way to become it.
    Starter,
}

/// What a process is to the cluster whose holder's program is `holder`.
fn role(arguments: &[String], holder: &Path) -> Option<Role> {
    let is_holder = |argument: &String| Path::new(argument) == holder;
    match arguments {
        [program] if is_holder(program) => Some(Role::Holder),
        [program, .., last] if STARTERS.contains(&program.as_str()) && is_holder(last) => {
            Some(Role::Starter)
        }
        _ => None,
    }
}

fn processes() -> impl Iterator<Item = Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| {
        Some(Process {
            pid,
            arguments: arguments(pid)?,
        })
    })
}

/// A process's command line; None when it is gone or a kernel thread.
fn arguments(pid: i32) -> Option<Vec<String>> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let line = line.strip_suffix(&[0]).unwrap_or(&line);
    (!line.is_empty()).then(|| {
        line.split(|&byte| byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect()
    })
}

fn pid_namespace(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

fn network_namespace(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/net")).ok()
}

/// Run once inside: empty directories where components write to fixed places, the settings, and the network.
fn set_up_script() -> String {
    let hidden = HIDDEN_IN_SANDBOX.join(" ");
    let settings: String = SETTINGS
        .iter()
        .map(|(name, value)| format!("setting {name} {value}\n"))
        .collect();
    format!(
        r#"mount --make-rshared /
for directory in {hidden}; do mount -t tmpfs -o mode=755 tmpfs $directory; done
mkdir -p /run/netns /run/lock /run/settings /var/log/containers
setting() {{
  [ -e /proc/sys/$1 ] || return 0
  file=/run/settings/${{1##*/}}
  echo $2 >$file
  mount --bind $file /proc/sys/$1
}}
{settings}
ip link set lo up
ip link add node0 type veth peer name node0p
ip link set node0p up
ip address add {NODE_ADDRESS}/24 dev node0
ip link set node0 up
ip route add default dev node0
sysctl -qw net.ipv4.ip_forward=1
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(Into::into).collect()
    }

    #[test]
    fn only_the_holder_and_its_starter_are_ours() {
        let holder = Path::new("/c/run/a/holder");
        assert_eq!(role(&words("/c/run/a/holder"), holder), Some(Role::Holder));
        assert_eq!(
            role(&words("unshare --pid --fork -- /c/run/a/holder"), holder),
            Some(Role::Starter)
        );
        for other in [
            "ls -l /c/run/a/holder",
            "/c/run/ab/holder",
            "unshare -- /c/run/b/holder",
            "vi /c/run/a/holder",
            "/c/run/a/holder --help",
        ] {
            assert_eq!(role(&words(other), holder), None, "{other}");
        }
    }

    #[test]
    fn a_start_cut_short_is_ours_too() {
        for line in [
            "setsid unshare --pid -- /c/run/a/holder",
            "sh -c script sh /c/run/a/holder",
        ] {
            assert_eq!(
                role(&words(line), Path::new("/c/run/a/holder")),
                Some(Role::Starter),
                "{line}"
            );
        }
    }

    #[test]
    fn a_component_that_is_about_to_start_is_there() {
        let process = |line: &str| Process {
            pid: 1,
            arguments: words(line),
        };
        for line in [
            "/x/etcd --data-dir d",
            "setsid /x/etcd --data-dir d",
            "sh -c script sh /l/etcd.log /x/etcd --data-dir d",
        ] {
            assert!(process(line).is("etcd"), "{line}");
        }
        for line in [
            "containerd-shim -id etcd",
            "sh -c script sh /l/etcd.log /x/kubelet",
            "/x/kubelet etcd",
        ] {
            assert!(!process(line).is("etcd"), "{line}");
        }
    }

    #[test]
    fn whoever_enters_the_holders_namespaces_is_ours() {
        let entering = |line: &str| is_entering(&words(line), "12");
        assert!(entering("nsenter --target 12 --net -- kubectl apply"));
        assert!(!entering("nsenter --target 123 --net -- kubectl apply"));
        assert!(!entering("kubectl apply"));
    }

    #[test]
    fn a_process_is_called_by_its_programs_name() {
        assert_eq!(
            Process {
                pid: 1,
                arguments: words("/x/kubelet --config a")
            }
            .name(),
            "kubelet"
        );
    }
}
