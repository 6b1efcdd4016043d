//! The small readers: paths, headers, addresses, durations.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use arbitrary::Unstructured;
use http::HeaderValue;
use serin_crds::source_uri::{SourceUri, shown};
use serin_dataplane::fuzzing::{config, model, server, traces};
use serin_wire::{oip_grpc, request_id};

use super::checks;
use crate::Target;

fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

fn seeds_of(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub const PATH: Target = Target {
    name: "path",
    about: "a path names the model that its percent-encoding says",
    run: path,
    seeds: || {
        seeds_of(&[
            "/v2/models/m/infer",
            "/v2/models/a%2Fb%20c/versions/01/infer",
            "/v2/models/%e2%82%ac",
            "/v2/models/%ff",
        ])
    },
    dictionary: &[
        "%2F",
        "%25",
        "%00",
        "%e2%82%ac",
        "/versions/",
        "/v2/models/",
        "/infer",
        "%",
    ],
    longest: 512,
};

fn path(data: &[u8]) {
    let Some(path) = text(data) else { return };
    match server::model_of(path) {
        Err(fault) => checks::fault(&fault),
        Ok(model) => {
            let encoded = |name: &str| {
                name.bytes()
                    .map(|byte| format!("%{byte:02x}"))
                    .collect::<String>()
            };
            let mut again = format!("/v2/models/{}", encoded(&model.name));
            if let Some(version) = &model.version {
                again = format!("{again}/versions/{}", encoded(version));
            }
            assert_eq!(server::model_of(&again).expect("its own spelling"), model);
        }
    }
}

pub const HEADERS: Target = Target {
    name: "headers",
    about: "ids stay harmless, lengths within the body, gRPC timeouts as the specification has them",
    run: headers,
    seeds: || {
        seeds_of(&[
            "Job-7:a.b_c",
            "0",
            "135",
            "10S",
            "99999999H",
            "500m",
            "+1",
            " 1",
        ])
    },
    dictionary: &["H", "M", "S", "m", "u", "n", "18446744073709551616"],
    longest: 200,
};

fn headers(data: &[u8]) {
    let id = request_id::of(Some(data));
    let harmless = |id: &[u8]| {
        (1..=128).contains(&id.len())
            && id
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(byte))
    };
    assert!(harmless(id.as_bytes()), "{id:?}");
    assert!(
        !harmless(data) || id.as_bytes() == data,
        "a harmless id was replaced"
    );

    const BODY: usize = 1000;
    if let Ok(value) = HeaderValue::from_bytes(data) {
        let decimal = text(data).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let wanted = decimal
            .and_then(|text| text.parse().ok())
            .filter(|length| *length <= BODY);
        match server::json_length(Some(&value), BODY) {
            Err(fault) => {
                checks::fault(&fault);
                assert_eq!(wanted, None);
            }
            Ok(length) => assert_eq!(length, wanted),
        }
    }

    let Some(value) = text(data) else { return };
    if let Some(timeout) = oip_grpc::timeout_header(value) {
        let (digits, unit) = value.split_at(value.len() - 1);
        let nanos: u128 = match unit {
            "H" => 3_600_000_000_000,
            "M" => 60_000_000_000,
            "S" => 1_000_000_000,
            "m" => 1_000_000,
            "u" => 1_000,
            _ => 1,
        };
        assert!((1..=8).contains(&digits.len()));
        assert_eq!(
            digits.parse::<u128>().map(|number| number * nanos),
            Ok(timeout.as_nanos())
        );
    }
}

pub const SOURCE: Target = Target {
    name: "source",
    about: "no address inside is dialled in any spelling; no secret of a URI is shown",
    run: source,
    seeds: || {
        let mut seeds = seeds_of(&[
            "\0https://u:p@h.example/a/b?sig=s#f",
            "\0file:///m%20x/a+b.onnx",
            "\x0110.96.0.0/16",
        ]);
        seeds.push(
            [
                &[2][..],
                &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1],
            ]
            .concat(),
        );
        seeds
    },
    dictionary: &[
        "https://",
        "file://",
        "://",
        "@",
        "?",
        "#",
        "/0",
        "/128",
        "::ffff:",
        "%2f",
        "10.0.0.0/8",
        "fd00::/8",
    ],
    longest: 300,
};

