//! Content codings of HTTP bodies (RFC 9110, 8.4 and 12.5.3): the coding of a request's body, the
//! codings that a response may use, and the bodies that are worth compressing.

mod deflate;
mod inflate;
mod pieces;

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, HeaderValue};

use serin_core::fault::{Fault, FaultKind};

pub use deflate::compress;
pub use inflate::{Inflation, Portion};
pub use pieces::PieceInflation;

/// The codings of request bodies that are understood, for `Accept-Encoding` of a 415.
pub const UNDERSTOOD: HeaderValue = HeaderValue::from_static("gzip, deflate, identity");

/// Bodies of fewer bytes are sent uncompressed: they fit one packet.
pub const WORTHWHILE_BYTES: usize = 1 << 10;

/// A compressing content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, a deflate stream with zlib's frame. Some senders leave the frame out: see
    /// [`Inflation`].
    Deflate,
}

impl Coding {
    const ALL: [Self; 2] = [Self::Gzip, Self::Deflate];

    /// Its name in headers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("x-gzip") {
            return Some(Self::Gzip);
        }
        Self::ALL
            .into_iter()
            .find(|coding| coding.as_str().eq_ignore_ascii_case(name))
    }
}

/// The coding of a request's body; `None` for an uncompressed one.
///
/// # Errors
/// `UnsupportedEncoding` for any other coding, and for several on top of each other.
pub fn of_request(headers: &HeaderMap) -> Result<Option<Coding>, Fault> {
    let mut found = None;
    for value in headers.get_all(CONTENT_ENCODING) {
        let text = value.to_str().unwrap_or("?");
        for name in text.split(',').map(str::trim) {
            if name.is_empty() || name.eq_ignore_ascii_case("identity") {
                continue;
            }
            let Some(coding) = Coding::parse(name) else {
                let name: String = name.chars().take(40).collect();
                return Err(unsupported(format!(
                    "content encoding '{name}' is not offered; send the body in gzip, deflate or as it is"
                )));
            };
            if found.replace(coding).is_some() {
                return Err(unsupported(
                    "several content encodings on top of each other are not offered; use one"
                        .to_owned(),
                ));
            }
        }
    }
    Ok(found)
}

fn unsupported(message: String) -> Fault {
    Fault::new(
        FaultKind::UnsupportedEncoding,
        "unsupported_encoding",
        message,
    )
    .with_param(CONTENT_ENCODING.as_str())
}

/// What `Accept-Encoding` allows for the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Uncompressed.
    Plain,
    /// This coding where it pays.
    Preferred(Coding),
    /// This coding; the caller refuses an uncompressed response.
    Only(Coding),
}

/// What a request's `Accept-Encoding` allows. A caller that refuses every offered coding gets an
/// uncompressed response, as RFC 9110 permits.
pub fn accepted(headers: &HeaderMap) -> Accepted {
    let mut qualities = Qualities::default();
    for value in headers.get_all(ACCEPT_ENCODING) {
        for member in value.to_str().unwrap_or_default().split(',') {
            qualities.add(member);
        }
    }
    qualities.decide()
}

/// The quality values that the header lists, in thousandths.
#[derive(Default)]
struct Qualities {
    gzip: Option<u16>,
    deflate: Option<u16>,
    identity: Option<u16>,
    any: Option<u16>,
}

impl Qualities {
    /// Adds one member of the header; the first of several for one coding counts, an unreadable one
    /// is ignored.
    fn add(&mut self, member: &str) {
        let mut parts = member.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let mut quality = Some(1000);
        for parameter in parts {
            if let Some((key, value)) = parameter.split_once('=')
                && key.trim().eq_ignore_ascii_case("q")
            {
                quality = thousandths(value.trim());
            }
        }
        let slot = match Coding::parse(name) {
            Some(Coding::Gzip) => &mut self.gzip,
            Some(Coding::Deflate) => &mut self.deflate,
            None if name == "*" => &mut self.any,
            None if name.eq_ignore_ascii_case("identity") => &mut self.identity,
            None => return,
        };
        if let Some(quality) = quality {
            slot.get_or_insert(quality);
        }
    }

    fn decide(&self) -> Accepted {
        let quality = |listed: Option<u16>| listed.or(self.any);
        let gzip = quality(self.gzip).unwrap_or(0);
        let deflate = quality(self.deflate).unwrap_or(0);
        let (best, coding) = if deflate > gzip {
            (deflate, Coding::Deflate)
        } else {
            (gzip, Coding::Gzip)
        };
        match quality(self.identity) {
            _ if best == 0 => Accepted::Plain,
            Some(0) => Accepted::Only(coding),
            Some(identity) if identity > best => Accepted::Plain,
            Some(_) | None => Accepted::Preferred(coding),
        }
    }
}

/// A quality value: `0` to `1` with at most three decimals.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let decimals = format!("{decimals:0<3}").parse().ok()?;
    match (whole, decimals) {
        ("0", decimals) => Some(decimals),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

/// Whether responses of this media type may be compressed. Streams of events and lines are not: a
/// coding would delay them. gRPC has codings of its own.
pub fn may_compress(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next();
    let essence = essence.unwrap_or_default().trim_ascii_end();
    match essence {
        b"application/json"
        | b"application/octet-stream"
        | b"application/problem+json"
        | b"application/openmetrics-text"
        | b"application/javascript"
        | b"image/svg+xml" => true,
        b"text/event-stream" => false,
        other => other.starts_with(b"text/"),
    }
}

#[cfg(test)]
mod tests;
