//! `down` leaves nothing behind, also after `up` was killed. Needs root; runs a cluster of its own beside any other.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serin_e2e_cluster::{Cluster, down, image, status, up};

const NAME: &str = "serin-teardown";
/// Seconds that the test's pod would sleep: a number that finds its process again.
const SLEEP: &str = "86399";

/// One cluster at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn state() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || Path::new(&std::env::var_os("HOME").unwrap()).join(".cache"),
        PathBuf::from,
    );
    cache.join("serin/cluster/run").join(NAME)
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

fn names(directory: &str) -> BTreeSet<PathBuf> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect()
}

/// What the machine has that a careless cluster would change.
fn machine() -> Vec<String> {
    let places = [
        "/run/netns",
        "/run/containerd",
        "/run/containerd/s",
        "/var/lib/cni",
        "/var/log/containers",
        "/var/log/pods",
        "/var/lib/kubelet",
    ];
    let settings = [
        "vm/overcommit_memory",
        "kernel/panic",
        "kernel/panic_on_oops",
        "kernel/keys/root_maxkeys",
        "net/ipv4/ip_forward",
    ];
    let mut all: Vec<String> = places
        .iter()
        .map(|place| format!("{place}: {:?}", names(place)))
        .collect();
    all.extend(settings.iter().map(|name| {
        format!(
            "{name}: {}",
            fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default()
        )
    }));
    all.push(
        output("ip", &["-o", "link"])
            .lines()
            .map(|line| line.split(':').nth(1).unwrap_or("").to_owned())
            .collect(),
    );
    all.push(output("ip", &["route"]));
    all.push(output("nft", &["list", "ruleset"]));
    all
}

/// What is left of the cluster, in words.
fn leftovers() -> Vec<String> {
    let state = state();
    let mut left = Vec::new();
    if state.exists() {
        left.push(format!("{}", state.display()));
    }
    for entry in names("/proc") {
        let line = fs::read(entry.join("cmdline")).unwrap_or_default();
        let words: Vec<_> = line
            .split(|&byte| byte == 0)
            .map(String::from_utf8_lossy)
            .collect();
        if words
            .iter()
            .any(|word| word.contains(&*state.to_string_lossy()) || word == SLEEP)
        {
            left.push(format!("{}: {words:?}", entry.display()));
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    left.extend(
        mounts
            .lines()
            .filter(|line| line.contains(NAME))
            .map(Into::into),
    );
    left.extend(
        output(
            "find",
            &[
                "/sys/fs/cgroup",
                "-maxdepth",
                "2",
                "-name",
                &format!("*{NAME}*"),
            ],
        )
        .lines()
        .map(Into::into),
    );
    left
}

/// Starts `up` as a process of its own and kills it this long after it began to start things.
fn kill_in_the_middle(after: Duration) {
    let mut starting = Command::new(env!("CARGO_BIN_EXE_serin-cluster-up"))
        .arg(NAME)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(starting.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("starting") {
        line.clear();
        assert_ne!(
            lines.read_line(&mut line).unwrap(),
            0,
            "it ended before it was killed"
        );
    }
    thread::spawn(move || lines.read_to_end(&mut Vec::new()));
    thread::sleep(after);
    starting.kill().unwrap();
    starting.wait().unwrap();
}

fn run_a_pod(cluster: &Cluster) {
    image::import(cluster, &image::tools().unwrap()).unwrap();
    let kubectl = |arguments: &[&str]| {
        let output = cluster.command("kubectl").args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    kubectl(&[
        "run",
        "sleeper",
        "--image=localhost/serin-e2e-tools:1",
        "--image-pull-policy=IfNotPresent",
        "--",
        "sleep",
        SLEEP,
    ]);
    kubectl(&[
        "wait",
        "--for=condition=Ready",
        "--timeout=60s",
        "pod/sleeper",
    ]);
}

#[test]
fn a_start_killed_at_any_moment_leaves_nothing_after_down() {
    let _alone = alone();
    down(NAME).unwrap();
    let before = machine();
    for milliseconds in [0, 100, 300, 700, 1500, 3000, 6000] {
        kill_in_the_middle(Duration::from_millis(milliseconds));
        down(NAME).unwrap();
        assert_eq!(
            leftovers(),
            Vec::<String>::new(),
            "killed after {milliseconds} ms"
        );
        assert_eq!(machine(), before, "killed after {milliseconds} ms");
    }
}

#[test]
fn a_program_in_the_clusters_network_ends_with_the_cluster() {
    let _alone = alone();
    let cluster = up(NAME).unwrap();
    let mut program = cluster.command("sleep").arg(SLEEP).spawn().unwrap();
    assert!(program.try_wait().unwrap().is_none(), "it runs");
    down(NAME).unwrap();
    assert!(!program.wait().unwrap().success(), "it was killed");
    assert_eq!(leftovers(), Vec::<String>::new());
}

#[test]
fn a_cluster_with_pods_leaves_nothing_after_down_and_down_again_is_fine() {
    let _alone = alone();
    down(NAME).unwrap();
    let before = machine();
    run_a_pod(&up(NAME).unwrap());
    assert!(
        leftovers().len() > 10,
        "the check must see a running cluster: {:?}",
        leftovers()
    );
    down(NAME).unwrap();
    assert_eq!(leftovers(), Vec::<String>::new());
    assert_eq!(machine(), before);
    assert!(!status(NAME).unwrap().is_up());
    down(NAME).unwrap();
}

#[test]
fn up_finds_a_running_cluster_and_replaces_a_broken_one() {
    let _alone = alone();
    kill_in_the_middle(Duration::from_secs(1));
    up(NAME).unwrap();
    let first = status(NAME).unwrap();
    assert!(first.is_up(), "{first:?}");

    let began = Instant::now();
    up(NAME).unwrap();
    assert_eq!(
        status(NAME).unwrap().components,
        first.components,
        "the same processes still run"
    );
    assert!(began.elapsed() < Duration::from_secs(10));

    let kubelet = first
        .components
        .iter()
        .find(|component| component.name == "kubelet")
        .and_then(|component| component.pid)
        .unwrap();
    output("kill", &["-KILL", &kubelet.to_string()]);
    let deadline = Instant::now() + Duration::from_secs(10);
    while Path::new("/proc").join(kubelet.to_string()).exists() {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(10));
    }
    assert!(
        status(NAME)
            .unwrap()
            .missing
            .contains(&"kubelet does not run".to_owned())
    );
    up(NAME).unwrap();
    assert!(status(NAME).unwrap().is_up());
    down(NAME).unwrap();
    assert_eq!(leftovers(), Vec::<String>::new());
}
