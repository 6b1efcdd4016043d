//! From a source to files on this machine.

use std::path::PathBuf;

use serin_crds::contract::pod_config::SourceConfig;

use super::address::Rule;
use super::error::LoadError;
use super::fetch::{self, Fetch};
use super::options::SourceOptions;

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
    let path = match source.uri.split_once("://") {
        Some(("file", _)) => file_path(&source.uri).ok_or_else(|| {
            LoadError::permanent(format!("{shown} needs an absolute path: file:///PATH"))
        })?,
        Some(("https", _)) => {
            let fetch = Fetch {
                uri: &source.uri,
                shown: &shown,
                digest: source.digest.as_deref(),
                rule: rule(source, options)?,
                options,
            };
            fetch::fetch(&fetch).await?
        }
        Some((scheme @ ("configmap" | "pvc"), _)) => {
            return Err(LoadError::permanent(format!(
                "{shown} is not mounted: a {scheme} source needs its content's place in source.path, which the \
                 operator and `serin run` set"
            )));
        }
        _ => {
            return Err(LoadError::permanent(format!(
                "{shown} is no source that is understood: use https://, pvc://, configmap:// or file://"
            )));
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

/// The path of a `file://` URI, percent-escapes resolved; `None` for one of another machine.
pub fn file_path(uri: &str) -> Option<PathBuf> {
    reqwest::Url::parse(uri).ok()?.to_file_path().ok()
}

/// A URI as errors and logs show it: queries and users may be secrets.
pub(super) fn shown(uri: &str) -> String {
    let bare = uri.split(['?', '#']).next().unwrap_or_default();
    match bare.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        None => bare.to_owned(),
    }
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

    #[test]
    fn secrets_of_a_uri_are_not_shown() {
        assert_eq!(
            shown("https://u:p@h.example/a/b?sig=s#f"),
            "https://h.example/a/b"
        );
        assert_eq!(shown("file:///a@b"), "file:///a@b");
    }

    #[tokio::test]
    async fn a_mounted_source_is_where_it_is_mounted() {
        let mut mounted = source("configmap://iris/iris.onnx");
        mounted.path = Some("/mnt/iris.onnx".into());
        let located = locate(&mounted, &options()).await.unwrap();
        assert_eq!(located.path, PathBuf::from("/mnt/iris.onnx"));
        assert_eq!(located.shown, "configmap://iris/iris.onnx");
    }

    #[test]
    fn a_file_uri_may_hold_escapes_and_needs_a_path() {
        assert_eq!(
            file_path("file:///m%20x/a+b.onnx"),
            Some(PathBuf::from("/m x/a+b.onnx"))
        );
        assert_eq!(file_path("file://host.example/m.onnx"), None);
    }

    #[tokio::test]
    async fn what_is_not_mounted_or_not_understood_is_refused_for_good() {
        for uri in ["configmap://a/b", "pvc://a/b", "ftp://a/b", "nonsense"] {
            let error = locate(&source(uri), &options()).await.unwrap_err();
            assert!(error.permanent && error.message.contains(uri), "{error}");
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
