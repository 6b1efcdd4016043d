//! Whether rows of several requests may be merged into one run.

/// The decision whether rows may be merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batching {
    /// The most rows of one run; 1 if rows may not be merged.
    pub max_rows: usize,
    /// The reason, for people.
    pub reason: String,
}

impl Batching {
    /// No merging, for this reason.
    #[inline]
    pub fn off(reason: impl Into<String>) -> Self {
        Self {
            max_rows: 1,
            reason: reason.into(),
        }
    }

    /// Whether requests may share a run.
    #[inline]
    pub fn merges(&self) -> bool {
        self.max_rows > 1
    }
}
