//! The programs built from source: once for each Go version and content of `go/`, then kept in the cache.
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{self, Command},
    thread,
    time::Duration,
};

use sha2::{Digest, Sha256};

use crate::{
    Error, Result,
    command::{self, Lines},
    layout::{self, Layout},
    lock::lock,
    progress,
};

/// Two cores need some eight minutes from nothing.
const BUILD_LIMIT: Duration = Duration::from_secs(3600);
const FETCH_LIMIT: Duration = Duration::from_secs(1200);
const RETRIES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];
const SHORT: Duration = Duration::from_secs(120);

/// What Kubernetes calls itself; without it all parts are v0.0.0 and clients misbehave. The version is that of `go/go.mod`.
const LINKER_FLAGS: &str = "-s -w -X k8s.io/component-base/version.gitVersion=v1.35.4 -X k8s.io/component-base/version.gitMajor=1 \
     -X k8s.io/component-base/version.gitMinor=35 -X k8s.io/component-base/version.gitTreeState=clean";

/// The Kubernetes programs that the one program `kube` is, by the name it is called by.
const KUBE: [&str; 6] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
];

/// Module directory below `go/`, and the packages built there.
const MODULES: [(&str, &[&str]); 2] = [
    (
        "",
        &["./etcd", "./coredns", "./kube", "helm.sh/helm/v3/cmd/helm"],
    ),
    (
        "metrics-server",
        &["sigs.k8s.io/metrics-server/cmd/metrics-server"],
    ),
];

/// The directory with kubectl, helm, etcd, kubelet, `pause`... built where it is not there yet.
pub(crate) fn ensure(layout: &Layout) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let version = command::output(
        Command::new("go")
            .arg("version")
            .current_dir(source.join("go")),
        SHORT,
    )
    .map_err(|error| match error {
        Error::Missing { program, .. } => Error::Missing {
            program,
            cure: "install Go 1.26.4 or newer (https://go.dev/dl)".into(),
        },
        other => other,
    })?;
    let all = layout.cache().join("bin");
    let done = all.join(key(source, &version)?);
    if done.is_dir() {
        return Ok(done);
    }
    layout::create_dir(&all)?;
    let _lock = lock(&all.join("lock"))?;
    if done.is_dir() {
        return Ok(done);
    }
    clear_unfinished(&all)?;
    forget_old(layout, &all)?;
    let building = all.join(format!("building-{}", process::id()));
    layout::create_dir(&building)?;
    build(source, &building)?;
    fs::rename(&building, &done).map_err(Error::file("rename", &building))?;
    Ok(done)
}

/// Names the content of the sources and the compiler.
fn key(source: &Path, go_version: &str) -> Result<String> {
    let mut digest = Sha256::new();
    for text in [go_version, LINKER_FLAGS] {
        digest.update(text);
        digest.update([0]);
    }
    for file in sources(source)? {
        digest.update(
            file.strip_prefix(source)
                .unwrap_or(&file)
                .as_os_str()
                .as_encoded_bytes(),
        );
        digest.update([0]);
        digest.update(layout::read(&file)?);
        digest.update([0]);
    }
    Ok(hex(&digest.finalize()[..10]))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// All files under `go/` and `pause/`, in a fixed order.
fn sources(source: &Path) -> Result<Vec<PathBuf>> {
    let mut pending = vec![source.join("go"), source.join("pause")];
    let mut files = Vec::new();
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).map_err(Error::file("list", &directory))? {
            let path = entry.map_err(Error::file("list", &directory))?.path();
            if path.is_dir() {
                pending.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Under the lock no build is under way, so what is unfinished was left by one that was killed.
fn clear_unfinished(all: &Path) -> Result<()> {
    for entry in fs::read_dir(all).map_err(Error::file("list", all))? {
        let path = entry.map_err(Error::file("list", all))?.path();
        if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("building-"))
        {
            layout::remove_dir(&path)?;
        }
    }
    Ok(())
}

/// Each change of `go/` or of the compiler makes another 350 MB. Those that a cluster runs, and the latest, stay.
fn forget_old(layout: &Layout, all: &Path) -> Result<()> {
    let list = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    let in_use: Vec<_> = list(&layout.cache().join("run"))
        .filter_map(|state| fs::read_to_string(state.path().join("complete")).ok())
        .collect();
    let mut unused: Vec<_> = list(all)
        .map(|entry| entry.path())
        .filter(|path| path.is_dir() && !in_use.iter().any(|used| Path::new(used) == path))
        .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
        .collect();
    unused.sort();
    unused.pop();
    unused
        .iter()
        .try_for_each(|(_, path)| layout::remove_dir(path))
}

fn build(source: &Path, into: &Path) -> Result<()> {
    progress::say(
        "building Kubernetes, etcd, CoreDNS, helm and metrics-server from source; this happens once and takes about ten minutes on two cores",
    );
    for (module, packages) in MODULES {
        let compiled = Lines::default();
        let counted = compiled.clone();
        let what = if module.is_empty() {
            "building Kubernetes, etcd, CoreDNS and helm"
        } else {
            "building metrics-server"
        };
        let _step = progress::step(what, move || {
            format!("{} modules or packages done", counted.count())
        });
        fetch(&source.join("go").join(module))?;
        let mut go = Command::new("go");
        go.current_dir(source.join("go").join(module))
            .env("CGO_ENABLED", "0")
            .args([
                "build",
                "-v",
                "-mod=readonly",
                "-trimpath",
                "-buildvcs=false",
                "-ldflags",
                LINKER_FLAGS,
                "-o",
            ])
            .arg(into)
            .args(packages);
        command::output_counting(&mut go, BUILD_LIMIT, &compiled)?;
    }
    for name in KUBE {
        let link = into.join(name);
        std::os::unix::fs::symlink("kube", &link).map_err(Error::file("create", &link))?;
    }
    let mut cc = Command::new("cc");
    cc.args(["-static", "-Os", "-s", "-Wall", "-Werror", "-o"])
        .arg(into.join("pause"))
        .arg(source.join("pause/pause.c"));
    command::output(&mut cc, SHORT).map(drop)
}

/// Brings the sources, which Go asks for once each: some hundred answers of a proxy, one of which may be lost.
fn fetch(module: &Path) -> Result<()> {
    let mut go = Command::new("go");
    go.current_dir(module).args(["mod", "download"]);
    for pause in RETRIES {
        match command::output(&mut go, FETCH_LIMIT) {
            Err(Error::Failed { .. }) => thread::sleep(pause),
            other => return other.map(drop),
        }
    }
    command::output(&mut go, FETCH_LIMIT).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_changes_with_the_compiler_and_not_by_itself() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let key = |version| key(source, version).unwrap();
        assert_eq!(key("go1.26.8"), key("go1.26.8"));
        assert_ne!(key("go1.26.8"), key("go1.26.9"));
    }

    #[test]
    fn every_module_is_pinned_by_sums() {
        for (module, _) in MODULES {
            let sums = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("go")
                .join(module)
                .join("go.sum");
            assert!(
                layout::read(&sums).unwrap().contains("k8s.io/client-go"),
                "{}",
                sums.display()
            );
        }
    }

    #[test]
    fn the_version_that_kubernetes_is_told_is_the_one_required() {
        let module =
            layout::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("go/go.mod")).unwrap();
        let version = LINKER_FLAGS
            .split("gitVersion=")
            .nth(1)
            .and_then(|rest| rest.split(' ').next())
            .unwrap();
        assert!(
            module.contains(&format!("k8s.io/kubernetes {version}\n")),
            "{version}"
        );
    }
}
