//! A model under one of its addresses.

use serin_core::types::ModelDescription;

/// A model under one of its addresses.
pub(super) struct At<'a> {
    /// What it takes and gives.
    pub(super) model: &'a ModelDescription,
    /// Where its paths begin, `/v2/models/{name}[/versions/{version}]`, percent-encoded.
    pub(super) base: String,
    /// Whether they name the version.
    pub(super) versioned: bool,
    /// Ends the names of operations, so that each is unique: letters, digits and `_`.
    pub(super) suffix: String,
    /// Begins the names of its schemas.
    pub(super) key: &'a str,
}
