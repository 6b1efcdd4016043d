//! How much memory models may take: what the container has, less what the process needs itself.

use std::path::{Path, PathBuf};

const MIB: u64 = 1 << 20;

/// What the process takes without a model, ONNX Runtime included.
const OWN: u64 = 32 * MIB;

/// Request bodies take no more than this, whatever there is.
const MOST_BODIES: u64 = 512 * MIB;

/// Less than this is never asked of models: nothing would load.
pub(super) const LEAST: u64 = 32 * MIB;

/// What the models of this process may take together, in bytes: seven eighths of the container's
/// memory limit less 32 MiB (an eighth is for requests and answers), or half of the machine's
/// memory where no limit is set.
pub(crate) fn for_models() -> u64 {
    let machine = machine();
    share(container().filter(|limit| *limit < machine), machine)
}

/// What request bodies may take together, in bytes, of which one may have `one`: an eighth of the
/// container's memory limit, at most 512 MiB.
pub(crate) fn for_bodies(one: usize) -> usize {
    bodies(container(), one)
}

fn bodies(limit: Option<u64>, one: usize) -> usize {
    let eighth = limit.map_or(MOST_BODIES, |limit| (limit / 8).min(MOST_BODIES));
    usize::try_from(eighth).unwrap_or(usize::MAX).max(one)
}

fn share(limit: Option<u64>, machine: u64) -> u64 {
    let bytes = match limit {
        Some(limit) => (limit / 8 * 7).saturating_sub(OWN),
        None => machine / 2,
    };
    bytes.max(LEAST)
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
    fn a_container_gives_models_what_it_and_its_requests_do_not_need() {
        let machine = 16 << 30;
        assert_eq!(share(Some(512 * MIB), machine), 416 * MIB);
        assert_eq!(share(Some(8 * MIB), machine), LEAST);
        assert_eq!(share(None, machine), 8 << 30);
    }

    #[test]
    fn bodies_get_an_eighth_and_one_of_them_always_fits() {
        assert_eq!(bodies(Some(2048 * MIB), 64 << 20), 256 << 20);
        assert_eq!(bodies(Some(256 * MIB), 64 << 20), 64 << 20);
        assert_eq!(bodies(Some(1 << 40), 64 << 20), 512 << 20);
        assert_eq!(bodies(None, 64 << 20), 512 << 20);
    }

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
