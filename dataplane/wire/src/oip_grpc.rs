//! The Open Inference Protocol over gRPC: messages to calls, replies to messages.
//!
//! A `ModelInferRequest` reaches the service undecoded ([`raw`]). [`prescan`] finds the model that it
//! names, [`request`] decodes it; prost reads and writes every other message.

mod contents;
mod entry;
mod fields;
mod input;
pub mod model_config;
pub mod prescan;
pub mod raw;
pub mod request;
pub mod response;
pub mod statistics;
#[cfg(feature = "service")]
mod status;
pub mod typed;

use std::time::Duration;

#[cfg(feature = "service")]
pub use self::status::status;

/// Messages of `proto/open_inference.proto`, and the service with the feature `service`.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/inference.rs"));

    /// The description itself, for reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/open_inference.bin"));
}

/// What the content type of every gRPC call begins with.
pub const CONTENT_TYPE: &str = "application/grpc";

/// How long a caller waits for its call, if its metadata says so.
pub fn budget(headers: &http::HeaderMap) -> Option<Duration> {
    timeout_header(headers.get("grpc-timeout")?.to_str().ok()?)
}

/// The value of `grpc-timeout`, a caller's budget for a call (gRPC over HTTP/2, "Timeout": at most 8
/// digits and a unit). `None` for a value that cannot be read, as the reference implementations do.
pub fn timeout_header(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit())
    {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_of_the_timeout_header_is_read() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("4m", Some(Duration::from_millis(4))),
            ("5u", Some(Duration::from_micros(5))),
            ("6n", Some(Duration::from_nanos(6))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("123456789S", None),
            ("-1S", None),
            ("S", None),
            ("", None),
            ("1é", None),
            ("1x", None),
        ] {
            assert_eq!(timeout_header(text), expected, "{text}");
        }
    }
}
