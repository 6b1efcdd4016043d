//! How long a text a tokenizer takes in bearable time, found out by trying.

use std::time::Duration;

use super::tokens::Tokens;
use crate::thread_time;

/// What a text may take of a processor's time.
const LONGEST: Duration = Duration::from_secs(2);

/// Largest text that is tried, in bytes; for longer ones its time is projected.
const LARGEST: usize = 128 << 10;

/// Each size is a quarter of the next.
const STEPS: u32 = 4;

/// A text four times as long that takes more than six times as long takes time by more than its length.
const LINEAR: f64 = 6.0;

/// Parts of texts that rules of tokenizers are about.
const PARTS: [&str; 7] = [
    "a",
    " ",
    "the quick brown fox 1 ",
    "日",
    "\u{fdfa}",
    "\n",
    "0!",
];

/// The longest text, of at most `most` bytes, that is tokenized in bearable time.
pub(super) fn longest_text(tokens: &Tokens, most: usize) -> usize {
    let largest = most.min(LARGEST);
    let mut before = Duration::ZERO;
    let mut fits = 0;
    for step in (0..STEPS).rev() {
        let size = largest >> (2 * step);
        let mut slowest = Duration::ZERO;
        for part in PARTS
            .into_iter()
            .chain(tokens.patterns().iter().map(String::as_str))
        {
            let text = part.repeat(size / part.len().max(1));
            let begun = thread_time();
            // An error is as good as an answer.
            let _ = tokens.of(&text);
            slowest = slowest.max(thread_time().saturating_sub(begun));
            if slowest > LONGEST {
                return fits;
            }
        }
        fits = size;
        let growth = slowest.as_secs_f64() / before.as_secs_f64().max(1e-6);
        let last = step == 0 && most > largest;
        if last && growth <= LINEAR {
            let affordable = LONGEST.as_secs_f64() / slowest.as_secs_f64().max(1e-6);
            fits = most.min((largest as f64 * affordable) as usize);
        }
        before = slowest;
    }
    fits
}
