//! From a source to files on this machine.

use std::path::PathBuf;

use serin_crds::contract::pod_config::SourceConfig;
use serin_crds::source_uri::{SourceUri, SourceUriError, shown};

use super::error::LoadError;
use super::fetch::{self, Fetch};
use super::options::SourceOptions;
use crate::address::Rule;

/// A source whose files are on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalArtifact {
    /// The model's file, or the folder that holds it.
    pub path: PathBuf,
    /// The source as the user wrote it, without secrets: for errors and logs.
    pub shown: String,
}

/// Finds the files of a source, fetched where they are elsewhere.
///
/// # Errors
/// [`LoadError`]; passing for networks and stores, permanent for everything else.
pub async fn locate(
    source: &SourceConfig,
    options: &SourceOptions,
) -> Result<LocalArtifact, LoadError> {
    let shown = shown(&source.uri);
    if let Some(path) = &source.path {
        return Ok(LocalArtifact {
            path: PathBuf::from(path),
            shown,
        });
    }
    let not_mounted = |scheme| {
        LoadError::permanent(format!(
            "{shown} is not mounted: a {scheme} source needs its content's place in source.path, which the \
             operator and `serin run` set"
        ))
    };
    let path = match SourceUri::parse(&source.uri) {
        Ok(SourceUri::File { path }) => path,
        Ok(SourceUri::Https) => {
            let fetch = Fetch {
                uri: &source.uri,
                shown: &shown,
                digest: source.digest.as_deref(),
                rule: rule(source, options)?,
                options,
            };
            fetch::fetch(&fetch).await?
        }
        Ok(SourceUri::ConfigMap { .. }) => return Err(not_mounted("configmap")),
        Ok(SourceUri::Pvc { .. }) => return Err(not_mounted("pvc")),
        Err(error) => {
            return Err(LoadError::permanent(match error {
                SourceUriError::Scheme => format!(
                    "{shown} is no source that is understood: use https://, pvc://, configmap:// or file://"
                ),
                SourceUriError::File => format!("{shown} needs an absolute path: file:///PATH"),
                error => format!("{shown} is no source that is understood: {error}"),
            }));
        }
    };
    Ok(LocalArtifact { path, shown })
}

fn rule(source: &SourceConfig, options: &SourceOptions) -> Result<Rule, LoadError> {
    let networks = source
        .allowed_networks
        .iter()
        .map(|text| {
            text.parse().map_err(|_| {
                LoadError::permanent(format!(
                    "allowed network '{text}' is not in CIDR notation, as 10.0.0.0/8 is"
                ))
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(Rule {
        networks,
        loopback: options.local_mode,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> SourceOptions {
        SourceOptions {
            cache_dir: PathBuf::from("/nowhere"),
            max_bytes: 1,
            local_mode: false,
            extra_roots: None,
        }
    }

    fn source(uri: &str) -> SourceConfig {
        SourceConfig {
            uri: uri.to_owned(),
            path: None,
            digest: None,
            allowed_networks: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_mounted_source_is_where_it_is_mounted() {
        let mut mounted = source("configmap://iris/iris.onnx");
        mounted.path = Some("/mnt/iris.onnx".into());
        let located = locate(&mounted, &options()).await.unwrap();
        assert_eq!(located.path, PathBuf::from("/mnt/iris.onnx"));
        assert_eq!(located.shown, "configmap://iris/iris.onnx");
    }

    #[tokio::test]
    async fn a_file_uri_may_hold_escapes() {
        let file = source("file:///m%20x/a+b.onnx");
        let located = locate(&file, &options()).await.unwrap();
        assert_eq!(located.path, PathBuf::from("/m x/a+b.onnx"));
    }

    #[tokio::test]
    async fn what_is_not_mounted_or_not_understood_is_refused_for_good() {
        for (uri, reason) in [
            ("configmap://a/b", "is not mounted: a configmap source"),
            ("pvc://a/b", "is not mounted: a pvc source"),
            ("pvc://a", "a pvc URI is pvc://CLAIM/PATH"),
            ("file://h.example/m", "needs an absolute path: file:///PATH"),
            ("ftp://a/b", "use https://, pvc://, configmap:// or file://"),
            ("nonsense", "use https://, pvc://, configmap:// or file://"),
        ] {
            let error = locate(&source(uri), &options()).await.unwrap_err();
            let message = &error.message;
            assert!(error.permanent && message.contains(uri), "{error}");
            assert!(message.contains(reason), "{error}");
        }
    }

    #[tokio::test]
    async fn an_allowed_network_that_is_none_is_named() {
        let mut listed = source("https://h.example/m.onnx");
        for text in ["10.0.0.0", "10.0.0.0/33", "10.0.0/8", "fd00::/129", "x/8"] {
            listed.allowed_networks = vec![text.into()];
            let error = locate(&listed, &options()).await.unwrap_err();
            assert!(error.message.contains(&format!("'{text}'")), "{error}");
        }
    }
}
