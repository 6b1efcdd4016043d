//! What comes from Debian: asked for when it is missing, and only then.
use std::{collections::BTreeSet, path::Path, process::Command, time::Duration};

use crate::{Error, Result, command, progress};

/// A program and the Debian package that has it. The first half runs the cluster, the second builds images.
const NEEDED: [(&str, &str); 17] = [
    ("containerd", "containerd"),
    ("containerd-shim-runc-v2", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("ptp", "containernetworking-plugins"),
    ("nft", "nftables"),
    ("iptables", "iptables"),
    ("conntrack", "conntrack"),
    ("ip", "iproute2"),
    ("sysctl", "procps"),
    ("openssl", "openssl"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
    ("cc", "gcc"),
    ("tar", "tar"),
    ("localedef", "libc-bin"),
];

/// Where programs are looked for, inside the sandbox too.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Debian's place first, then upstream's.
const CNI_PLACES: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

const UPDATE_LIMIT: Duration = Duration::from_secs(300);
const INSTALL_LIMIT: Duration = Duration::from_secs(900);

/// The directory of the CNI plugins.
pub(crate) fn cni_plugins() -> Option<&'static str> {
    CNI_PLACES
        .into_iter()
        .find(|place| Path::new(place).join("ptp").is_file())
}

fn installed(program: &str) -> bool {
    PATH.split(':')
        .chain(CNI_PLACES)
        .any(|place| Path::new(place).join(program).is_file())
}

/// Installs the packages of the programs that are not there.
pub(crate) fn ensure() -> Result<()> {
    let missing: BTreeSet<_> = NEEDED
        .iter()
        .filter(|(program, _)| !installed(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.into_iter().collect::<Vec<_>>().join(" ");
    if !installed("apt-get") {
        return Err(Error::Missing {
            program: list,
            cure: "this is no Debian, so install what provides them yourself".into(),
        });
    }
    progress::say(&format!("installing {list}"));
    let _step = progress::step("apt-get", String::new);
    apt(&["update", "-qq"], UPDATE_LIMIT)?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(list.split(' '));
    apt(&arguments, INSTALL_LIMIT)
}

fn apt(arguments: &[&str], limit: Duration) -> Result<()> {
    let mut apt = Command::new("apt-get");
    apt.args(["-o", "Acquire::Retries=3"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    command::output(&mut apt, limit).map(drop)
}
