"""Rules for every HTTP request: content types, codings, request ids, methods, paths (protocols of all peers, taken together)."""

import gzip
import http.client
import json
import zlib

import pytest

from wire import COMPRESS, DECOMPRESS, fault, get, infer, ok, raw_exchange, request, tensor

ONE = {"inputs": [tensor("X", "FP32", [1, 4], [1, 2, 3, 4])]}
# Compressible, more than the 1 KiB below which nothing is compressed.
LARGE = {"inputs": [tensor("X", "FP32", [1, 1000], [1] * 1000)]}


@pytest.mark.parametrize(
    "content_type", [None, "application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded", "text/plain", "nonsense"]
)
def test_the_content_type_of_a_request_does_not_matter(server, content_type):
    headers = {"Content-Type": content_type} if content_type else {}
    assert ok(infer(server, "linear", ONE, headers=headers))["outputs"][0]["data"] == [10, -1, 41]


@pytest.mark.parametrize("coding", COMPRESS, ids=str)
@pytest.mark.parametrize("spelling", [str, str.upper])
def test_request_codings_are_read_in_any_case(server, coding, spelling):
    headers = {"Content-Encoding": spelling(coding or "identity")}
    body = COMPRESS[coding](json.dumps(ONE).encode())
    ok(request(server, "POST", "/v2/models/linear/infer", body, headers))


def test_all_members_of_a_gzip_body_are_read(server):
    text = json.dumps(ONE).encode()
    body = gzip.compress(text[:20]) + gzip.compress(text[20:])
    ok(request(server, "POST", "/v2/models/linear/infer", body, {"Content-Encoding": "gzip"}))


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("damage", [lambda body: body[:-6], lambda body: b"x" + body, lambda body: b"plain"], ids=["short", "shifted", "plain"])
def test_a_damaged_body_is_refused(server, coding, damage):
    body = damage(COMPRESS[coding](json.dumps(ONE).encode()))
    fault(request(server, "POST", "/v2/models/linear/infer", body, {"Content-Encoding": coding}), 400)


@pytest.mark.parametrize(
    "accept,coding",
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("GZIP", "gzip"),
        ("gzip;q=0.5, deflate", "deflate"),
        ("gzip, deflate;q=0.5", "gzip"),
        ("gzip;q=0", None),
        ("identity", None),
        ("br", None),
        ("*;q=0.5", ("gzip", "deflate")),
        ("gzip;q=0, *", "deflate"),
        (None, None),
    ],
)
def test_answers_are_compressed_as_asked(server, accept, coding):
    answer = infer(server, "identity_fp32", LARGE, headers={"Accept-Encoding": accept} if accept else {})
    used = answer.headers.get("content-encoding")
    assert used in coding if isinstance(coding, tuple) else used == coding
    assert "accept-encoding" in answer.headers.get("vary", "").lower()
    assert json.loads(DECOMPRESS[used](answer.body))["outputs"][0]["data"] == [1] * 1000


def test_small_answers_are_not_compressed(server):
    answer = infer(server, "linear", ONE, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers
    ok(answer)


def test_the_header_length_of_a_compressed_answer_counts_plain_bytes(server):
    document = LARGE | {"parameters": {"binary_data_output": True}}
    answer = infer(server, "identity_fp32", document, headers={"Accept-Encoding": "deflate"})
    assert answer.headers["content-encoding"] == "deflate"
    plain = zlib.decompress(answer.body)
    length = int(answer.headers["inference-header-content-length"])
    [output] = json.loads(plain[:length])["outputs"]
    assert output["parameters"]["binary_data_size"] == 4000 == len(plain) - length


def test_a_request_id_is_echoed_and_an_odd_one_replaced(server):
    good = "A-z0.9_:-"
    assert get(server, "/v2", **{"x-request-id": good}).headers["x-request-id"] == good
    for odd in ("with space", "a" * 129, "semi;colon"):
        made = get(server, "/v2", **{"x-request-id": odd}).headers["x-request-id"]
        assert made != odd and made
    assert get(server, "/v2").headers["x-request-id"] != get(server, "/v2").headers["x-request-id"]


def test_an_answer_without_an_id_in_the_request_has_the_request_id(server):
    for absent in ({}, {"id": ""}, {"id": None}):
        answer = infer(server, "linear", ONE | absent)
        assert ok(answer)["id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/v2", "/v2/health/live", "/v2/health/ready", "/v2/models", "/v2/models/linear", "/v2/models/linear/ready", "/v2/models/linear/versions/1"])
def test_a_trailing_slash_and_head_are_served(server, path):
    plain = get(server, path)
    assert plain.status == 200
    assert get(server, path + "/").body == plain.body
    head = request(server, "HEAD", path)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-type"] == plain.headers["content-type"]


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/ping", "/health"])
def test_the_usual_names_of_health_are_served(server, path):
    assert get(server, path).status == 200


def test_options_says_what_a_path_takes(server):
    answer = request(server, "OPTIONS", "/v2/models/linear/infer")
    assert answer.status == 204
    assert "POST" in answer.headers["allow"]


def test_names_are_percent_decoded(server):
    assert ok(get(server, "/v2/models/team%2Fa%20model"))["name"] == "team/a model"
    assert ok(infer(server, "team/a model", ONE))["model_name"] == "team/a model"
    fault(get(server, "/v2/models/%zz"), 400)
    fault(get(server, "/v2/models/%ff"), 400)


def test_the_list_of_models_has_each_name_once(server):
    models = ok(get(server, "/v2/models"))["models"]
    assert models.count("iris") == 1 and {"linear", "slow", "team/a model"} <= set(models)


def test_a_version_in_the_path_is_the_one_that_answers(server):
    flower = {"inputs": [tensor("measurements", "FP32", [1, 4], [5.1, 3.5, 1.4, 0.2])]}
    for version in ("1", "2"):
        answer = request(server, "POST", f"/v2/models/iris/versions/{version}/infer", json.dumps(flower).encode())
        assert ok(answer)["model_version"] == version
    fault(request(server, "POST", "/v2/models/iris/versions/01/infer", json.dumps(flower).encode()), 404, "01")


def test_a_connection_serves_on_after_an_error(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    sock = None
    for body, status in ((b"{", 400), (json.dumps(ONE).encode(), 200), (b"[]", 400), (json.dumps(ONE).encode(), 200)):
        connection.request("POST", "/v2/models/linear/infer", body)
        sock = sock or connection.sock
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status and connection.sock is sock
    connection.close()


def test_a_client_that_waits_to_be_told_to_continue_is_told(server):
    body = json.dumps(ONE).encode()
    head = f"POST /v2/models/linear/infer HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
    answer = raw_exchange(server, head.encode() + body)
    assert b"200 OK" in answer, answer[:300]


def test_a_chunked_body_is_read(server):
    body = json.dumps(ONE).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:])) + b"0\r\n\r\n"
    head = b"POST /v2/models/linear/infer HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert raw_exchange(server, head + chunks).startswith(b"HTTP/1.1 200")


def test_problem_json_only_where_it_is_asked_for(server):
    answer = get(server, "/v2/models/nobody", Accept="application/problem+json")
    assert answer.status == 404 and answer.headers["content-type"] == "application/problem+json"
    body = answer.document()
    assert body["status"] == 404 and body["error"] == body["detail"] and body["instance"] == "/v2/models/nobody"
    fault(get(server, "/v2/models/nobody", Accept="*/*"), 404)
