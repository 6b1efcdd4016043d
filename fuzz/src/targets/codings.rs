//! Content codings: what headers say, and compressed bodies.

use std::io::Read;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, HeaderValue};
use serin_dataplane::fuzzing::protocol::codings;

use super::checks;
use crate::Target;
use crate::picks::Picks;

pub const HEADERS: Target = Target {
    name: "codings",
    about: "a coding is chosen that the caller named, and forced only where plain is refused",
    run: headers,
    seeds: || {
        [
            "gzip, deflate;q=0.5, *;q=0",
            "identity;q=0, gzip;q=0.001",
            "x-gzip",
            "br;q=1.0,deflate",
            "GZIP ; Q=0.9",
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
    },
    dictionary: &[
        "gzip", "deflate", "identity", "*", ";q=", "0.001", "1.000", ",", "x-gzip", "br",
    ],
    longest: 200,
};

fn headers(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else {
        return;
    };
    let text = String::from_utf8_lossy(data).to_ascii_lowercase();
    let named = |coding: &str| text.contains(coding);
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_ENCODING, value.clone());
    headers.insert(CONTENT_ENCODING, value);
    match codings::of_request(&headers) {
        Ok(None) => {}
        Ok(Some(coding)) => assert!(named(coding), "{coding} of {text}"),
        Err(fault) => checks::fault(&fault),
    }
    if let Some((coding, forced)) = codings::accepted(&headers) {
        assert!(named(coding) || named("*"), "{coding} of {text}");
        let refused = (named("identity") || named("*")) && named("q");
        assert!(!forced || refused, "nothing in {text} refuses plain");
    }
}

pub const INFLATE: Target = Target {
    name: "inflate",
    about: "a compressed body inflates within its bound, to what another reader makes of it",
    run: inflate,
    seeds: || {
        let seed = |settings: u8, plain: &[u8]| {
            let packed = codings::compress(settings & 1 == 1, plain).expect("it fits");
            [&[settings], packed.as_slice()].concat()
        };
        let gzip = codings::compress(true, b"two").expect("it fits");
        vec![
            seed(0, b"{\"inputs\":[]}"),
            seed(1, b"{\"inputs\":[]}"),
            seed(3, &[b'a'; 5000]),
            [&[1][..], &gzip, &gzip].concat(),
            vec![0, 0x4b, 0x04, 0x00],
        ]
    },
    dictionary: &["\u{1f}", "\u{8}", "x"],
    longest: 2048,
};

/// What a body may hold here; small, so that the bound is met often.
const LIMITS: [usize; 4] = [1 << 20, 4096, 100, 0];

fn inflate(data: &[u8]) {
    let mut picks = Picks::new(data);
    let settings = picks.byte();
    let gzip = settings & 1 == 1;
    let limit = LIMITS[usize::from(settings >> 1) % LIMITS.len()];
    let body = Bytes::copy_from_slice(picks.rest());
    let (whole, _) = codings::inflate(gzip, body.clone(), usize::MAX, limit);
    let (parts, most) = codings::inflate(gzip, body.clone(), 16, limit);
    assert!(
        most <= limit + 1,
        "{most} bytes asked for, {limit} are allowed"
    );
    match (&whole, &parts) {
        (Ok(whole), Ok(parts)) => {
            assert_eq!(whole, parts, "in one piece and in two");
            assert!(whole.len() <= limit);
            let mut other = Vec::new();
            let decoder = flate2::bufread::MultiGzDecoder::new(body.as_ref());
            if gzip && decoder.take(1 << 21).read_to_end(&mut other).is_ok() {
                assert_eq!(*whole, other, "another reader");
            }
        }
        (Err(whole), Err(parts)) => {
            checks::fault(whole);
            checks::fault(parts);
        }
        _ => panic!("in one piece {whole:?}, in two {parts:?}"),
    }
    let packed = codings::compress(gzip, &body).expect("it fits");
    let (again, _) = codings::inflate(gzip, packed.into(), 16, body.len());
    assert_eq!(
        again.map_err(|fault| fault.message),
        Ok(body),
        "compressed and inflated"
    );
}
