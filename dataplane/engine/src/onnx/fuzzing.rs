//! The readers of this folder, for fuzz targets.

use std::io::Cursor;

use super::graph::GraphFile;

/// The other files that a model refers to.
///
/// # Errors
/// Why the bytes are no model.
pub fn external_data(model: &[u8]) -> Result<Vec<String>, String> {
    GraphFile::read(Cursor::new(model), model.len() as u64)
        .map(|graph| graph.external.into_iter().collect())
        .map_err(|error| error.to_string())
}

/// What of the runtime's message is passed on.
pub fn clean(message: &str) -> String {
    super::message::clean(message)
}
