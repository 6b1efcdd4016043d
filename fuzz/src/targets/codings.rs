//! Content codings: what headers say, and compressed bodies.

use std::io::Read;

use arbitrary::Unstructured;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, HeaderValue};
use serin_core::fault::Fault;
use serin_wire::content_coding::{self, Accepted, Coding, Inflation, PieceInflation, Portion};

use super::checks;
use crate::Target;

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
    match content_coding::of_request(&headers) {
        Ok(None) => {}
        Ok(Some(coding)) => assert!(named(coding.as_str()), "{coding:?} of {text}"),
        Err(fault) => checks::fault(&fault),
    }
    let (coding, forced) = match content_coding::accepted(&headers) {
        Accepted::Plain => return,
        Accepted::Preferred(coding) => (coding.as_str(), false),
        Accepted::Only(coding) => (coding.as_str(), true),
    };
    assert!(named(coding) || named("*"), "{coding} of {text}");
    let refused = (named("identity") || named("*")) && named("q");
    assert!(!forced || refused, "nothing in {text} refuses plain");
}

pub const INFLATE: Target = Target {
    name: "inflate",
    about: "a compressed body inflates within its bound, to what another reader makes of it",
    run: inflate,
    seeds: || {
        let seed = |settings: u8, plain: &[u8]| {
            let packed = compressed(coding(settings), plain);
            [&[settings], packed.as_slice()].concat()
        };
        let gzip = compressed(Coding::Gzip, b"two");
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

fn coding(settings: u8) -> Coding {
    if settings & 1 == 1 {
        Coding::Gzip
    } else {
        Coding::Deflate
    }
}

fn compressed(coding: Coding, plain: &[u8]) -> Vec<u8> {
    content_coding::compress(plain, coding, plain.len() * 2 + 1024).expect("it fits")
}

/// Inflates the first `begin` bytes in one step and the rest in another; also gives the largest
/// reservation that was asked for.
fn inflated(
    coding: Coding,
    compressed: Bytes,
    begin: usize,
    limit: usize,
) -> (Result<Bytes, Fault>, usize) {
    let mut most = 0;
    let mut inflation = Inflation::new(coding, compressed, limit);
    let mut reserve = |bytes: usize| {
        most = most.max(bytes);
        Ok(())
    };
    let first = Portion {
        input: begin,
        output: begin,
    };
    let mut step = inflation.step(first, &mut reserve);
    while let Ok(None) = step {
        step = inflation.step(Portion::ALL, &mut reserve);
    }
    (step.map(|plain| plain.expect("the loop has ended")), most)
}

/// The same body in pieces.
fn in_pieces(coding: Coding, compressed: Bytes, limit: usize) -> Result<Bytes, Fault> {
    let mut inflation = PieceInflation::new(coding, compressed, limit);
    let portion = Portion {
        input: 16,
        output: 1000,
    };
    loop {
        if let Some(pieces) = inflation.step(portion, |_| Ok(()))? {
            return Ok(pieces.concat().into());
        }
    }
}

fn inflate(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let settings: u8 = input.arbitrary().expect("a byte");
    let coding = coding(settings);
    let limit = LIMITS[usize::from(settings >> 1) % LIMITS.len()];
    let body = Bytes::copy_from_slice(input.take_rest());
    let (whole, _) = inflated(coding, body.clone(), usize::MAX, limit);
    let (parts, most) = inflated(coding, body.clone(), 16, limit);
    assert!(
        most <= limit + 1,
        "{most} bytes asked for, {limit} are allowed"
    );
    let pieces = in_pieces(coding, body.clone(), limit);
    assert_eq!(pieces.as_ref().ok(), whole.as_ref().ok(), "in pieces");
    match (&whole, &parts) {
        (Ok(whole), Ok(parts)) => {
            assert_eq!(whole, parts, "in one piece and in two");
            assert!(whole.len() <= limit);
            let mut other = Vec::new();
            let decoder = flate2::bufread::MultiGzDecoder::new(body.as_ref());
            if coding == Coding::Gzip && decoder.take(1 << 21).read_to_end(&mut other).is_ok() {
                assert_eq!(*whole, other, "another reader");
            }
        }
        (Err(whole), Err(parts)) => {
            checks::fault(whole);
            checks::fault(parts);
        }
        _ => panic!("in one piece {whole:?}, in two {parts:?}"),
    }
    let packed = compressed(coding, &body);
    let (again, _) = inflated(coding, packed.into(), 16, body.len());
    assert_eq!(
        again.map_err(|fault| fault.message),
        Ok(body),
        "compressed and inflated"
    );
}
