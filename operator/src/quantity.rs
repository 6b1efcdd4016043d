//! Kubernetes quantities: compared by value, because the API server rewrites them ("0.5" is
//! stored as "500m", "1024Mi" as "1Gi").

/// The value of a quantity in billionths, or `None` where the text is no quantity or does not
/// fit. Kubernetes itself keeps at most nine decimal digits.
pub fn nanos(text: &str) -> Option<i128> {
    let number_end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-' && c != '+')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(number_end);
    let (power_of_ten, power_of_two) = scale(suffix)?;
    let negative = number.starts_with('-');
    let unsigned = number.strip_prefix(['-', '+']).unwrap_or(number);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = format!("{whole}{fraction}");
    if digits.contains(|c: char| !c.is_ascii_digit()) {
        return None;
    }
    let mantissa: i128 = digits.parse().ok()?;
    let exponent = 9 + power_of_ten - i32::try_from(fraction.len()).ok()?;
    let scaled = mantissa.checked_mul(1_i128.checked_shl(power_of_two)?)?;
    let value = if exponent >= 0 {
        scaled.checked_mul(10_i128.checked_pow(u32::try_from(exponent).ok()?)?)?
    } else {
        scaled / 10_i128.checked_pow(exponent.unsigned_abs())?
    };
    Some(if negative { -value } else { value })
}

/// Whether two texts are the same amount.
pub fn equal(a: &str, b: &str) -> bool {
    a == b || matches!((nanos(a), nanos(b)), (Some(a), Some(b)) if a == b)
}

/// The larger of two quantities; `a` where either cannot be read.
pub fn larger<'a>(a: &'a str, b: &'a str) -> &'a str {
    if nanos(b) > nanos(a) { b } else { a }
}

/// The smaller of two quantities; `a` where either cannot be read.
pub fn smaller<'a>(a: &'a str, b: &'a str) -> &'a str {
    match (nanos(a), nanos(b)) {
        (Some(x), Some(y)) if y < x => b,
        _ => a,
    }
}

fn scale(suffix: &str) -> Option<(i32, u32)> {
    Some(match suffix {
        "" => (0, 0),
        "n" => (-9, 0),
        "u" => (-6, 0),
        "m" => (-3, 0),
        "k" => (3, 0),
        "M" => (6, 0),
        "G" => (9, 0),
        "T" => (12, 0),
        "P" => (15, 0),
        "E" => (18, 0),
        "Ki" => (0, 10),
        "Mi" => (0, 20),
        "Gi" => (0, 30),
        "Ti" => (0, 40),
        "Pi" => (0, 50),
        "Ei" => (0, 60),
        other => (other.strip_prefix(['e', 'E'])?.parse().ok()?, 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_amount_are_equal() {
        for (a, b) in [
            ("0.5", "500m"),
            ("1024Mi", "1Gi"),
            ("2000m", "2"),
            ("1e3", "1k"),
            ("1.5Gi", "1536Mi"),
            (".5", "500m"),
        ] {
            assert!(equal(a, b), "{a} and {b}");
        }
        for (a, b) in [("1", "1001m"), ("1G", "1Gi"), ("x", "y")] {
            assert!(!equal(a, b), "{a} and {b}");
        }
    }

    #[test]
    fn what_is_no_quantity_has_no_value() {
        for text in [
            "",
            "m",
            "1.2.3",
            "1Zi",
            "--1",
            "99999999999999999999999999999999999Ei",
        ] {
            assert_eq!(nanos(text), None, "{text}");
        }
    }

    #[test]
    fn the_larger_and_the_smaller_are_found_across_units() {
        assert_eq!(larger("512Mi", "1Gi"), "1Gi");
        assert_eq!(smaller("100m", "0.05"), "0.05");
    }
}
