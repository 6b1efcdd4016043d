//! The caller's time budget: the header `x-request-timeout` of HTTP requests.

use std::time::Duration;

use http::{HeaderMap, HeaderName};

use serin_core::fault::{Fault, FaultKind};

/// The header: a number in seconds, or with a unit (`us`, `ms`, `s`, `m`). The request parameter
/// `timeout` (microseconds) and gRPC's `grpc-timeout` set the same budget.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-timeout");

/// The budget that the headers set; `None` without the header.
///
/// # Errors
/// `Malformed` for a value that is no duration above zero, and for several values.
pub fn asked(headers: &HeaderMap) -> Result<Option<Duration>, Fault> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or("?").trim();
    match duration(text) {
        Some(budget) if values.next().is_none() => Ok(Some(budget)),
        _ => Err(Fault::new(
            FaultKind::Malformed,
            "invalid_header",
            format!(
                "X-Request-Timeout must be one number above 0, in seconds or with a unit (1.5, 250ms, 100us, 2s, 1m), got '{}'",
                text.chars().take(40).collect::<String>()
            ),
        )
        .with_param(HEADER.as_str())),
    }
}

/// The least of the server's `limit` and the budgets that the caller set.
pub fn least(limit: Duration, budgets: [Option<Duration>; 2]) -> Duration {
    budgets.into_iter().flatten().fold(limit, Duration::min)
}

/// The fault of a deadline that passed before the request was read.
pub fn passed() -> Fault {
    Fault::new(
        FaultKind::Timeout,
        "timeout",
        "the deadline passed before the request had come and been read",
    )
}

fn duration(text: &str) -> Option<Duration> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let scale = match unit {
        "" | "s" => 1.0,
        "ms" => 1e-3,
        "us" => 1e-6,
        "m" => 60.0,
        _ => return None,
    };
    // Digits and one dot: what f64 reads besides, such as `inf`, has been cut off above.
    let amount: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(amount * scale)
        .ok()
        .filter(|budget| !budget.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Result<Option<Duration>, Fault> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, value.parse().unwrap());
        }
        asked(&headers)
    }

    #[test]
    fn a_budget_is_seconds_or_has_its_unit() {
        for (text, expected) in [
            ("2", Duration::from_secs(2)),
            ("1.5", Duration::from_millis(1500)),
            ("0.25s", Duration::from_millis(250)),
            ("250ms", Duration::from_millis(250)),
            ("100us", Duration::from_micros(100)),
            ("1m", Duration::from_secs(60)),
        ] {
            assert_eq!(of(&[text]).unwrap(), Some(expected), "{text}");
        }
        assert_eq!(of(&[]).unwrap(), None);
    }

    #[test]
    fn a_budget_that_is_none_is_refused_with_its_value() {
        for text in [
            "", "0", "0.0ms", "-1", "1h", "1 s", "inf", "NaN", "1e3", "1.2.3", "soon",
        ] {
            let fault = of(&[text]).unwrap_err();
            assert_eq!(fault.code, "invalid_header", "{text}");
            assert!(fault.message.contains(&format!("'{text}'")), "{fault}");
        }
        assert!(of(&["1", "2"]).is_err());
    }
}
