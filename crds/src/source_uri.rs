//! Where a model is: the one parser of `spec.model.source.uri`, for the operator, the data plane and
//! the command line.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

/// A source's URI, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceUri {
    /// `https://HOST/PATH`: the pod fetches the file.
    Https,
    /// `configmap://NAME/KEY` or `configmap://NAME`, in the service's namespace.
    ConfigMap {
        /// Name of the ConfigMap.
        name: String,
        /// Key in its `data` or `binaryData`; `None` for all of them, as a folder.
        key: Option<String>,
    },
    /// `pvc://CLAIM/PATH`, in the service's namespace.
    Pvc {
        /// Name of the PersistentVolumeClaim.
        claim: String,
        /// Path below the volume's root, without a leading `/`.
        path: String,
    },
    /// `file:///PATH`: a file or folder of this machine.
    File {
        /// The absolute path, percent-escapes resolved.
        path: PathBuf,
    },
}

/// Why a text is no source's URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceUriError {
    /// It has no scheme, or one that is not known.
    #[error(
        "expected configmap://NAME/KEY, configmap://NAME, pvc://CLAIM/PATH or https://HOST/PATH"
    )]
    Scheme,
    /// The host is missing.
    #[error("an https URI is https://HOST/PATH")]
    Https,
    /// The name, or the key after the `/`, is missing.
    #[error(
        "a configmap URI is configmap://NAME/KEY, or configmap://NAME for a folder of all its keys"
    )]
    ConfigMap,
    /// The claim's name or the path is missing.
    #[error("a pvc URI is pvc://CLAIM/PATH")]
    Pvc,
    /// It names another machine, or a path that is relative or no UTF-8 text.
    #[error("a file URI needs an absolute path of this machine: file:///PATH, %20 for a space")]
    File,
}

impl SourceUri {
    /// Reads a URI.
    ///
    /// # Errors
    /// [`SourceUriError`], which says what would be right. It does not quote the URI: [`shown`]
    /// does, without its secrets.
    pub fn parse(uri: &str) -> Result<Self, SourceUriError> {
        let (scheme, rest) = uri.split_once("://").ok_or(SourceUriError::Scheme)?;
        match scheme {
            "https" if rest.starts_with(['/', '?', '#']) || rest.is_empty() => {
                Err(SourceUriError::Https)
            }
            "https" => Ok(Self::Https),
            "configmap" => match rest.split_once('/') {
                None if !rest.is_empty() => Ok(Self::ConfigMap {
                    name: rest.to_owned(),
                    key: None,
                }),
                Some((name, key)) if !name.is_empty() && !key.is_empty() => Ok(Self::ConfigMap {
                    name: name.to_owned(),
                    key: Some(key.to_owned()),
                }),
                _ => Err(SourceUriError::ConfigMap),
            },
            "pvc" => match rest.split_once('/') {
                Some((claim, path)) if !claim.is_empty() && !path.is_empty() => Ok(Self::Pvc {
                    claim: claim.to_owned(),
                    path: path.to_owned(),
                }),
                _ => Err(SourceUriError::Pvc),
            },
            "file" => file_path(rest)
                .map(|path| Self::File { path })
                .ok_or(SourceUriError::File),
            _ => Err(SourceUriError::Scheme),
        }
    }
}

/// The path in a `file` URI, after `file://`.
fn file_path(rest: &str) -> Option<PathBuf> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    let path = path.split(['?', '#']).next()?;
    let path = percent_decode_str(path).decode_utf8().ok()?;
    (path.starts_with('/') && !path.contains('\0')).then(|| PathBuf::from(&*path))
}

/// A URI as errors and logs show it: users and queries may be secrets.
pub fn shown(uri: &str) -> String {
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

    fn config_map(name: &str, key: Option<&str>) -> SourceUri {
        SourceUri::ConfigMap {
            name: name.into(),
            key: key.map(str::to_owned),
        }
    }

    fn file(path: &str) -> SourceUri {
        SourceUri::File { path: path.into() }
    }

    #[test]
    fn each_kind_of_source_is_understood() {
        let pvc = SourceUri::Pvc {
            claim: "models".into(),
            path: "fraud/4/model.onnx".into(),
        };
        for (uri, source) in [
            ("https://h/m.onnx", SourceUri::Https),
            (
                "configmap://iris-model/iris.onnx",
                config_map("iris-model", Some("iris.onnx")),
            ),
            ("configmap://embedder", config_map("embedder", None)),
            ("pvc://models/fraud/4/model.onnx", pvc),
            ("file:///m.onnx", file("/m.onnx")),
            ("file:///m%20x/a+b.onnx", file("/m x/a+b.onnx")),
            ("file://localhost/m.onnx", file("/m.onnx")),
        ] {
            assert_eq!(SourceUri::parse(uri), Ok(source), "{uri}");
        }
    }

    #[test]
    fn what_is_no_source_is_refused_by_the_part_that_is_wrong() {
        use SourceUriError::{ConfigMap, File, Https, Pvc, Scheme};
        for (uri, error) in [
            ("s3://b/k", Scheme),
            ("iris.onnx", Scheme),
            ("https://", Https),
            ("https:///m.onnx", Https),
            ("configmap://", ConfigMap),
            ("configmap://a/", ConfigMap),
            ("configmap:///a", ConfigMap),
            ("pvc:///x", Pvc),
            ("pvc://a", Pvc),
            ("file://host.example/m.onnx", File),
            ("file://m.onnx", File),
            ("file:///%ff", File),
            ("file:///a%00b", File),
        ] {
            assert_eq!(SourceUri::parse(uri), Err(error), "{uri}");
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
}
