//! Whether rows of several requests may run together.

/// Whether rows may be merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Most rows of one run; 1 where rows may not be merged.
    pub max_rows: usize,
    /// How that was found.
    pub reason: String,
}

impl Batching {
    /// No merging, and why.
    pub fn off(reason: impl Into<String>) -> Self {
        Self {
            max_rows: 1,
            reason: reason.into(),
        }
    }

    /// Whether requests may share a run.
    pub fn merges(&self) -> bool {
        self.max_rows > 1
    }
}
