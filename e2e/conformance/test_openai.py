"""OpenAI's Python client: models, embeddings, its errors and its retries."""

import asyncio

import numpy as np
import openai
import pytest

TEXTS = ["I want my money back.", "Please send me a refund.", "Will it rain tomorrow?"]
WIDTH = 16


class Counted:
    """OpenAI's client, and the paths that it asked for."""

    def __init__(self, server, prefix: str = "/v1", **options):
        self.asked = []
        http = openai.DefaultHttpxClient(event_hooks={"request": [lambda request: self.asked.append(request.url.path)]})
        self.inner = openai.OpenAI(base_url=f"http://{server.http}{prefix}", api_key="none", http_client=http, timeout=30, **options)


@pytest.fixture(scope="module", params=["/v1", "/openai/v1"])
def client(request, server):
    made = Counted(server, request.param, max_retries=0).inner
    yield made
    made.close()


def vectors(answer) -> np.ndarray:
    assert [piece.index for piece in answer.data] == list(range(len(answer.data)))
    return np.array([piece.embedding for piece in answer.data], np.float32)


def test_every_model_is_listed_once(client):
    models = list(client.models.list())
    names = [model.id for model in models]
    assert len(names) == len(set(names)) and {"iris", "embedder", "team/a model"} <= set(names)
    assert all(model.object == "model" and model.owned_by == "serin" and model.created > 1_700_000_000 for model in models)


@pytest.mark.parametrize("name", ["iris", "team/a model"])
def test_a_model_is_found_by_its_id_with_slashes_and_all(client, name):
    model = client.models.retrieve(name)
    assert model.id == name and model.model_extra["ready"] is True


def test_an_embedder_says_how_many_tokens_it_takes(client):
    assert client.models.retrieve("embedder").model_extra["max_model_len"] == 64


def test_an_unknown_model_is_not_found(client):
    for ask in (lambda: client.models.retrieve("nobody"), lambda: client.embeddings.create(model="nobody", input="a")):
        with pytest.raises(openai.NotFoundError) as failure:
            ask()
        error = failure.value
        assert (error.code, error.type, error.param) == ("model_not_found", "invalid_request_error", "model")
        assert "nobody" in error.message and error.request_id


def test_texts_alike_have_vectors_alike(client):
    answer = client.embeddings.create(model="embedder", input=TEXTS)
    money, refund, rain = made = vectors(answer)
    assert made.shape == (3, WIDTH) and np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-6)
    assert money @ refund > 0.5 > money @ rain
    assert answer.model == "embedder" and answer.usage.prompt_tokens == answer.usage.total_tokens == 17


def test_a_text_has_one_vector_whatever_it_is_sent_with(client):
    alone = [vectors(client.embeddings.create(model="embedder", input=text))[0] for text in TEXTS]
    together = vectors(client.embeddings.create(model="embedder", input=[*TEXTS, "A much longer text is in the same request. " * 5]))
    assert np.allclose(together[:3], alone, atol=1e-6)


def test_two_thousand_texts_come_back_in_their_order(client):
    texts = [TEXTS[at % 3] * (1 + at % 7) for at in range(2048)]
    made = vectors(client.embeddings.create(model="embedder", input=texts))
    assert made.shape == (2048, WIDTH)
    # Repeating a text changes nothing of a mean.
    assert np.allclose(made, made[[at % 3 for at in range(2048)]], atol=1e-5)


def test_token_ids_do_for_texts(client):
    words = client.embeddings.create(model="embedder", input=[[40, 41, 42], [43]])
    assert vectors(words).shape == (2, WIDTH) and words.usage.prompt_tokens == 4
    one = client.embeddings.create(model="embedder", input=[40, 41, 42])
    assert np.array_equal(vectors(one)[0], vectors(words)[0])


def test_fewer_dimensions_are_the_first_at_length_one(client):
    whole = vectors(client.embeddings.create(model="embedder", input=TEXTS))
    short = vectors(client.embeddings.create(model="embedder", input=TEXTS, dimensions=4))
    expected = whole[:, :4] / np.linalg.norm(whole[:, :4], axis=1, keepdims=True)
    assert np.allclose(short, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"input": ""}, "unsupported_value", "input"),
        ({"input": []}, "unsupported_value", "input"),
        ({"input": ["a"] * 2049}, "unsupported_value", "input"),
        ({"input": ["a", "word " * 65]}, "context_length_exceeded", "input[1]"),
        ({"input": "x" * 100_000}, "context_length_exceeded", "input"),
        ({"input": [1] * 65}, "context_length_exceeded", "input"),
        ({"input": [10_000_000]}, "unsupported_value", "input"),
        ({"dimensions": WIDTH + 1}, "unsupported_value", "dimensions"),
        ({"dimensions": 0}, "unsupported_value", "dimensions"),
        ({"encoding_format": "int8"}, "unsupported_value", "encoding_format"),
        ({"model": "iris"}, "not_an_embedder", "model"),
        ({"input": {"text": "a"}}, None, "input"),
    ],
)
def test_a_mistake_is_a_bad_request_that_names_it(client, change, code, param):
    with pytest.raises(openai.BadRequestError) as failure:
        client.embeddings.create(**{"model": "embedder", "input": "a"} | change)
    error = failure.value
    assert (error.code, error.param, error.type) == (code, param, "invalid_request_error")
    assert error.message


def test_what_is_not_offered_is_not_found_in_openais_form(client):
    with pytest.raises(openai.NotFoundError) as failure:
        client.chat.completions.create(model="iris", messages=[{"role": "user", "content": "hello"}])
    assert failure.value.code == "not_found"


def test_a_model_that_is_not_ready_is_listed_so_and_asked_again(broken_server):
    asking = Counted(broken_server, max_retries=1)
    with asking.inner as client:
        assert client.models.retrieve("truncated").model_extra["ready"] is False
        asking.asked.clear()
        with pytest.raises(openai.InternalServerError) as failure:
            client.embeddings.create(model="truncated", input="a")
    error = failure.value
    assert (error.status_code, error.code, error.type) == (503, "model_not_ready", "server_error")
    assert error.response.headers["retry-after"] == "1" and error.response.headers["retry-after-ms"] == "1000"
    assert asking.asked == ["/v1/embeddings"] * 2


def test_a_mistake_is_not_asked_again(server):
    asking = Counted(server, max_retries=3)
    with asking.inner as client, pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="iris", input="a")
    assert len(asking.asked) == 1


def test_the_asyncio_client_embeds(server):
    async def run():
        async with openai.AsyncOpenAI(base_url=f"http://{server.http}/v1", api_key="none") as client:
            return await asyncio.gather(*(client.embeddings.create(model="embedder", input=text) for text in TEXTS))

    made = [vectors(answer)[0] for answer in asyncio.run(run())]
    assert made[0] @ made[1] > 0.5


def test_tokens_and_requests_are_counted(server, client):
    labels = {"model": "embedder", "protocol": "openai", "operation": "embedding", "outcome": "ok"}
    requests = server.metric("serin_requests_total", **labels)
    tokens = server.metric("serin_tokens_total", model="embedder", type="input")
    answer = client.embeddings.create(model="embedder", input="The cat sleeps.")
    assert server.metric("serin_requests_total", **labels) == requests + 1
    assert server.metric("serin_tokens_total", model="embedder", type="input") == tokens + answer.usage.prompt_tokens
