//! The readers of this folder, for fuzz targets.

use std::io::Cursor;

use super::graph::GraphFile;
use super::rows::examine;
use super::topology::Model;

/// The other files that a model refers to.
///
/// # Errors
/// Why the bytes are no model.
pub fn external_data(model: &[u8]) -> Result<Vec<String>, String> {
    GraphFile::read(Cursor::new(model), model.len() as u64)
        .map(|graph| graph.external.into_iter().collect())
        .map_err(|error| error.to_string())
}

/// Why the rows of a model may not be merged by its structure.
pub fn coupled_rows(model: &[u8]) -> Option<String> {
    let model = Model::read(Cursor::new(model), model.len() as u64)?;
    examine(&model).coupled
}

/// What of the runtime's message is passed on.
pub fn clean(message: &str) -> String {
    super::message::clean(message)
}
