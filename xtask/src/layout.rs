//! Rules of the house that the compiler does not know: which crate may use which, and what may not be in the tree at all.
//! The modules within the data plane and the operator have such a test of their own.
use std::{process::Command, time::Duration};

use serde_json::Value;

use crate::{
    build,
    error::{Error, Result},
    process, workspace,
};

const LIMIT: Duration = Duration::from_secs(120);

/// Each crate of the workspace and those it may use, directly or in its tests.
const CRATES: [(&str, &[&str]); 13] = [
    ("serin-crds", &[]),
    ("serin-rollout", &[]),
    ("serin-core", &[]),
    ("serin-engine", &["serin-core"]),
    ("serin-wire", &["serin-core", "serin-crds"]),
    (
        "serin-dataplane",
        &["serin-core", "serin-crds", "serin-engine", "serin-wire"],
    ),
    ("serin-operator", &["serin-crds", "serin-rollout"]),
    (
        "serin",
        &[
            "serin-core",
            "serin-crds",
            "serin-dataplane",
            "serin-engine",
            "serin-wire",
        ],
    ),
    ("serin-e2e-cluster", &[]),
    ("serin-e2e", &["serin-crds", "serin-e2e-cluster"]),
    ("serin-bench", &[]),
    (
        "serin-fuzz",
        &[
            "serin-core",
            "serin-crds",
            "serin-dataplane",
            "serin-engine",
            "serin-wire",
        ],
    ),
    ("xtask", &["serin-e2e-cluster"]),
];

/// What may not be reached from a crate, however indirectly, and why.
const UNREACHABLE: [(&str, &str, &str); 14] = [
    (
        "serin-crds",
        "tokio",
        "the types are used where there is no runtime",
    ),
    ("serin-crds", "kube-client", "the types do no I/O"),
    (
        "serin-rollout",
        "tokio",
        "a rollout is decided without a runtime",
    ),
    (
        "serin-rollout",
        "kube-core",
        "a rollout is decided the same way in a cluster and on a laptop",
    ),
    ("serin-core", "tokio", "its types belong to no runtime"),
    (
        "serin-core",
        "serde_json",
        "its types have a form of each protocol, and none of their own",
    ),
    (
        "serin-wire",
        "tokio",
        "formats are read and written without a runtime",
    ),
    ("serin-wire", "ort", "formats know no engine"),
    (
        "serin-engine",
        "http",
        "an engine does not know by which protocol a request came",
    ),
    (
        "serin-dataplane",
        "kube-client",
        "no pod talks to the API server",
    ),
    (
        "serin-dataplane",
        "kube-runtime",
        "no pod talks to the API server",
    ),
    ("serin-operator", "ort", "the operator loads no model"),
    (
        "xtask",
        "kube",
        "every contributor waits for this crate to compile",
    ),
    (
        "xtask",
        "tokio",
        "every contributor waits for this crate to compile",
    ),
];

/// Crates that may be there once only: two of a kind do not understand each other's types, or double the binary.
const SINGLE: [&str; 9] = [
    "kube",
    "k8s-openapi",
    "schemars",
    "rustls",
    "ring",
    "hyper",
    "http",
    "axum",
    "ort",
];

/// Crates that may not be there.
const BANNED: [(&str, &str); 4] = [
    ("openssl-sys", "TLS is rustls"),
    ("native-tls", "TLS is rustls"),
    (
        "aws-lc-sys",
        "rustls's provider is ring: no CMake, no assembler",
    ),
    ("serde_yaml", "unmaintained; YAML is read by serde-saphyr"),
];

/// No file may have more lines; 300 is the aim.
const MOST_LINES: usize = 500;
/// No file in git may have more bytes; what is larger is made by a script.
const MOST_BYTES: u64 = 1 << 20;

/// All rules. The error lists every breach.
pub fn check() -> Result {
    let mut cargo = build::cargo();
    cargo.args(["metadata", "--format-version=1", "--no-deps", "--offline"]);
    let metadata: Value = serde_json::from_str(&process::output(&mut cargo, LIMIT)?)
        .map_err(|error| Error::Wrong(format!("cargo metadata: {error}")))?;
    let mut breaches = crate_edges(&metadata);
    for (package, banned, reason) in UNREACHABLE {
        if reaches(&tree(package)?, banned) {
            breaches.push(format!("{package} reaches {banned}: {reason}; `cargo tree -p {package} -i {banned}` shows how"));
        }
    }
    breaches.extend(locked(&workspace::read(
        &workspace::root().join("Cargo.lock"),
    )?));
    breaches.extend(files()?);
    if breaches.is_empty() {
        Ok(())
    } else {
        Err(Error::Wrong(breaches.join("\n")))
    }
}

fn tree(package: &str) -> Result<String> {
    let mut cargo = build::cargo();
    cargo.args([
        "tree",
        "--locked",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--package",
        package,
    ]);
    process::output(&mut cargo, LIMIT)
}

