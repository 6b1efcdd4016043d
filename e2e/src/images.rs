//! The images under test, made from the workspace's own binaries.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serin_e2e_cluster::Cluster;
use serin_e2e_cluster::image::{self, ImageSpec};
use sha2::{Digest, Sha256};

/// Where the data plane looks for ONNX Runtime in its image.
const RUNTIME_IN_IMAGE: &str = "/usr/lib/serin/libonnxruntime.so.1";

/// Names of the images, each with a tag that changes with its content.
pub struct Images {
    operator: (String, String),
    dataplane_name: (String, String),
    /// `NAME:TAG` of the pods that serve.
    pub dataplane: String,
    /// `NAME:TAG` of the client that runs inside the cluster.
    pub client: String,
}

impl Images {
    /// Builds what the cluster does not have yet, and brings it there. Somebody else's cluster must
    /// have been loaded by its owner: a line says with what.
    pub fn import(cluster: &Cluster) -> Self {
        let operator = import(
            cluster,
            "serin-operator",
            &binary("SERIN_E2E_OPERATOR", "serin-operator"),
            vec![],
        );
        let runtime = runtime();
        let dataplane = import(
            cluster,
            "serin-dataplane",
            &binary("SERIN_E2E_DATAPLANE", "serin-dataplane"),
            vec![(runtime, RUNTIME_IN_IMAGE.into())],
        );
        let client = import(cluster, "serin-e2e-client", &client(), vec![]);
        Self {
            operator,
            dataplane: format!("{}:{}", dataplane.0, dataplane.1),
            dataplane_name: dataplane,
            client: format!("{}:{}", client.0, client.1),
        }
    }

    /// The chart's values that name them.
    pub fn chart_values(&self) -> [(&'static str, &str); 4] {
        [
            ("operator.image.repository", &self.operator.0),
            ("operator.image.tag", &self.operator.1),
            ("dataplane.image.repository", &self.dataplane_name.0),
            ("dataplane.image.tag", &self.dataplane_name.1),
        ]
    }
}

fn import(
    cluster: &Cluster,
    name: &str,
    binary: &Path,
    extra_files: Vec<(PathBuf, String)>,
) -> (String, String) {
    let content = fs::read(binary).unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
    let digest = hex::encode(Sha256::digest(&content));
    let (repository, tag) = (format!("localhost/{name}"), digest[..12].to_owned());
    let spec = ImageSpec {
        name: format!("{repository}:{tag}"),
        binary: binary.to_owned(),
        extra_files,
        entrypoint: vec![format!("/usr/bin/{name}")],
        env: vec![],
    };
    let archive = image::build(&spec).unwrap_or_else(|error| panic!("{error}"));
    image::import(cluster, &archive).unwrap_or_else(|error| panic!("{error}"));
    (repository, tag)
}

/// The path in `variable`, or the workspace's release binary.
fn binary(variable: &str, name: &str) -> PathBuf {
    let path = env::var_os(variable).map_or_else(
        || target_directory().join("release").join(name),
        PathBuf::from,
    );
    assert!(
        path.is_file(),
        "{} is not there: build it with `cargo build --release -p {name}`, or name another with {variable}",
        path.display()
    );
    path
}

/// The client of this very build: it lies beside the folder of the test program.
fn client() -> PathBuf {
    let test = env::current_exe().expect("a running program has a path");
    let profile = test.ancestors().nth(2).unwrap_or(&test);
    let path = profile.join("serin-e2e-client");
    assert!(
        path.is_file(),
        "{} is not there: build it with `cargo build -p serin-e2e --bins`",
        path.display()
    );
    path
}

fn runtime() -> PathBuf {
    let variable = "SERIN_ONNXRUNTIME";
    let named = env::var_os(variable).map(PathBuf::from);
    let installed = || {
        let cache = env::var_os("XDG_CACHE_HOME").map_or_else(
            || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache"),
            PathBuf::from,
        );
        let versions = fs::read_dir(cache.join("serin/onnxruntime")).ok()?;
        let mut found: Vec<_> = versions
            .filter_map(|version| Some(version.ok()?.path().join("libonnxruntime.so.1")))
            .filter(|path| path.is_file())
            .collect();
        found.sort();
        found.pop()
    };
    named.or_else(installed).unwrap_or_else(|| {
        panic!("no ONNX Runtime for the image: `cargo run -p serin -- runtime install`, or name a libonnxruntime.so with {variable}")
    })
}

/// Where cargo puts what it builds: the test program is `<there>/debug/deps/<name>`.
fn target_directory() -> PathBuf {
    let test = env::current_exe().expect("a running program has a path");
    test.ancestors().nth(3).unwrap_or(&test).to_owned()
}
