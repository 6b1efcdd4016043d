//! The readers of this folder, for fuzz targets.

use std::path::Path;
use std::time::Duration;

use serin_crds::contract::pod_config::PodConfig;

/// A duration as a flag writes it.
///
/// # Errors
/// What the flag's user is told.
pub fn duration(text: &str) -> Result<Duration, String> {
    super::duration::parse(text)
}

/// The text of a configuration file.
///
/// # Errors
/// What the process says before it exits.
pub fn file(text: &str) -> Result<PodConfig, String> {
    super::file::parse(Path::new("config.json"), text).map_err(|error| error.to_string())
}
