//! The value of a JSON number, computed on its digits as text: slow, simple, and another way than the
//! reader's, which is compared with it.

/// A decimal number: `0.DIGITS * 10^point`, its digits without zeros at either end.
#[derive(Debug)]
pub struct Decimal {
    negative: bool,
    digits: String,
    point: i128,
}

/// What integer it is.
#[derive(Debug, PartialEq, Eq)]
pub enum Whole {
    Exactly(i128),
    /// More digits than 38.
    Huge,
    No,
}

impl Decimal {
    /// Reads a number by JSON's grammar, which the text is known to follow.
    pub fn of(text: &str) -> Self {
        let negative = text.starts_with('-');
        let text = text.trim_start_matches('-');
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_start_matches('0');
        let leading = all.len() - digits.len();
        let digits = digits.trim_end_matches('0');
        // An exponent beyond any integer's range is as good as the end of the range.
        let unsigned = exponent
            .trim_start_matches(['+', '-'])
            .trim_start_matches('0');
        let magnitude = match unsigned.len() {
            0 => 0,
            1..=20 => unsigned.parse().unwrap_or(0),
            _ => 10i128.pow(20),
        };
        let exponent = if exponent.starts_with('-') {
            -magnitude
        } else {
            magnitude
        };
        Self {
            negative,
            digits: digits.to_owned(),
            point: whole.len() as i128 - leading as i128 + exponent,
        }
    }

    /// The integer that this is.
    pub fn whole(&self) -> Whole {
        if self.digits.is_empty() {
            return Whole::Exactly(0);
        }
        if self.point < self.digits.len() as i128 {
            return Whole::No;
        }
        if self.point > 38 {
            return Whole::Huge;
        }
        let mut digits = self.digits.clone();
        while (digits.len() as i128) < self.point {
            digits.push('0');
        }
        match digits.parse::<i128>() {
            Ok(value) => Whole::Exactly(if self.negative { -value } else { value }),
            Err(_) => Whole::Huge,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_counted_right() {
        for (text, whole) in [
            ("0", Whole::Exactly(0)),
            ("-0.00e9", Whole::Exactly(0)),
            ("12e1", Whole::Exactly(120)),
            ("-1.50e1", Whole::Exactly(-15)),
            ("0.05e2", Whole::Exactly(5)),
            ("0.05e1", Whole::No),
            ("1e-1", Whole::No),
            ("1e37", Whole::Exactly(10i128.pow(37))),
            ("1e38", Whole::Huge),
            ("1e99999999999999999999999", Whole::Huge),
            ("1e-99999999999999999999999", Whole::No),
        ] {
            assert_eq!(Decimal::of(text).whole(), whole, "{text}");
        }
    }
}
