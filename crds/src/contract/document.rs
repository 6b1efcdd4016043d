//! Reading the JSON documents of this contract: a key that is not known is an error, and every error
//! names its place.

use std::fmt;

use serde::de::DeserializeOwned;

/// Why a document is not what it should be: no JSON, a key that is not known or missing, a value of
/// another type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentError {
    /// Line in the document, from 1.
    pub line: usize,
    /// Path of the value that holds the fault, `api.nonFinite`; empty at the top.
    pub path: String,
    /// The key or value at fault, and what is expected.
    pub reason: String,
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.reason)
    }
}

impl std::error::Error for DocumentError {}

/// Reads a document.
///
/// # Errors
/// [`DocumentError`].
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, DocumentError> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        // The path of the document as a whole.
        let path = if path == "." { String::new() } else { path };
        described(path, error.inner())
    })?;
    reader
        .end()
        .map_err(|error| described(String::new(), &error))?;
    Ok(value)
}

fn described(path: String, error: &serde_json::Error) -> DocumentError {
    let full = error.to_string();
    // serde_json appends the position, which the message has in front.
    let reason = full.split(" at line ").next().unwrap_or(&full).to_owned();
    // The path of an unknown key is the key, which the reason names.
    let named_twice = reason.starts_with(&format!("unknown field `{path}`"));
    DocumentError {
        line: error.line(),
        path: if named_twice { String::new() } else { path },
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::policy::Policy;

    fn refused(text: &str) -> String {
        parse::<Policy>(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn an_error_names_line_path_and_what_is_expected() {
        let unknown = refused("{\"api\":\n{\"nonfinite\":\"Error\"}}");
        assert!(
            unknown.starts_with("line 2: api.nonfinite: ")
                && unknown.contains("unknown field `nonfinite`"),
            "{unknown}"
        );
        assert!(unknown.contains("`nonFinite`"), "{unknown}");
        let at_top = refused(r#"{"apis":{}}"#);
        assert!(
            at_top.starts_with("line 1: unknown field `apis`"),
            "{at_top}"
        );
        let other_type = refused(r#"{"api":{"repositoryControl":"on"}}"#);
        assert!(
            other_type.starts_with("line 1: api.repositoryControl: invalid type"),
            "{other_type}"
        );
    }

    #[test]
    fn what_follows_a_document_is_an_error() {
        assert!(refused("{} {}").contains("trailing characters"));
        assert!(refused("").starts_with("line 1: EOF"));
        assert!(parse::<Policy>(b" {} \n").is_ok());
    }
}
