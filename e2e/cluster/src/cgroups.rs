//! The cgroup that all of the cluster's pods are in, one directory in each hierarchy of the machine (version 1 has several, version 2 one).
use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::{Error, Result, layout};

/// The kernel frees a cgroup some milliseconds after its last process.
const REMOVE_LIMIT: Duration = Duration::from_secs(20);

/// The kubelet's `cgroupRoot` for this cluster, without the leading slash.
pub(crate) fn name(cluster: &str) -> String {
    format!("serin-cluster-{cluster}")
}

/// Makes the directories. The kubelet makes those below.
pub(crate) fn create(cluster: &str) -> Result<()> {
    let hierarchies = hierarchies()?;
    for root in &hierarchies {
        let directory = root.join(name(cluster));
        layout::create_dir(&directory)?;
        // Version 1: a new cpuset is empty, and nothing may run in it or below until it has cores and memory.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if hierarchies.len() > 1 && directory.join(file).exists() {
                layout::write(&directory.join(file), layout::read(&root.join(file))?)?;
            }
        }
        // Version 2: controllers are handed down level by level. One that the machine lacks is the kubelet's to complain about.
        if hierarchies.len() == 1 {
            for level in [root, &directory] {
                for controller in ["cpu", "cpuset", "io", "memory", "pids", "hugetlb"] {
                    let _ = fs::write(
                        level.join("cgroup.subtree_control"),
                        format!("+{controller}"),
                    );
                }
            }
        }
    }
    Ok(())
}

/// Those of this cluster that exist.
pub(crate) fn existing(cluster: &str) -> Result<Vec<PathBuf>> {
    let directories = hierarchies()?
        .into_iter()
        .map(|root| root.join(name(cluster)));
    Ok(directories.filter(|directory| directory.is_dir()).collect())
}

/// Removes them, the deepest first. Their processes must have ended.
pub(crate) fn remove(cluster: &str) -> Result<()> {
    let deadline = Instant::now() + REMOVE_LIMIT;
    for directory in existing(cluster)? {
        while let Err(source) = remove_tree(&directory) {
            if Instant::now() > deadline {
                return Err(Error::Leftover {
                    what: "cgroup",
                    limit: REMOVE_LIMIT,
                    detail: format!("{}: {source}", directory.display()),
                });
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// A cgroup's files cannot be removed, only its directory, so `remove_dir_all` does not do.
fn remove_tree(directory: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(directory)
}

fn hierarchies() -> Result<Vec<PathBuf>> {
    Ok(parse(&layout::read(Path::new("/proc/self/mounts"))?))
}

/// The mount points of all cgroup file systems.
fn parse(mounts: &str) -> Vec<PathBuf> {
    let fields = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let cgroups = fields.filter(|fields| {
        fields
            .get(2)
            .is_some_and(|kind| matches!(*kind, "cgroup" | "cgroup2"))
    });
    cgroups
        .filter_map(|fields| fields.get(1).map(PathBuf::from))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cgroup_file_systems_are_taken() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n/dev/vda / ext4 rw 0 0\n";
        assert_eq!(
            parse(mounts),
            [
                Path::new("/sys/fs/cgroup/cpu"),
                Path::new("/sys/fs/cgroup/unified")
            ]
        );
    }
}
