use super::*;

const HERE: &str = "127.0.0.1:9";
const ELSEWHERE: &str = "10.1.2.3:9";

fn callers() -> Guard {
    Guard {
        admin: false,
        names: None,
    }
}

fn admin() -> Guard {
    Guard {
        admin: true,
        names: None,
    }
}

fn local() -> Guard {
    Guard {
        admin: false,
        names: Some(vec!["workstation".to_owned()]),
    }
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

/// The code of the refusal.
fn checked(guard: &Guard, request: &Request<()>, peer: &str) -> Result<(), &'static str> {
    guard
        .check(request, peer.parse().unwrap())
        .map_err(|fault| fault.code)
}

#[test]
fn a_page_of_another_site_changes_nothing_on_any_route_that_is_not_known_to_change_nothing() {
    let foreign: [&[(&str, &str)]; 6] = [
        &[("host", "serin"), ("origin", "https://evil.example")],
        &[("host", "serin"), ("origin", "null")],
        &[("host", "serin:80"), ("origin", "http://serin:8080")],
        &[("host", "serin"), ("sec-fetch-site", "cross-site")],
        &[("host", "serin"), ("sec-fetch-site", "same-site")],
        &[
            ("host", "serin"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "cross-site"),
        ],
    ];
    let changing = [
        "/v2/repository/models/iris/unload",
        "/v2/repository/models/iris/load/",
        "/v2/logging",
        "/v2/trace/setting",
        "/inference.GRPCInferenceService/RepositoryModelUnload",
        "/a/route/of/tomorrow",
    ];
    for headers in foreign {
        for path in changing {
            for method in ["POST", "PUT", "DELETE", "PATCH"] {
                let request = request(method, path, headers);
                for guard in [callers(), admin(), local()] {
                    let local = guard.names.is_some();
                    let refused = checked(&guard, &request, HERE);
                    let expected = if local {
                        "host_not_allowed"
                    } else {
                        "cross_site_request"
                    };
                    assert_eq!(refused, Err(expected), "{method} {path} {headers:?}");
                }
            }
        }
    }
}

#[test]
fn programs_and_pages_of_our_own_are_not_refused() {
    let own: [&[(&str, &str)]; 5] = [
        &[("host", "serin:8080")],
        &[("host", "serin:8080"), ("origin", "http://SERIN:8080")],
        &[
            ("host", "serin"),
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://front.example"),
        ],
        &[("host", "serin"), ("sec-fetch-site", "none")],
        &[("host", "")],
    ];
    for headers in own {
        let request = request("POST", "/v2/repository/models/iris/unload", headers);
        assert_eq!(
            checked(&callers(), &request, ELSEWHERE),
            Ok(()),
            "{headers:?}"
        );
    }
}

#[test]
fn a_page_may_call_for_inference_through_a_gateway_and_not_on_its_users_machine() {
    let headers = [("host", "localhost"), ("origin", "https://app.example")];
    for path in [
        "/v2/models/m/infer",
        "/v1/models/m:predict",
        "/openai/v1/embeddings/",
    ] {
        let request = request("POST", path, &headers);
        assert_eq!(checked(&callers(), &request, ELSEWHERE), Ok(()), "{path}");
        assert_eq!(
            checked(&local(), &request, HERE),
            Err("cross_site_request"),
            "{path}"
        );
    }
    // A WebSocket is open to any page, unless the server refuses.
    let socket = [headers[0], headers[1], ("upgrade", "websocket")];
    let request = request("GET", "/v2/models/m/infer_stream", &socket);
    assert_eq!(
        checked(&callers(), &request, ELSEWHERE),
        Err("cross_site_request")
    );
}

#[test]
fn a_machine_that_serves_its_user_is_addressed_by_address_localhost_or_a_listed_name() {
    let asked = |host: &str| checked(&local(), &request("GET", "/v2", &[("host", host)]), HERE);
    for host in [
        "localhost",
        "LOCALHOST:8080",
        "app.localhost:1",
        "127.0.0.1:8080",
        "[::1]:8080",
        "192.168.1.7",
        "workstation:8080",
        "Workstation.",
    ] {
        assert_eq!(asked(host), Ok(()), "{host}");
    }
    for host in [
        "evil.example",
        "localhost.evil.example:8080",
        "127.0.0.1.evil.example",
        "notlocalhost",
    ] {
        assert_eq!(asked(host), Err("host_not_allowed"), "{host}");
    }
    let target = request("GET", "http://evil.example/v2", &[("host", "localhost")]);
    assert_eq!(
        checked(&local(), &target, HERE),
        Err("host_not_allowed"),
        "the target's host counts"
    );
}

#[test]
fn the_admin_port_is_changed_from_the_pod_itself_and_read_by_all() {
    let headers = [("host", "10.0.0.1:8082")];
    let change = request("POST", "/v2/logging", &headers);
    assert_eq!(checked(&admin(), &change, HERE), Ok(()));
    assert_eq!(checked(&admin(), &change, "[::ffff:127.0.0.1]:9"), Ok(()));
    assert_eq!(
        checked(&admin(), &change, ELSEWHERE),
        Err("permission_denied")
    );
    let read = request("GET", "/livez", &headers);
    assert_eq!(checked(&admin(), &read, ELSEWHERE), Ok(()));
}

#[test]
fn a_request_has_one_host() {
    let asked = |headers: &[(&str, &str)], version| {
        let mut request = request("GET", "/v2", headers);
        *request.version_mut() = version;
        checked(&callers(), &request, ELSEWHERE)
    };
    assert_eq!(asked(&[], Version::HTTP_11), Err("invalid_header"));
    assert_eq!(asked(&[], Version::HTTP_10), Ok(()));
    assert_eq!(asked(&[], Version::HTTP_2), Ok(()));
    for version in [Version::HTTP_10, Version::HTTP_11] {
        assert_eq!(
            asked(&[("host", "a"), ("host", "a")], version),
            Err("invalid_header")
        );
    }
    for host in ["a b", "a/b", "user@a", "http://a"] {
        assert_eq!(
            asked(&[("host", host)], Version::HTTP_11),
            Err("invalid_header"),
            "{host}"
        );
    }
    let mut differs = request("GET", "http://a/v2", &[("host", "b")]);
    *differs.version_mut() = Version::HTTP_2;
    assert_eq!(
        checked(&callers(), &differs, ELSEWHERE),
        Err("invalid_header")
    );
}

#[test]
fn chunks_are_the_only_transfer_coding() {
    let asked = |codings: &[&str], version| {
        let mut headers = vec![("host", "a")];
        headers.extend(codings.iter().map(|coding| ("transfer-encoding", *coding)));
        let mut request = request("POST", "/v2/models/m/infer", &headers);
        *request.version_mut() = version;
        checked(&callers(), &request, ELSEWHERE)
    };
    for coding in ["chunked", "Chunked", " chunked"] {
        assert_eq!(asked(&[coding], Version::HTTP_11), Ok(()));
    }
    for coding in [
        "gzip, chunked",
        "identity, chunked",
        "identity",
        "xchunked",
        "",
    ] {
        assert_eq!(
            asked(&[coding], Version::HTTP_11),
            Err("not_implemented"),
            "{coding}"
        );
    }
    assert_eq!(
        asked(&["chunked, chunked"], Version::HTTP_11),
        Err("invalid_header")
    );
    assert_eq!(
        asked(&["chunked", "chunked"], Version::HTTP_11),
        Err("invalid_header")
    );
    assert_eq!(asked(&["chunked"], Version::HTTP_10), Err("invalid_header"));
}
