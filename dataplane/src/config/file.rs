//! The file that says what to serve: one per revision, written by the operator.

use std::path::{Path, PathBuf};

use serin_crds::contract::document::{self, DocumentError};
use serin_crds::contract::pod_config::PodConfig;

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration file {path}: {reason}; name the file with --config", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// Not JSON, an unknown key, a missing one, or a value of the wrong type.
    #[error("configuration file {path}, {reason}", path = .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where in the file, the key or value at fault, and what is expected.
        reason: DocumentError,
    },
    /// Two models with one name and version.
    #[error("configuration file {path}: model '{name}' version '{version}' is listed twice; remove one", path = .path.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// Name of the model.
        name: String,
        /// Version of the model.
        version: String,
    },
}

/// Reads the file; a key it does not know is an error.
///
/// # Errors
/// See [`ConfigError`].
pub fn read(path: &Path) -> Result<PodConfig, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|reason| ConfigError::Unreadable {
        path: path.to_owned(),
        reason,
    })?;
    parse(path, &text)
}

pub(super) fn parse(path: &Path, text: &str) -> Result<PodConfig, ConfigError> {
    let config: PodConfig =
        document::parse(text.as_bytes()).map_err(|reason| ConfigError::Invalid {
            path: path.to_owned(),
            reason,
        })?;
    for (index, model) in config.models.iter().enumerate() {
        let twice = config.models[..index]
            .iter()
            .any(|other| other.name == model.name && other.version == model.version);
        if twice {
            return Err(ConfigError::Duplicate {
                path: path.to_owned(),
                name: model.name.clone(),
                version: model.version.clone(),
            });
        }
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_named_with_file_and_line() {
        let text = "{\"service\":\"a/b\",\n\"revision\":\"b-1\",\n\"modles\":[]}";
        let message = parse(Path::new("pod.json"), text).unwrap_err().to_string();
        assert!(
            message.starts_with("configuration file pod.json, line 3: unknown field `modles`"),
            "{message}"
        );
    }

    #[test]
    fn a_model_listed_twice_is_refused() {
        let model = r#"{"name":"m","version":"1","source":{"uri":"file:///m"}}"#;
        let text = format!(r#"{{"service":"a/b","revision":"r","models":[{model},{model}]}}"#);
        let message = parse(Path::new("pod.json"), &text).unwrap_err().to_string();
        assert!(
            message.contains("'m' version '1' is listed twice"),
            "{message}"
        );
    }

    #[test]
    fn a_missing_file_names_the_flag() {
        let message = read(Path::new("/no/such/file")).unwrap_err().to_string();
        assert!(message.contains("--config"), "{message}");
    }
}
