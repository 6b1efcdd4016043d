//! What a child says, made fit for a log and an error.

/// Longest reason that is passed on, in characters.
const LONGEST_REASON: usize = 1000;

/// One line of bounded length: a hostile model may have taken over the child that reports.
pub(super) fn readable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST_REASON)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_child_reports_is_one_bounded_line() {
        let text = readable(&"a\n\u{1b}[2J".repeat(10_000));
        assert!(text.len() <= LONGEST_REASON && !text.contains(char::is_control));
    }
}
