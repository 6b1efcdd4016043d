//! Starting and ending a cluster.
use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Cluster, DEFAULT_NAME, Error, KUBECONFIG_VARIABLE, Result, addons, binaries, cgroups,
    components::{self, FIRST, NAMES},
    config, image,
    layout::{self, Layout},
    lock::lock,
    packages, pki, progress,
    sandbox::{self, Sandbox},
    status,
};

/// Ten seconds on an idle machine; this is for a very busy one.
const READY_LIMIT: Duration = Duration::from_secs(180);
/// How long a cluster that was complete, and whose processes all run, may take to answer before it is called broken: a busy
/// machine is no reason to end a cluster that other tests use.
const HEALTHY_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

impl Cluster {
    /// The cluster that `SERIN_E2E_KUBECONFIG` names, else our own, brought up where it is not.
    ///
    /// # Errors
    /// When the variable names no file, or see [`up`].
    pub fn running_or_up() -> Result<Self> {
        match env::var_os(KUBECONFIG_VARIABLE).filter(|path| !path.is_empty()) {
            Some(path) => Self::theirs(path.into()),
            None if status::status(DEFAULT_NAME)?.is_up() => Self::running(DEFAULT_NAME),
            None => up(DEFAULT_NAME),
        }
    }
}

/// Brings the cluster up, or finds it up. One that is half started, crashed or built from other sources is ended first.
///
/// # Errors
/// Without root, when a program or package cannot be had, or when a component does not start; a failed start is left as it is,
/// for its logs, until the next `up` or `down`.
pub fn up(name: &str) -> Result<Cluster> {
    need_root()?;
    let layout = Layout::new(name)?;
    layout::create_dir(&layout.cache().join("run"))?;
    let began = Instant::now();
    let _lock = lock(&layout.lock())?;
    packages::ensure()?;
    let binaries = binaries::ensure(&layout)?;
    // The tests make images inside the cluster's network, from where no package can be fetched: what they are made of must be
    // in the cache before.
    image::tools()?;
    if let Some(cluster) = healthy(&layout, &binaries)? {
        progress::say(&format!("{name} is up already"));
        announce(&cluster);
        return Ok(cluster);
    }
    if Sandbox::find(&layout).is_some() || layout.state().exists() {
        progress::say(&format!(
            "{name} is not healthy or from other sources: ending it and starting anew"
        ));
    }
    clear(&layout)?;
    let cluster = start(&layout, &binaries)?;
    progress::say(&format!(
        "{name} is up after {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    announce(&cluster);
    Ok(cluster)
}

/// Ends the cluster and removes everything of it but the caches. One that is not there is fine.
///
/// # Errors
/// Without root, or when something of it would not go away.
pub fn down(name: &str) -> Result<()> {
    need_root()?;
    let layout = Layout::new(name)?;
    layout::create_dir(&layout.cache().join("run"))?;
    let _lock = lock(&layout.lock())?;
    let began = Instant::now();
    if Sandbox::find(&layout).is_none()
        && !layout.state().exists()
        && cgroups::existing(name)?.is_empty()
    {
        progress::say(&format!("{name} is not up"));
        return Ok(());
    }
    clear(&layout)?;
    progress::say(&format!(
        "{name} is gone after {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    Ok(())
}

fn need_root() -> Result<()> {
    if rustix::process::geteuid().is_root() {
        Ok(())
    } else {
        Err(Error::NotRoot)
    }
}

fn clear(layout: &Layout) -> Result<()> {
    let _step = progress::step("ending the old processes", String::new);
    sandbox::end(layout)?;
    cgroups::remove(&layout.name)?;
    layout::remove_dir(&layout.state())
}

/// The running cluster, if it is complete, made of these programs, and answers.
fn healthy(layout: &Layout, binaries: &Path) -> Result<Option<Cluster>> {
    let complete =
        fs::read_to_string(layout.complete()).is_ok_and(|made_of| Path::new(&made_of) == binaries);
    let Some(sandbox) = Sandbox::find(layout).filter(|_| complete) else {
        return Ok(None);
    };
    if components::check_alive(layout, &sandbox, &NAMES).is_err() {
        return Ok(None);
    }
    let cluster = Cluster::own(layout.clone(), sandbox, binaries.to_owned());
    let _step = progress::step("waiting for the running cluster to answer", String::new);
    let deadline = Instant::now() + HEALTHY_LIMIT;
    while Instant::now() < deadline {
        if status::missing(&cluster).is_empty() {
            return Ok(Some(cluster));
        }
        thread::sleep(POLL);
    }
    Ok(None)
}

fn start(layout: &Layout, binaries: &Path) -> Result<Cluster> {
    let Some(plugins) = packages::cni_plugins() else {
        return Err(Error::Missing {
            program: "ptp (CNI plugin)".into(),
            cure: "install containernetworking-plugins".into(),
        });
    };
    progress::say(&format!("starting {}", layout.name));
    let _step = progress::step("starting", String::new);
    layout::create_dir(&layout.state())?;
    config::write(layout, plugins)?;
    pki::create(layout)?;
    let pause = image::pause(layout, &binaries.join("pause"))?;
    copy_program(&binaries.join("pause"), &layout.holder())?;
    cgroups::create(&layout.name)?;
    let sandbox = Sandbox::start(layout)?;
    let cluster = Cluster::own(layout.clone(), sandbox.clone(), binaries.to_owned());
    let (first, rest) = NAMES.split_at(FIRST);
    for name in first {
        components::start(layout, &sandbox, binaries, name)?;
    }
    until(
        "containerd",
        "did not open its socket",
        &cluster,
        first,
        || layout.containerd_socket().exists(),
    )?;
    image::import(&cluster, &pause)?;
    until(
        "kube-apiserver",
        "did not become ready",
        &cluster,
        first,
        || {
            cluster
                .kubectl(&["get", "--raw", "/readyz"])
                .is_ok_and(|answer| answer == "ok")
        },
    )?;
    for name in rest {
        components::start(layout, &sandbox, binaries, name)?;
    }
    let addons = layout.state().join("addons.json");
    layout::write(&addons, addons::manifests().to_string())?;
    until(
        "kube-apiserver",
        "does not take the Services of DNS and metrics",
        &cluster,
        &NAMES,
        || {
            cluster
                .kubectl(&["apply", "-f", &addons.to_string_lossy()])
                .is_ok()
        },
    )?;
    until(
        "kubelet",
        "and its neighbours did not become ready",
        &cluster,
        &NAMES,
        || status::missing(&cluster).is_empty(),
    )?;
    layout::write(&layout.complete(), binaries.as_os_str().as_encoded_bytes())?;
    Ok(cluster)
}

/// A copy and not a link: the holder must be this cluster's alone, and the cache may be cleared while it runs.
fn copy_program(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map_err(Error::file("write", to))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).map_err(Error::file("write", to))
}

/// Polls, and gives up when a component ends or the time is over.
fn until(
    component: &str,
    problem: &str,
    cluster: &Cluster,
    alive: &[&str],
    done: impl Fn() -> bool,
) -> Result<()> {
    let Some((layout, sandbox)) = cluster.inside() else {
        return Ok(());
    };
    let deadline = Instant::now() + READY_LIMIT;
    while !done() {
        components::check_alive(layout, sandbox, alive)?;
        if Instant::now() > deadline {
            let missing = status::missing(cluster).join(", ");
            return Err(components::failure(
                layout,
                component,
                &format!(
                    "{problem} within {} s (missing: {missing})",
                    READY_LIMIT.as_secs()
                ),
            ));
        }
        thread::sleep(POLL);
    }
    Ok(())
}

fn announce(cluster: &Cluster) {
    progress::say(&format!("kubeconfig: {}", cluster.kubeconfig().display()));
    let name = match cluster.inside() {
        Some((layout, _)) if layout.name != DEFAULT_NAME => format!(" --name {}", layout.name),
        _ => String::new(),
    };
    progress::say(&format!(
        "next: cargo xtask cluster{name} exec -- kubectl get pods --all-namespaces"
    ));
}
