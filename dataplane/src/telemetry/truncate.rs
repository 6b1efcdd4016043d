//! Texts that callers choose, shortened for a line of the log or a span.
//!
//! A model's name comes in a body over gRPC and under `/v1`: it may be as long as a body, and each of
//! its control characters becomes six in a log line.

use std::borrow::Cow;

/// Most characters of one such text. No configured name is that long.
const MOST: usize = 256;

/// `text`, or its first characters and an ellipsis.
pub(super) fn truncate(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MOST) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_text_is_cut_at_a_character_and_marked() {
        for fits in ["iris", "", &"é".repeat(MOST)] {
            assert!(matches!(truncate(fits), Cow::Borrowed(same) if same == fits));
        }
        let long = truncate(&"é".repeat(MOST + 1)).into_owned();
        assert_eq!(long, format!("{}…", "é".repeat(MOST)));
    }
}
