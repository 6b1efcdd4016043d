//! A memory control group of either version, as a container has one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const CURE: &str = "this test puts the data plane into a memory control group, as a container has one: \
run it as root on Linux, where /sys/fs/cgroup can be written to (in a container: --privileged)";

/// The roots of the hierarchies, and what the files of each are called.
const KINDS: [(&str, &str, &str, &str); 2] = [
    (
        "/sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
        "memory.oom_control",
    ),
    (
        "/sys/fs/cgroup",
        "memory.max",
        "memory.swap.max",
        "memory.events",
    ),
];

/// A control group, removed at the end.
pub struct Group {
    folder: PathBuf,
    events: &'static str,
}

impl Group {
    /// A group of so many bytes, without swap.
    pub fn new(name: &str, limit: u64) -> Self {
        for (root, max, swap, events) in KINDS {
            let folder = Path::new(root).join(format!("serin-box-{name}-{}", std::process::id()));
            if fs::create_dir(&folder).is_err() {
                continue;
            }
            let group = Self { folder, events };
            if fs::write(group.folder.join(max), limit.to_string()).is_ok() {
                let no_swap = if swap.contains("memsw") { limit } else { 0 };
                // A machine without accounting of swap mostly has none.
                let _ = fs::write(group.folder.join(swap), no_swap.to_string());
                return group;
            }
        }
        panic!("{CURE}");
    }

    /// The file by which a process enters.
    pub fn door(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    /// How many of its processes the kernel has killed.
    pub fn killed(&self) -> u64 {
        let events = fs::read_to_string(self.folder.join(self.events)).expect("events");
        let line = events
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill "));
        line.map_or(0, |count| count.trim().parse().expect("a count"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The kernel empties a group some milliseconds after its last process.
        let deadline = Instant::now() + Duration::from_secs(5);
        while fs::remove_dir(&self.folder).is_err() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
