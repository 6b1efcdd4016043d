//! Texts to token ids, by a `tokenizer.json`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;
use tokenizers::Tokenizer;

use super::growth::{self, Growth};

/// Most patterns that are tried.
const MOST_PATTERNS: usize = 16;

/// Longest pattern that is tried, in bytes.
const LONGEST_PATTERN: usize = 64;

/// A tokenizer. Texts are neither cut nor padded by it: what is too long is refused, never shortened
/// in silence.
pub(super) struct Tokens {
    tokenizer: Tokenizer,
    largest_id: u32,
    padding_id: u32,
    /// What the file itself cuts texts at.
    pub(super) cuts_at: Option<usize>,
    growth: Growth,
    patterns: Vec<String>,
}

impl Tokens {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn read(json: &[u8]) -> Result<Self, String> {
        // The file comes with the model, and some of its parts are tables that are trusted blindly.
        let read = catch_unwind(AssertUnwindSafe(|| Tokenizer::from_bytes(json)));
        let mut tokenizer = match read {
            Ok(Ok(tokenizer)) => tokenizer,
            Ok(Err(error)) => return Err(format!("tokenizer.json cannot be read: {error}")),
            Err(_) => return Err("tokenizer.json holds tables that make no sense".to_owned()),
        };
        let cuts_at = tokenizer
            .get_truncation()
            .map(|truncation| truncation.max_length);
        let padding_id = match tokenizer.get_padding() {
            Some(padding) => padding.pad_id,
            None => ["[PAD]", "<pad>"]
                .iter()
                .find_map(|token| tokenizer.token_to_id(token))
                .unwrap_or(0),
        };
        let normalizer = serde_json::to_value(tokenizer.get_normalizer());
        let normalizer =
            normalizer.map_err(|error| format!("tokenizer.json cannot be used: {error}"))?;
        let growth = growth::of(&normalizer)
            .map_err(|why| format!("tokenizer.json cannot be used: {why}"))?;
        let mut patterns = Vec::new();
        collect_patterns(&normalizer, &mut patterns);
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|error| format!("tokenizer.json cannot be used: {error}"))?;
        let vocabulary = tokenizer.get_vocab(true);
        let largest_id = vocabulary
            .into_values()
            .max()
            .ok_or("tokenizer.json has no tokens")?;
        Ok(Self {
            tokenizer,
            largest_id,
            padding_id,
            cuts_at,
            growth,
            patterns,
        })
    }

    /// The ids of a text, special tokens included.
    ///
    /// # Errors
    /// The tokenizer's reason.
    pub(super) fn of(&self, text: &str) -> Result<Vec<u32>, String> {
        let encoded = catch_unwind(AssertUnwindSafe(|| self.tokenizer.encode_fast(text, true)));
        match encoded {
            Ok(Ok(encoding)) => Ok(encoding.get_ids().to_vec()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("its rules fail on it".to_owned()),
        }
    }

    /// How much longer a text may become before it is cut into tokens.
    pub(super) fn growth(&self) -> Growth {
        self.growth
    }

    /// Texts that its rules replace by others.
    pub(super) fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// The largest id that there is.
    pub(super) fn largest_id(&self) -> u32 {
        self.largest_id
    }

    /// What stands in the place of tokens that are none.
    pub(super) fn padding_id(&self) -> u32 {
        self.padding_id
    }
}

/// The texts that a normalizer looks for.
fn collect_patterns(normalizer: &Value, patterns: &mut Vec<String>) {
    let fits = |text: &&str| !text.is_empty() && text.len() <= LONGEST_PATTERN;
    if let Some(text) = normalizer["pattern"]["String"].as_str().filter(fits)
        && patterns.len() < MOST_PATTERNS
        && !patterns.iter().any(|known| known == text)
    {
        patterns.push(text.to_owned());
    }
    for part in normalizer["normalizers"].as_array().into_iter().flatten() {
        collect_patterns(part, patterns);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// `a` to `d` are 4 to 7; `[CLS]` and `[SEP]` surround a text.
    pub(crate) const SMALL: &str = r#"{
        "version": "1.0",
        "truncation": {"max_length": 6, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": null,
        "added_tokens": [
            {"id": 0, "content": "[PAD]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
            {"id": 2, "content": "[CLS]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
            {"id": 3, "content": "[SEP]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}
        ],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [],
            "special_tokens": {
                "[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}
            }
        },
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4, "b": 5, "c": 6, "d": 7}, "unk_token": "[UNK]"}
    }"#;

    #[test]
    fn a_text_becomes_ids_with_special_tokens_and_is_not_cut() {
        let tokens = Tokens::read(SMALL.as_bytes()).unwrap();
        assert_eq!(tokens.of("A b zzz").unwrap(), [2, 4, 5, 1, 3]);
        assert_eq!(tokens.of("a a a a a a a").unwrap().len(), 9);
        assert_eq!(tokens.cuts_at, Some(6));
        assert_eq!((tokens.largest_id(), tokens.padding_id()), (7, 0));
    }

    #[test]
    fn what_is_no_tokenizer_is_refused_with_the_reason() {
        for text in [
            "",
            "{}",
            "[1]",
            r#"{"model":{"type":"WordLevel","vocab":{},"unk_token":"?"}}"#,
        ] {
            let why = Tokens::read(text.as_bytes()).err().unwrap();
            assert!(why.contains("tokenizer.json"), "{why}");
        }
    }
}
