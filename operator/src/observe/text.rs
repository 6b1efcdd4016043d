//! Quotations of messages of pods and of the cluster: one line, bounded, without parts that change
//! from one pass to the next.

/// Maximum length of a quotation, in characters.
const MAX_QUOTE: usize = 500;

/// The last line of a termination message, or the text of its JSON.
pub fn last_line(message: &str) -> String {
    let line = message
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let from_json = serde_json::from_str::<serde_json::Value>(line)
        .ok()
        .and_then(|value| {
            ["message", "error"]
                .iter()
                .find_map(|key| value.get(*key)?.as_str().map(str::to_owned))
        });
    quote(&from_json.unwrap_or_else(|| line.to_owned()))
}

/// Foreign text on one line, without control characters, trailing full stop or excess length.
pub fn quote(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_QUOTE)
        .collect();
    line.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .trim_end_matches('.')
        .to_owned()
}

/// A scheduler's message up to its part about preemption.
pub fn without_preemption(said: &str) -> &str {
    let end = ["no new claims to deallocate", "preemption:"]
        .iter()
        .filter_map(|words| said.find(words))
        .min();
    said.get(..end.unwrap_or(said.len()))
        .unwrap_or(said)
        .trim_end_matches([' ', ','])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_one_bounded_line() {
        let said = format!("a\u{1b}[31m\n{}", "x".repeat(5000));
        let quoted = quote(&said);
        assert!(quoted.len() <= MAX_QUOTE && !quoted.contains(['\u{1b}', '\n']));
    }

    #[test]
    fn only_what_is_short_is_quoted_of_the_scheduler() {
        let said = "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
        assert_eq!(
            without_preemption(said),
            "0/1 nodes are available: 1 Insufficient cpu."
        );
        assert_eq!(without_preemption("short of all"), "short of all");
    }
}
