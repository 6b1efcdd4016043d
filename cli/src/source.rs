//! Where the model of a service is, seen from this machine.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use serin_crds::contract::pod_config::SourceConfig;
use serin_crds::manifest::{ConfigMap, Problem, Service};
use serin_crds::source_uri::{SourceUri, SourceUriError};
use serin_engine::onnx::{FileError, ModelFile};

use crate::runtime::hash_of;

/// The field that every fault here is about.
pub const URI: &str = "spec.model.source.uri";

const DIGEST: &str = "spec.model.source.digest";

/// The place that a URI names.
pub enum Found<'a> {
    /// A file or folder of this machine.
    File(PathBuf),
    /// A value of a ConfigMap among the manifests.
    Bytes {
        /// The key, which is the file's name in a pod.
        key: String,
        /// The model.
        bytes: &'a [u8],
    },
    /// All values of a ConfigMap among the manifests: a folder, by key.
    Folder(&'a BTreeMap<String, Vec<u8>>),
    /// A web server; the data plane fetches from it.
    Remote,
    /// A volume claim: only a cluster has those.
    Volume,
    /// A ConfigMap that is not among the manifests.
    Absent(Problem),
}

/// Resolves the URI of `service`, in the namespace that it stands in.
///
/// # Errors
/// A key that its ConfigMap lacks; a URI that is none, or a file of another machine.
pub fn find<'a>(service: &Service, config_maps: &'a [ConfigMap]) -> Result<Found<'a>, Problem> {
    match SourceUri::parse(&service.service.spec.model.source.uri) {
        Ok(SourceUri::File { path }) => Ok(Found::File(path)),
        Ok(SourceUri::ConfigMap { name, key }) => {
            in_config_map(service, config_maps, &name, key.as_deref())
        }
        Ok(SourceUri::Pvc { .. }) => Ok(Found::Volume),
        Ok(SourceUri::Https) => Ok(Found::Remote),
        Err(SourceUriError::File) => {
            let wrong = "a file URI needs an absolute path of this machine";
            Err(service.problem(URI, wrong, "write file:///PATH, %20 for a space"))
        }
        Err(error) => Err(service.problem(URI, error.to_string(), "")),
    }
}

fn in_config_map<'a>(
    service: &Service,
    config_maps: &'a [ConfigMap],
    name: &str,
    key: Option<&str>,
) -> Result<Found<'a>, Problem> {
    let namespace = &service.service.metadata.namespace;
    let Some(config_map) = config_maps
        .iter()
        .find(|map| map.name == name && map.namespace == *namespace)
    else {
        let elsewhere = config_maps.iter().find(|map| map.name == name);
        let (wrong, help) = match elsewhere {
            Some(map) => (
                format!(
                    "the ConfigMap {name} at {}:{} is of another namespace",
                    map.file, map.line
                ),
                "give both the same metadata.namespace, or none".to_owned(),
            ),
            None => (
                format!("there is no ConfigMap {name} among the files"),
                "name its file or the folder of both with -f".to_owned(),
            ),
        };
        return Ok(Found::Absent(service.problem(URI, wrong, help)));
    };
    let Some(key) = key else {
        return Ok(Found::Folder(&config_map.data));
    };
    match config_map.data.get(key) {
        Some(bytes) => Ok(Found::Bytes {
            key: key.to_owned(),
            bytes,
        }),
        None => {
            let keys: Vec<&str> = config_map.data.keys().map(String::as_str).collect();
            Err(service.problem(
                URI,
                format!(
                    "the ConfigMap {name} at {}:{} has no key {key}",
                    config_map.file, config_map.line
                ),
                match keys.as_slice() {
                    [] => "put the model there, under binaryData".to_owned(),
                    keys => format!("its keys are {}", keys.join(", ")),
                },
            ))
        }
    }
}

/// What a pod would be told about the source of `service`.
pub fn config(service: &Service) -> SourceConfig {
    let source = &service.service.spec.model.source;
    SourceConfig {
        uri: source.uri.clone(),
        path: None,
        digest: source.digest.clone(),
        allowed_networks: Vec::new(),
    }
}

/// Writes a model that stands in a ConfigMap to a file.
///
/// # Errors
/// The file cannot be written.
pub fn write(service: &Service, path: &Path, bytes: &[u8]) -> Result<PathBuf, Problem> {
    path.parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(path, bytes))
        .map_err(|error| {
            let wrong = format!("the model cannot be written to a temporary file: {error}");
            service.problem(
                URI,
                wrong,
                "make room there, or name another folder with TMPDIR",
            )
        })?;
    Ok(path.to_owned())
}

/// Writes a model that is a ConfigMap's values to the folder `path`, a file for each key.
///
/// # Errors
/// A file cannot be written.
pub fn write_all(
    service: &Service,
    path: &Path,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<PathBuf, Problem> {
    for (key, bytes) in files {
        write(service, &path.join(key), bytes)?;
    }
    Ok(path.to_owned())
}

/// Checks a model that is at hand: it is there, an ONNX model, and has the digest it must have.
///
/// # Errors
/// What is wrong with it, at the field that names it.
pub fn verify(service: &Service, path: &Path) -> Result<(), Problem> {
    let checked = ModelFile::check(path).map_err(|error| {
        let help = match error {
            FileError::Missing => "correct the path, or put the model there",
            FileError::NoModelInFolder => "name the model's file, or call it model.onnx",
            FileError::NotOnnx(_) => "export the model to ONNX and name that file",
            _ => "keep the model and its weights together, as plain files in one folder",
        };
        service.problem(URI, format!("the model cannot be used: {error}"), help)
    });
    // A wrong file explains itself by its digest before it does by its structure.
    if let (Some(wanted), Ok(found)) = (&service.service.spec.model.source.digest, digest_of(path))
        && *wanted != found
    {
        return Err(service.problem(
            DIGEST,
            format!("the model's file hashes to {found}"),
            "put the file there that the digest names, or write this digest if it is the right file",
        ));
    }
    checked.map(drop)
}

fn digest_of(path: &Path) -> std::io::Result<String> {
    let file = if path.is_dir() {
        path.join("model.onnx")
    } else {
        path.to_owned()
    };
    Ok(format!("sha256:{}", hash_of(&mut File::open(file)?)?))
}