fn reaches(tree: &str, package: &str) -> bool {
    tree.lines()
        .any(|line| line.split(' ').next() == Some(package))
}

/// Edges between crates of the workspace that the table does not allow.
fn crate_edges(metadata: &Value) -> Vec<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages = list(&metadata["packages"]);
    let ours: Vec<&str> = packages
        .iter()
        .filter_map(|package| package["name"].as_str())
        .collect();
    let mut breaches = Vec::new();
    for package in &packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = CRATES.iter().find(|(known, _)| *known == name) else {
            breaches.push(format!(
                "{name} is not in the table of xtask/src/layout.rs: say there what it may use"
            ));
            continue;
        };
        for dependency in list(&package["dependencies"]) {
            let used = dependency["name"].as_str().unwrap_or_default();
            if ours.contains(&used) && !allowed.contains(&used) {
                breaches.push(format!(
                    "{name} may not use {used} (table in xtask/src/layout.rs)"
                ));
            }
        }
    }
    breaches
}

/// Crates in the lock file that may not be there, or not twice.
fn locked(lock: &str) -> Vec<String> {
    let count = |package: &str| {
        lock.lines()
            .filter(|line| *line == format!("name = \"{package}\""))
            .count()
    };
    let twice = SINGLE
        .iter()
        .filter(|package| count(package) > 1)
        .map(|package| {
            format!(
                "{package} is in Cargo.lock {} times: `cargo tree -d` shows why",
                count(package)
            )
        });
    let banned =
        BANNED
            .iter()
            .filter(|(package, _)| count(package) > 0)
            .map(|(package, reason)| {
                format!("{package} is in Cargo.lock: {reason}; `cargo tree -i {package}` shows why")
            });
    twice.chain(banned).collect()
}

fn files() -> Result<Vec<String>> {
    let root = workspace::root();
    let mut breaches = Vec::new();
    for path in workspace::files()? {
        let shown = path.display();
        let bytes = root
            .join(&path)
            .metadata()
            .map_or(0, |metadata| metadata.len());
        if bytes > MOST_BYTES {
            breaches.push(format!(
                "{shown} has {bytes} bytes, {MOST_BYTES} are allowed: make it by a script"
            ));
        }
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = workspace::read(&root.join(&path))?;
        let lines = text.lines().count();
        if lines > MOST_LINES {
            breaches.push(format!(
                "{shown} has {lines} lines, {MOST_LINES} are allowed: split it by idea"
            ));
        }
        let is_root = path.ends_with("src/lib.rs") || path.ends_with("src/main.rs");
        if is_root
            && !text.contains("#![forbid(unsafe_code)]")
            && !text.contains("#![deny(unsafe_code)]")
        {
            breaches.push(format!("{shown} lacks #![forbid(unsafe_code)]"));
        }
    }
    Ok(breaches)
}

/// Whether the source is formatted. Of each file that is not, its name is shown.
pub fn formatted() -> Result {
    let mut cargo: Command = build::cargo();
    cargo.args(["fmt", "--all", "--", "--check", "--files-with-diff"]);
    process::stream(&mut cargo, LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata(package: &str, uses: &str) -> Value {
        json!({"packages": [
            {"name": package, "dependencies": [{"name": uses}, {"name": "serde"}]},
            {"name": "serin-crds", "dependencies": []},
            {"name": "serin-operator", "dependencies": []},
        ]})
    }

    #[test]
    fn an_edge_against_the_order_is_named() {
        assert_eq!(
            crate_edges(&metadata("serin-dataplane", "serin-crds")),
            Vec::<String>::new()
        );
        let breaches = crate_edges(&metadata("serin-dataplane", "serin-operator"));
        assert!(
            breaches[0].contains("serin-dataplane may not use serin-operator"),
            "{breaches:?}"
        );
    }

    #[test]
    fn a_crate_that_the_table_does_not_know_is_named() {
        let breaches = crate_edges(&metadata("serin-new", "serin-crds"));
        assert!(
            breaches[0].contains("serin-new is not in the table"),
            "{breaches:?}"
        );
    }

    #[test]
    fn a_second_kube_and_a_banned_crate_are_named() {
        let lock =
            "name = \"kube\"\nname = \"kube\"\nname = \"openssl-sys\"\nname = \"kube-core\"\n";
        let breaches = locked(lock);
        assert_eq!(breaches.len(), 2, "{breaches:?}");
        assert!(locked("name = \"kube\"\n").is_empty());
    }

    #[test]
    fn a_crate_is_found_by_its_whole_name() {
        let tree = "serin-crds v0.1.0 (/src)\nkube-core v5.0.0\n";
        assert!(reaches(tree, "kube-core"));
        assert!(!reaches(tree, "kube"));
    }
}
