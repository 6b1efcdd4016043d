//! The tokenizer of this folder, for fuzz targets.

use super::tokens::Tokens;

/// What a `tokenizer.json` makes of texts.
pub struct Tokenizer(Tokens);

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(json: &[u8]) -> Result<Self, String> {
        Tokens::read(json).map(Self)
    }

    /// The ids of a text.
    ///
    /// # Errors
    /// The tokenizer's reason.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>, String> {
        self.0.of(text)
    }

    /// The largest id that there is.
    pub fn largest_id(&self) -> u32 {
        self.0.largest_id()
    }
}
