"""The description of the interface and the pages for people, of every model that loads."""

import json
from urllib.parse import quote

import pytest

from wire import fault, get, ok, request


def inference_paths(document: dict) -> list[str]:
    return [path for path in document["paths"] if path.startswith("/v2/models/") and path.endswith("/infer")]


def test_every_example_is_a_request_that_the_model_takes(server):
    document = ok(get(server, "/openapi.json"))
    paths = inference_paths(document)
    # Each with and without its version, but for the second version of iris.
    assert len(paths) > 2 * 35
    for path in paths:
        example = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
        answer = request(server, "POST", path, json.dumps(example).encode())
        assert answer.status == 200, f"{path}: {example}: {answer.body!r}"


def test_both_addresses_of_the_description_give_the_same(server):
    assert get(server, "/openapi.json").body == get(server, "/v2/docs/dataplane.json").body


@pytest.mark.parametrize("model", ["linear", "odd_names", "team/a model"])
def test_a_model_has_a_description_of_its_own(server, model):
    base = f"/v2/models/{quote(model, safe='')}"
    document = ok(get(server, f"{base}/docs/dataplane.json"))
    assert inference_paths(document) == [f"{base}/infer", f"{base}/versions/1/infer"]
    document = ok(get(server, f"{base}/versions/1/docs/dataplane.json"))
    assert inference_paths(document) == [f"{base}/versions/1/infer"]


def test_pages_run_and_load_nothing_but_their_own(server):
    for path in ("/docs", "/docs/models/odd_names", "/docs/models/iris/versions/2", "/v2/models/team%2Fa%20model/docs"):
        answer = get(server, path)
        assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy
        page = answer.body.decode()
        assert len(answer.body) < 40_000 and "http://" not in page and "https://" not in page


def test_a_page_of_a_model_that_is_not_there_is_the_usual_error(server):
    fault(get(server, "/docs/models/nobody"), 404, "nobody", code="model_not_found")
    fault(get(server, "/v2/models/iris/versions/7/docs/dataplane.json"), 404, code="version_not_found")
