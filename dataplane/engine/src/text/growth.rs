//! How much longer a tokenizer's normalizer may make a text, by its rules and not by trying: the text
//! that grows most need not be among those that are tried.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// A text of `n` bytes becomes one of at most `factor * n + plus`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Growth {
    pub(super) factor: f64,
    pub(super) plus: f64,
}

impl Growth {
    const NONE: Self = Self::by(1.0);

    const fn by(factor: f64) -> Self {
        Self { factor, plus: 0.0 }
    }

    /// This one, and then another.
    fn then(self, next: Self) -> Self {
        Self {
            factor: self.factor * next.factor,
            plus: self.plus * next.factor + next.plus,
        }
    }

    /// The most bytes that a text of `bytes` becomes.
    pub(super) fn of(self, bytes: usize) -> usize {
        (self.factor * bytes as f64 + self.plus) as usize
    }

    /// The longest text that becomes one of at most `bytes`.
    pub(super) fn longest(self, bytes: usize) -> usize {
        ((bytes as f64 - self.plus) / self.factor).max(0.0) as usize
    }
}

/// The growth by a normalizer, as the tokenizer writes it.
///
/// # Errors
/// The type of one that is not known.
pub(super) fn of(normalizer: &Value) -> Result<Growth, String> {
    let text = |name: &str| normalizer[name].as_str().unwrap_or_default();
    Ok(match text("type") {
        "" if normalizer.is_null() => Growth::NONE,
        "Sequence" => {
            let parts = normalizer["normalizers"].as_array();
            let mut all = Growth::NONE;
            for part in parts.into_iter().flatten() {
                all = all.then(of(part)?);
            }
            all
        }
        "Strip" | "StripAccents" | "Nmt" => Growth::NONE,
        // Of UTF-8, by Unicode's tables (UAX #15, section 9); a space on both sides of an ideograph.
        "NFC" | "NFD" | "BertNormalizer" => Growth::by(3.0),
        "NFKC" | "NFKD" => Growth::by(11.0),
        "Lowercase" | "ByteLevel" => Growth::by(2.0),
        "Prepend" => Growth {
            factor: 1.0,
            plus: text("prepend").len() as f64,
        },
        "Replace" => replace(&normalizer["pattern"], text("content").len()),
        "Precompiled" => Growth::by(longest_replacement(text("precompiled_charsmap"))),
        other => return Err(format!("its normalizer '{other}' is not known")),
    })
}

/// Each occurrence becomes `content` bytes; a regular expression may match nothing, before each byte.
fn replace(pattern: &Value, content: usize) -> Growth {
    let content = content as f64;
    match pattern["String"].as_str().map_or(0, str::len) {
        0 => Growth {
            factor: content + 1.0,
            plus: content,
        },
        length => Growth::by((content / length as f64).max(1.0)),
    }
}

/// Bytes of the longest text that SentencePiece's table puts in the place of one byte or more: behind
/// the table's index, whose size stands first, the texts end with a NUL each.
fn longest_replacement(table: &str) -> f64 {
    let table = STANDARD.decode(table).unwrap_or_default();
    let size = table
        .first_chunk::<4>()
        .map_or(0, |size| u32::from_le_bytes(*size));
    let texts = usize::try_from(size)
        .ok()
        .and_then(|size| table.get(4 + size..));
    let texts = texts.unwrap_or_default().split(|byte| *byte == 0);
    texts.map(<[u8]>::len).max().unwrap_or(0).max(1) as f64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn factor(normalizer: &Value) -> f64 {
        of(normalizer).unwrap().factor
    }

    #[test]
    fn replacements_after_each_other_multiply() {
        let replace =
            json!({"type": "Replace", "pattern": {"String": "a"}, "content": "a".repeat(32)});
        assert_eq!(factor(&replace), 32.0);
        let four = json!({"type": "Sequence", "normalizers": [replace, replace, replace, replace]});
        assert_eq!(factor(&four), 1_048_576.0);
        assert_eq!(of(&four).unwrap().longest(1 << 20), 1);
    }

    #[test]
    fn the_usual_normalizers_grow_little() {
        let llama = json!({"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]});
        assert_eq!(
            of(&llama).unwrap(),
            Growth {
                factor: 3.0,
                plus: 9.0
            }
        );
        assert_eq!(factor(&json!(null)), 1.0);
        assert_eq!(
            factor(&json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "})),
            2.0
        );
    }

    #[test]
    fn a_table_of_replacements_is_as_bad_as_its_longest_one() {
        let mut table = 8u32.to_le_bytes().to_vec();
        table.extend_from_slice(b"12345678ab\0abcdef\0c\0");
        let table = STANDARD.encode(table);
        let normalizer = json!({"type": "Precompiled", "precompiled_charsmap": table});
        assert_eq!(factor(&normalizer), 6.0);
    }

    #[test]
    fn an_unknown_normalizer_is_named() {
        assert!(of(&json!({"type": "New"})).unwrap_err().contains("'New'"));
    }
}