fn source(data: &[u8]) {
    let mut input = Unstructured::new(data);
    match input.arbitrary::<u8>().expect("a byte") {
        0 => {
            let Some(uri) = text(input.take_rest()) else {
                return;
            };
            let shown = shown(uri);
            assert!(!shown.contains(['?', '#']), "{shown}");
            if let Some((_, rest)) = shown.split_once("://") {
                let authority = rest.split('/').next().unwrap_or_default();
                assert!(!authority.contains('@'), "{shown}");
            }
            if let Ok(SourceUri::File { path }) = SourceUri::parse(uri) {
                assert!(path.is_absolute(), "{}", path.display());
            }
        }
        1 => {
            let Some(network) = text(input.take_rest()) else {
                return;
            };
            for never in [
                "127.0.0.1",
                "169.254.169.254",
                "::1",
                "fe80::1",
                "::ffff:127.0.0.1",
                "100.100.100.200",
                "64:ff9b::a9fe:a9fe",
            ] {
                let address = never.parse().expect("an address");
                assert_ne!(
                    model::may_dial(&[network], address),
                    Some(true),
                    "{network} opens {never}"
                );
            }
        }
        _ => {
            let Some(octets) = input.take_rest().first_chunk::<16>() else {
                return;
            };
            let address = Ipv6Addr::from(*octets);
            let allowed = model::may_dial(&[], address.into());
            if let Some(four) = address.to_ipv4_mapped() {
                assert_eq!(
                    allowed,
                    model::may_dial(&[], four.into()),
                    "{address} is {four}"
                );
                assert!(allowed == Some(false) || !inside(four), "{four} is inside");
            }
            let inside = address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unique_local();
            assert!(allowed == Some(false) || !inside, "{address} is inside");
        }
    }
}

fn inside(four: Ipv4Addr) -> bool {
    four.is_private()
        || four.is_loopback()
        || four.is_link_local()
        || IpAddr::V4(four).is_multicast()
        || four.is_unspecified()
}

pub const DURATION: Target = Target {
    name: "duration",
    about: "a flag's duration is the number and unit that stand there",
    run: duration,
    seeds: || seeds_of(&["500ms", "10s", "5m", "2h", "18446744073709551615h", "10 s"]),
    dictionary: &["ms", "s", "m", "h", "99999999999999999999"],
    longest: 64,
};

fn duration(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let Ok(duration) = config::duration(text) else {
        return;
    };
    let unit = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let number: u64 = text[..text.len() - unit.len()].parse().expect("a number");
    let wanted = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number * 60),
        "h" => Duration::from_secs(number * 3600),
        other => panic!("'{other}' is no unit"),
    };
    assert_eq!(duration, wanted);
}

pub const TRACE: Target = Target {
    name: "trace",
    about: "a trace's place is passed on as it came, its state bounded, and rubbish not at all",
    run: trace,
    seeds: || {
        seeds_of(&[
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\na=1, b@c=2",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more\nk=v,\t,d=3",
        ])
    },
    dictionary: &["00-", "ff-", "-01", "\n", ",", "=", "\t", "a=b,"],
    longest: 1024,
};

/// The first line is `traceparent`, each other one a `tracestate`.
fn trace(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let parent = lines.next().unwrap_or_default();
    let states: Vec<&[u8]> = lines.collect();
    let Some((header, state)) = traces::passed_on(&[parent], &states) else {
        return;
    };
    let given = text(parent).expect("only text is read");
    let fields = |text: &str| text[3..52].to_owned();
    assert_eq!(fields(&header), fields(given), "other ids");
    let sampled = |text: &str| u8::from_str_radix(&text[53..55], 16).map(|flags| flags & 1);
    assert_eq!(sampled(&header), sampled(given));
    assert!(
        state.len() <= 512 && state.split(',').count() <= 32,
        "{state}"
    );
    assert!(
        state.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        "{state:?}"
    );
    let again = traces::passed_on(&[header.as_bytes()], &[state.as_bytes()]);
    assert_eq!(again, Some((header, state)), "passed on once more");
}
