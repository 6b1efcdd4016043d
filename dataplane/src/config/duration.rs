//! Durations as flags write them: `500ms`, `10s`, `5m`.

use std::time::Duration;

/// Reads a whole number and a unit, `ms`, `s`, `m` or `h`.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    // Digits alone: the parser would take a sign too.
    let (digits, unit) = text.split_at(end);
    let number: u64 = digits
        .parse()
        .map_err(|_| format!("'{text}' is no duration: write a number and a unit, as in 10s"))?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        unit => {
            return Err(format!(
                "'{unit}' is no unit of time: use ms, s, m or h, as in 10s"
            ));
        }
    };
    number
        .checked_mul(millis)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("'{text}' is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_a_unit_are_durations() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse("5m"), Ok(Duration::from_secs(300)));
    }

    #[test]
    fn what_is_no_duration_is_named() {
        for text in [
            "10",
            "s",
            "",
            "-1s",
            "+1s",
            "1s1",
            "1.5s",
            "10 s",
            "18446744073709551615h",
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains('\''), "{message}");
        }
    }
}
