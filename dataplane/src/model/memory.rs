//! How much memory there is, and how much of it this process and its children hold.

use std::path::{Path, PathBuf};

use serin_core::Limits;

use crate::runtime::memory_plan::{MemoryFlags, MemoryPlan, plan};

/// What the models of this process may take together where no flag says it.
pub(super) fn for_models() -> u64 {
    let flags = MemoryFlags {
        connections: u64::try_from(Limits::default().connections).unwrap_or(u64::MAX),
        ..MemoryFlags::default()
    };
    plan_here(flags).models
}

/// The bounds of all parts of this process.
pub(crate) fn plan_here(flags: MemoryFlags) -> MemoryPlan {
    plan(container(), machine(), flags)
}

/// The machine's memory; the largest number where the system does not give it.
fn machine() -> u64 {
    kib_of(&read("/proc/meminfo"), "MemTotal:").unwrap_or(u64::MAX)
}

/// What this process holds that is not a file's.
pub(super) fn held() -> u64 {
    kib_of(&read("/proc/self/status"), "RssAnon:").unwrap_or(0)
}

/// The most that this process ever held.
pub(super) fn peak() -> u64 {
    kib_of(&read("/proc/self/status"), "VmHWM:").unwrap_or(0)
}

/// What a child of this process holds that is not a file's; 0 once it has ended.
pub(super) fn held_by(child: u32) -> u64 {
    let text = read(format!("/proc/{child}/statm"));
    let pages = |index: usize| -> Option<u64> { text.split(' ').nth(index)?.parse().ok() };
    let anonymous = pages(1)
        .zip(pages(2))
        .map(|(all, shared)| all.saturating_sub(shared));
    anonymous.unwrap_or(0) * rustix::param::page_size() as u64
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The bytes of a line `NAME   123 kB`.
fn kib_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1024)
}

/// The container's limit, of control groups of either version.
fn container() -> Option<u64> {
    let groups = read("/proc/self/cgroup");
    limit_files(&groups)
        .into_iter()
        .filter_map(|file| read(file).trim().parse().ok())
        .min()
}

/// Where the limits of a process's control groups stand, its parents' included. In a container the
/// named group may be visible under its own name or as the root.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = Path::new(group.trim_start_matches('/'));
        files.extend(
            group
                .ancestors()
                .map(|group| Path::new(root).join(group).join(file)),
        );
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_a_group_and_its_parents_are_looked_at_in_both_versions() {
        let files = limit_files("9:memory:/pod/a\n3:cpu:/x\n0::/b\nodd\n");
        let shown: Vec<_> = files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        assert_eq!(
            shown,
            [
                "/sys/fs/cgroup/memory/pod/a/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/pod/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "/sys/fs/cgroup/b/memory.max",
                "/sys/fs/cgroup/memory.max",
            ]
        );
    }

    #[test]
    fn a_process_knows_what_it_holds() {
        assert!(held() > 0 && peak() >= held());
        assert!(held_by(std::process::id()) > 0);
        assert_eq!(kib_of("VmHWM:\t  12 kB\n", "VmHWM:"), Some(12 << 10));
        assert_eq!(kib_of("VmHWM:\t  many\n", "VmHWM:"), None);
    }
}
