//! Numbers: the text by JSON's grammar, and the exact integer that a text denotes.

use super::error::{JsonError, Problem};

/// Reads the number that begins at `position`, which is then after it.
#[inline]
pub(super) fn read<'a>(text: &'a str, position: &mut usize) -> Result<&'a str, JsonError> {
    let bytes = text.as_bytes();
    let start = *position;
    let mut at = start;
    let digits = |mut at: usize| {
        let first = at;
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        (at, at - first)
    };
    let bad = |at| JsonError {
        at,
        problem: Problem::BadNumber,
    };
    if bytes[at] == b'-' {
        at += 1;
    }
    let whole = at;
    let (end, count) = digits(at);
    if count == 0 || (count > 1 && bytes[whole] == b'0') {
        return Err(bad(start));
    }
    at = end;
    if bytes.get(at) == Some(&b'.') {
        let (end, count) = digits(at + 1);
        if count == 0 {
            return Err(bad(start));
        }
        at = end;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(bytes.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        let (end, count) = digits(at);
        if count == 0 {
            return Err(bad(start));
        }
        at = end;
    }
    *position = at;
    Ok(&text[start..at])
}

/// The exact integer that a number's text denotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integer {
    /// The integer.
    Exact(i128),
    /// An integer beyond any datatype's range.
    TooLarge,
    /// The number has a fraction.
    Fraction,
}

impl Integer {
    /// Reads the text of a JSON number. `1e1` is 10, `1.0` is 1, `-0.0` is 0; never through a
    /// float.
    #[inline]
    pub fn of(text: &str) -> Self {
        let (negative, magnitude) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        // The common case: up to 18 plain digits cannot overflow.
        if magnitude.len() <= 18 {
            let mut value: i64 = 0;
            let plain = magnitude.bytes().all(|digit| {
                value = value * 10 + i64::from(digit.wrapping_sub(b'0'));
                digit.is_ascii_digit()
            });
            if plain {
                return Self::Exact(if negative { -value } else { value }.into());
            }
        }
        match decimal(magnitude) {
            Self::Exact(value) if negative => Self::Exact(-value),
            other => other,
        }
    }
}

/// Most digits that fit an `i128`, and far more than any datatype holds.
const MAX_DIGITS: i64 = 38;

/// The integer `digits * 10^exponent` without its sign.
fn decimal(text: &str) -> Integer {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent_of(exponent)),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    let leading = digits().take_while(|digit| *digit == b'0').count();
    let total = whole.len() + fraction.len();
    if leading == total {
        return Integer::Exact(0);
    }
    let trailing = fraction
        .bytes()
        .rev()
        .chain(whole.bytes().rev())
        .take_while(|digit| *digit == b'0')
        .count();
    // Lengths are bounded by the body, exponents saturate: neither sum can overflow an i64.
    let exponent = exponent - fraction.len() as i64 + trailing as i64;
    let significant = (total - leading - trailing) as i64;
    if exponent < 0 {
        return Integer::Fraction;
    }
    if significant + exponent > MAX_DIGITS {
        return Integer::TooLarge;
    }
    let value = digits()
        .skip(leading)
        .take(total - leading - trailing)
        .fold(0i128, |value, digit| value * 10 + i128::from(digit - b'0'));
    Integer::Exact(value * 10i128.pow(u32::try_from(exponent).unwrap_or(0)))
}

/// An exponent, saturated far beyond what matters and far below what overflows.
fn exponent_of(text: &str) -> i64 {
    const BOUND: i64 = 1 << 40;
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let magnitude = digits.iter().fold(0i64, |value, digit| {
        (value * 10 + i64::from(digit - b'0')).min(BOUND)
    });
    if negative { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_in_any_spelling() {
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("-0.0", 0),
            ("1.0", 1),
            ("1e1", 10),
            ("1E+2", 100),
            ("1200e-2", 12),
            ("12.50e1", 125),
            ("0.00e99999999999999999999", 0),
            ("9223372036854775807.0", i128::from(i64::MAX)),
            ("-9223372036854775808", i128::from(i64::MIN)),
            ("18446744073709551615", i128::from(u64::MAX)),
            ("1844674407370955161.5e1", i128::from(u64::MAX)),
            ("9223372036854775808", i128::from(i64::MAX) + 1),
            ("000000000000000000", 0),
        ] {
            assert_eq!(Integer::of(text), Integer::Exact(value), "{text}");
        }
    }

    #[test]
    fn fractions_and_giants_are_told_apart() {
        for text in [
            "1.5",
            "1e-1",
            "0.1",
            "-1.25",
            "1e-99999999999999999999",
            "9223372036854775807.5",
        ] {
            assert_eq!(Integer::of(text), Integer::Fraction, "{text}");
        }
        for text in [
            "1e39",
            "1e99999999999999999999",
            "1000000000000000000000000000000000000000",
        ] {
            assert_eq!(Integer::of(text), Integer::TooLarge, "{text}");
        }
    }
}
