//! A policy as a document: its text, its hash, what makes it invalid.

use serin_crds::contract::document::{DocumentError, parse};
use serin_crds::contract::policy::Policy;
use sha2::{Digest, Sha256};

/// A policy and the hash of the text that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What it says.
    pub policy: Policy,
    /// SHA-256 of the text, in hexadecimal.
    pub hash: String,
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// No JSON, a key that is not known, or a value of another type.
    pub fn parse(text: &[u8]) -> Result<Self, DocumentError> {
        Ok(Self {
            policy: parse(text)?,
            hash: sha256(text),
        })
    }
}

impl From<Policy> for Document {
    /// The document that the operator writes for `policy`.
    fn from(policy: Policy) -> Self {
        // Strings, integers, booleans and lists: serialising them cannot fail.
        let text = serde_json::to_vec(&policy).unwrap_or_default();
        Self {
            hash: sha256(&text),
            policy,
        }
    }
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_of_defaults_has_the_hash_of_the_empty_document() {
        assert_eq!(
            Document::from(Policy::default()),
            Document::parse(b"{}").unwrap()
        );
    }

    #[test]
    fn the_hash_is_that_of_the_text() {
        let spaced = Document::parse(b"{ }").unwrap();
        assert_eq!(spaced.policy, Policy::default());
        // printf '{ }' | sha256sum
        assert_eq!(spaced.hash, sha256(b"{ }"));
        assert_ne!(spaced.hash, sha256(b"{}"));
    }
}
