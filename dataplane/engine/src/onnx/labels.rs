//! Names of classes, as people put them into a model's metadata.

use serde::Deserialize;

/// Most names; outputs with more classes are not classified.
const MOST_LABELS: usize = 1_000_000;

/// A name in a JSON list: classes are often numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Label {
    Text(String),
    Number(serde_json::Number),
    Bool(bool),
}

/// Reads a JSON list of names, or one name a line.
///
/// # Errors
/// What is wrong with it, for people.
pub(super) fn parse(text: &str) -> Result<Vec<String>, String> {
    let labels: Vec<String> = if text.trim_start().starts_with('[') {
        let list: Vec<Label> = serde_json::from_str(text)
            .map_err(|error| format!("'labels' is no JSON list of names: {error}"))?;
        list.into_iter()
            .map(|label| match label {
                Label::Text(text) => text,
                Label::Number(number) => number.to_string(),
                Label::Bool(value) => value.to_string(),
            })
            .collect()
    } else {
        text.trim_end().lines().map(str::to_owned).collect()
    };
    if labels.len() > MOST_LABELS {
        return Err(format!(
            "'labels' has {} names, more than {MOST_LABELS}",
            labels.len()
        ));
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_and_lines_are_read() {
        for text in [
            "[\"a\", \"b c\", 3, true]",
            "a\nb c\n3\ntrue\n",
            "a\r\nb c\r\n3\r\ntrue",
        ] {
            assert_eq!(parse(text).unwrap(), ["a", "b c", "3", "true"], "{text:?}");
        }
        // A class without a name keeps the others in their places.
        assert_eq!(parse("a\n\nc").unwrap(), ["a", "", "c"]);
        assert_eq!(parse("").unwrap(), [""; 0]);
    }

    #[test]
    fn a_list_that_is_none_says_so() {
        for text in ["[\"a\"", "[[\"a\"]]", "[null]"] {
            let reason = parse(text).unwrap_err();
            assert!(reason.contains("no JSON list of names"), "{reason}");
        }
    }
}
