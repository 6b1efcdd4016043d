//! The ONNX Runtime library, by the same command that users have.
use std::{path::Path, process::Command, time::Duration};

use crate::{error::Result, process};

const LIMIT: Duration = Duration::from_secs(600);

/// Puts the library into the user's cache; at once where it is there already.
pub fn install(serin: &Path) -> Result {
    process::stream(Command::new(serin).args(["runtime", "install"]), LIMIT)
}
