//! Names in the paths of requests.

use percent_encoding::percent_decode_str;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::ModelRef;

/// The model that a path under `/v2/models/` names; what follows it in the path does not matter.
///
/// # Errors
/// An invalid percent-escape, or one that does not encode UTF-8.
pub fn model_of(path: &str) -> Result<ModelRef, Fault> {
    let mut segments = path.split('/').skip(3);
    let name = decoded(segments.next().unwrap_or_default())?;
    let version = match segments.next() {
        Some("versions") => Some(decoded(segments.next().unwrap_or_default())?),
        _ => None,
    };
    Ok(ModelRef { name, version })
}

/// A segment of a path without its escapes.
///
/// # Errors
/// As [`model_of`].
pub(super) fn decoded(segment: &str) -> Result<String, Fault> {
    let bad = || {
        Fault::new(
            FaultKind::Malformed,
            "invalid_path",
            format!(
                "'{}' in the path is not percent-encoded UTF-8",
                shown(segment)
            ),
        )
    };
    // The decoder leaves a percent sign alone that two hexadecimal digits do not follow.
    let mut after_signs = segment.split('%').skip(1);
    let is_escape = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !after_signs.all(is_escape) {
        return Err(bad());
    }
    let text = percent_decode_str(segment).decode_utf8();
    text.map(Into::into).map_err(|_| bad())
}

/// A caller's text for a message, shortened.
pub(super) fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(text.len().min(120))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions_are_percent_decoded() {
        let model = model_of("/v2/models/a%2Fb%20c/versions/01/infer").unwrap();
        assert_eq!(model.name, "a/b c");
        assert_eq!(model.version.as_deref(), Some("01"));
        assert_eq!(model_of("/v2/models/m/infer").unwrap().version, None);
        assert_eq!(model_of("/v2/models/m").unwrap().name, "m");
    }

    #[test]
    fn bad_escapes_are_refused() {
        for path in [
            "/v2/models/a%",
            "/v2/models/a%2",
            "/v2/models/%zz",
            "/v2/models/%ff",
            "/v2/models/m/versions/%",
        ] {
            assert_eq!(model_of(path).unwrap_err().code, "invalid_path", "{path}");
        }
    }
}
