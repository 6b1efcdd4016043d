//! Texts that become tokens.

use std::sync::LazyLock;

use serin_engine::text::fuzzing::Tokenizer;

use crate::Target;

/// The embedder among the examples: words, lower case.
const TOKENIZER: &[u8] = include_bytes!("../../../examples/embedder/model/tokenizer.json");

pub const TOKENIZE: Target = Target {
    name: "tokenize",
    about: "a text has the same tokens each time, all of the vocabulary and no more than it has letters",
    run: tokenize,
    seeds: || {
        [
            "a canary sings",
            "A CANARY, sings.",
            "[UNK] [PAD] \u{0130}\u{fb03}",
            "",
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
    },
    dictionary: &[
        "[UNK]", "[PAD]", "canary", "\u{0130}", "\u{200d}", "\u{0301}", "\u{fffd}", " ",
    ],
    longest: 512,
};

#[allow(clippy::expect_used, reason = "a finding of its own")]
fn tokenize(data: &[u8]) {
    static EXAMPLE: LazyLock<Tokenizer> =
        LazyLock::new(|| Tokenizer::read(TOKENIZER).expect("the example's tokenizer"));
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let tokens = EXAMPLE.ids(text).expect("unknown words have a token");
    assert_eq!(EXAMPLE.ids(text).as_ref(), Ok(&tokens));
    // Lower case may take more letters than the text had, three at most (Unicode SpecialCasing).
    let letters = 3 * text.chars().count();
    assert!(tokens.len() <= letters, "{} tokens", tokens.len());
    let largest = EXAMPLE.largest_id();
    assert!(tokens.iter().all(|id| *id <= largest), "{tokens:?}");
}
