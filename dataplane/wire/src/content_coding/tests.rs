use proptest::prelude::*;

use super::*;

fn asking(values: &[&str]) -> Accepted {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap());
    }
    accepted(&headers)
}

fn sent_in(values: &[&str]) -> Result<Option<Coding>, &'static str> {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(CONTENT_ENCODING, HeaderValue::from_str(value).unwrap());
    }
    of_request(&headers).map_err(|fault| fault.code)
}

#[test]
fn the_best_quality_wins_and_gzip_among_equals() {
    use Accepted::{Only, Plain, Preferred};
    use Coding::{Deflate, Gzip};
    for (accept, expected) in [
        ("gzip", Preferred(Gzip)),
        ("x-gzip", Preferred(Gzip)),
        ("GZip", Preferred(Gzip)),
        ("deflate", Preferred(Deflate)),
        ("gzip, deflate, br, zstd", Preferred(Gzip)),
        ("deflate, gzip", Preferred(Gzip)),
        ("gzip;q=0.5, deflate", Preferred(Deflate)),
        ("gzip ; Q=0.5 , deflate ; q=0.4", Preferred(Gzip)),
        ("gzip;q=0.001", Preferred(Gzip)),
        ("*", Preferred(Gzip)),
        ("*;q=0.5", Preferred(Gzip)),
        ("gzip;q=0, *", Preferred(Deflate)),
        ("gzip;q=0, deflate;q=0, *", Plain),
        ("gzip;q=0", Plain),
        ("identity", Plain),
        ("identity, gzip", Preferred(Gzip)),
        ("identity, gzip;q=0.9", Plain),
        ("identity;q=0.1, gzip", Preferred(Gzip)),
        ("*;q=0.5, gzip;q=0.3, deflate;q=0.3", Plain),
        ("identity;q=0, gzip", Only(Gzip)),
        ("gzip, *;q=0", Only(Gzip)),
        ("deflate;q=0.2, *;q=0, identity;q=0.1", Preferred(Deflate)),
        // Nothing that can be had is left: an answer is better than none.
        ("*;q=0", Plain),
        ("br, identity;q=0", Plain),
        ("br", Plain),
        ("", Plain),
        (",, ,", Plain),
        // What cannot be read is as if it were not there.
        ("gzip;q=2", Plain),
        ("gzip;q=0.1234", Plain),
        ("gzip;q=-1", Plain),
        ("gzip;q=", Plain),
        ("gzip;q=1.001", Plain),
        ("gzip;q=1.000", Preferred(Gzip)),
        ("gzip;level=9", Preferred(Gzip)),
        ("gzip;q=0, gzip", Plain),
    ] {
        assert_eq!(asking(&[accept]), expected, "{accept}");
    }
    assert_eq!(asking(&[]), Plain);
    assert_eq!(asking(&["gzip;q=0.5", "deflate"]), Preferred(Deflate));
}

#[test]
fn a_request_may_be_in_one_coding_of_any_spelling() {
    assert_eq!(sent_in(&[]), Ok(None));
    for (value, expected) in [
        ("", None),
        ("Identity", None),
        ("GZIP", Some(Coding::Gzip)),
        ("x-gzip", Some(Coding::Gzip)),
        (" deflate ", Some(Coding::Deflate)),
        ("identity, gzip", Some(Coding::Gzip)),
    ] {
        assert_eq!(sent_in(&[value]), Ok(expected), "{value}");
    }
}

#[test]
fn stacked_and_unknown_codings_are_refused() {
    for values in [
        &["gzip, br"][..],
        &["gzip, gzip"],
        &["gzip", "deflate"],
        &["br"],
        &["zstd"],
        &["compress"],
        &["gzip;q=1"],
    ] {
        assert_eq!(sent_in(values), Err("unsupported_encoding"), "{values:?}");
    }
}

#[test]
fn streams_and_grpc_are_never_compressed_documents_are() {
    for yes in [
        "application/json",
        "application/problem+json",
        "application/octet-stream",
        "text/plain; version=0.0.4",
        "application/openmetrics-text; version=1.0.0",
        "text/html; charset=utf-8",
    ] {
        assert!(may_compress(yes.as_bytes()), "{yes}");
    }
    for no in [
        "text/event-stream",
        "text/event-stream; charset=utf-8",
        "application/x-ndjson",
        "application/grpc",
        "application/grpc+proto",
        "image/png",
        "",
    ] {
        assert!(!may_compress(no.as_bytes()), "{no}");
    }
}

#[test]
fn what_compression_does_not_shrink_is_left_alone() {
    assert_eq!(compress(b"", Coding::Gzip, 1), None);
    for coding in Coding::ALL {
        let repeated = vec![b'a'; 4096];
        let packed = compress(&repeated, coding, repeated.len()).unwrap();
        assert!(packed.len() < 100, "{}", packed.len());
        assert_eq!(compress(&repeated, coding, packed.len() - 1), None);
    }
}

proptest! {
    #[test]
    fn any_header_is_understood_without_a_panic(value in "[ -~]{0,60}") {
        asking(&[&value]);
        let _ = sent_in(&[&value]);
    }

    #[test]
    fn an_explicit_zero_is_always_obeyed(order in any::<bool>(), quality in 1u16..=1000) {
        let quality = f64::from(quality) / 1000.0;
        let (gzip, star) = ("gzip;q=0".to_owned(), format!("*;q={quality}"));
        let header = if order { format!("{gzip}, {star}") } else { format!("{star}, {gzip}") };
        prop_assert_eq!(asking(&[&header]), Accepted::Preferred(Coding::Deflate));
    }
}
