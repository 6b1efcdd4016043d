//! Rendering the chart with the real helm.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use serin_e2e_cluster::{Cluster, DEFAULT_NAME, NAME_VARIABLE};

use crate::program::{self, Ended};

const LIMIT: Duration = Duration::from_secs(30);
/// Version of the test cluster; the chart is rendered for it where there is none.
const KUBE_VERSION: &str = "1.35.4";

/// Folder of the chart.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/serin")
}

/// Runs helm: the one that was built for the test cluster, else the one on the `PATH`.
///
/// # Panics
/// When there is neither.
pub fn helm(arguments: &[&str]) -> Ended {
    let name = std::env::var(NAME_VARIABLE).unwrap_or(DEFAULT_NAME.into());
    let mut helm = Cluster::running(&name)
        .map_or_else(|_| Command::new("helm"), |cluster| cluster.command("helm"));
    let there = Command::new(helm.get_program()).arg("--help").output();
    assert!(
        there.is_ok(),
        "no helm here: install helm 3, or start the test cluster, which builds one: `cargo xtask cluster up`"
    );
    helm.args(arguments);
    program::run(helm, "", LIMIT)
}

/// `helm template` of the chart into namespace `serin-system`, with `--set` of each value.
pub fn template(values: &[&str]) -> Ended {
    let folder = folder();
    let mut arguments = vec!["template", "serin"];
    let folder = folder.to_string_lossy();
    arguments.extend([
        &*folder,
        "--namespace",
        "serin-system",
        "--kube-version",
        KUBE_VERSION,
    ]);
    for value in values {
        arguments.extend(["--set", value]);
    }
    helm(&arguments)
}

/// The rendered objects.
///
/// # Panics
/// When the chart cannot be rendered.
pub fn rendered(values: &[&str]) -> Vec<Value> {
    objects(&template(values).expect_success())
}

/// The objects of a YAML text.
///
/// # Panics
/// When it is no YAML.
pub fn objects(yaml: &str) -> Vec<Value> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(yaml).unwrap_or_else(|error| panic!("{error}:\n{yaml}"));
    documents
        .into_iter()
        .filter(|document| !document.is_null())
        .collect()
}

/// Objects of a kind.
pub fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects
        .iter()
        .filter(|object| object["kind"] == kind)
        .collect()
}
