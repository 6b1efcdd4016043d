//! The readers of this folder, for fuzz targets.

use bytes::Bytes;
use http::HeaderMap;

use super::{Accepted, Coding, Inflation};
use crate::fault::Fault;

/// The coding of a request's body, by name.
///
/// # Errors
/// What the caller is told.
pub fn of_request(headers: &HeaderMap) -> Result<Option<&'static str>, Fault> {
    Ok(super::of_request(headers)?.map(Coding::as_str))
}

/// The coding that an answer may be in, and whether it must.
pub fn accepted(headers: &HeaderMap) -> Option<(&'static str, bool)> {
    match super::accepted(headers) {
        Accepted::Plain => None,
        Accepted::Preferred(coding) => Some((coding.as_str(), false)),
        Accepted::Only(coding) => Some((coding.as_str(), true)),
    }
}

fn coding(gzip: bool) -> Coding {
    if gzip { Coding::Gzip } else { Coding::Deflate }
}

/// Inflates a body: the first `begin` bytes in one go, and the rest after that. Gives also the most
/// that was asked to be reserved.
///
/// # Errors
/// What the caller is told.
pub fn inflate(
    gzip: bool,
    compressed: Bytes,
    begin: usize,
    limit: usize,
) -> (Result<Bytes, Fault>, usize) {
    let mut most = 0;
    let mut inflation = Inflation::new(coding(gzip), compressed, limit);
    let mut reserve = |bytes: usize| {
        most = most.max(bytes);
        Ok(())
    };
    let plain = match inflation.begin(begin, &mut reserve) {
        Ok(Some(plain)) => Ok(plain),
        Ok(None) => inflation.finish(&mut reserve),
        Err(fault) => Err(fault),
    };
    (plain, most)
}

/// Compresses an answer's body.
pub fn compress(gzip: bool, plain: &[u8]) -> Option<Vec<u8>> {
    super::compress(plain, coding(gzip), plain.len() * 2 + 1024)
}
