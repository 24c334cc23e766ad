"""``/v1`` over real HTTP, with a real worker and a real engine behind it."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from django.contrib.auth.models import Group, User

from engines.models import CatalogModel, Host, TokenQuota, TokenUsage
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.runtimes.text.generation import Generation
from engines.services.catalog.copies import engine_spec
from tests.openai_api.conftest import Asker, Served
from tests.openai_api.sse import chunks_of, chunks_of_async, text_of
from tests.tokens import token_for
from tests.worker.processes import wait_until

MESSAGES = [{"role": "user", "content": "Say something."}]
CHAT: dict[str, Any] = {
    "model": "sam",
    "messages": MESSAGES,
    "temperature": 0,
    "max_tokens": 24,
}


def spoken(asker: Asker, path: Path, prompt: str = "", **options: Any) -> Generation:
    """What the engine says to a prompt, by itself."""
    with LlamaCppEngine.from_spec(engine_spec(asker.revision, str(path))) as engine:
        engine.load_model()
        asked = prompt or engine.format_prompt([{"role": "user", "content": "Say something."}])
        return engine.complete(asked, **{"temperature": 0.0, "max_tokens": 24, **options})


def error_of(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert set(response.json()) == {"error"}
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def test_a_chat_is_answered_with_what_the_engine_says(asker: Asker, tiny_llama: Path) -> None:
    said = spoken(asker, tiny_llama)

    body = asker.client.post("chat/completions", json=CHAT).json()

    assert body.pop("id").startswith("chatcmpl-")
    assert body.pop("created") > 1_700_000_000
    assert body == {
        "object": "chat.completion",
        "model": "tiny-llama",
        "system_fingerprint": f"revision-{asker.revision.pk}",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": said.text, "refusal": None},
                "logprobs": None,
                "finish_reason": "length",
            }
        ],
        "usage": {
            "prompt_tokens": said.prompt_tokens,
            "completion_tokens": 24,
            "total_tokens": said.prompt_tokens + 24,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
    }


def test_a_streamed_chat_is_the_same_in_pieces(asker: Asker) -> None:
    whole = asker.client.post("chat/completions", json=CHAT).json()

    asked = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
    with asker.client.stream("POST", "chat/completions", json=asked) as response:
        chunks = list(chunks_of(response.iter_lines()))

    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert text_of(chunks) == whole["choices"][0]["message"]["content"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "length"
    assert (chunks[-1]["choices"], chunks[-1]["usage"]) == ([], whole["usage"])
    assert {chunk["usage"] is None for chunk in chunks[:-1]} == {True}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {(chunk["object"], chunk["model"]) for chunk in chunks} == {
        ("chat.completion.chunk", "tiny-llama")
    }


def test_options_reach_the_engine(asker: Asker, tiny_llama: Path) -> None:
    def said(**more: Any) -> tuple[str, str]:
        choice = asker.client.post("chat/completions", json={**CHAT, **more}).json()["choices"][0]
        return choice["message"]["content"], choice["finish_reason"]

    whole, _ = said()
    word = whole[6:9]

    assert said(stop=word) == (whole[: whole.index(word)], "stop")
    assert said(max_completion_tokens=3)[0] == spoken(asker, tiny_llama, max_tokens=3).text
    first, again, other = (said(temperature=2.0, seed=seed)[0] for seed in (7, 7, 8))
    assert first == again != other


def test_a_raw_prompt_is_continued(asker: Asker, tiny_llama: Path) -> None:
    asked = {"model": "tiny-llama", "prompt": "Once upon", "temperature": 0}
    said = spoken(asker, tiny_llama, "Once upon", max_tokens=16)

    whole = asker.client.post("completions", json=asked).json()
    with asker.client.stream("POST", "completions", json={**asked, "stream": True}) as response:
        chunks = list(chunks_of(response.iter_lines()))

    assert whole["object"] == "text_completion"
    assert whole["choices"][0]["text"] == said.text == text_of(chunks)
    assert whole["usage"]["completion_tokens"] == 16
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


def test_texts_are_embedded_as_numbers_and_packed(asker: Asker, tiny_llama: Path) -> None:
    texts = ["A bridge.", "A violin.", "A bridge."]
    with LlamaCppEngine.from_spec(engine_spec(asker.revision, str(tiny_llama))) as engine:
        engine.load_model()
        tokens = sum(map(engine.count_tokens, texts))
        own = np.array(engine.embed("A bridge."), np.float32)

    numbers = asker.client.post("embeddings", json={"model": "sam", "input": texts}).json()
    asked = {"model": "tiny-llama", "input": texts, "encoding_format": "base64"}
    packed = asker.client.post("embeddings", json=asked).json()

    rows = [np.array(row["embedding"], np.float32) for row in numbers["data"]]
    again = [np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in packed["data"]]
    np.testing.assert_array_equal(rows, again)
    assert float(rows[0] @ own / np.linalg.norm(own) / np.linalg.norm(rows[0])) > 0.9999
    np.testing.assert_allclose(rows[0], rows[2], atol=1e-6)
    assert [row["index"] for row in packed["data"]] == [0, 1, 2]
    assert numbers["model"] == "tiny-llama"
    assert numbers["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    assert TokenUsage.objects.get().tokens_in == 2 * tokens


def test_vectors_are_cut_to_fewer_dimensions_and_not_to_more(asker: Asker) -> None:
    def embedded(**more: Any) -> Any:
        return asker.client.post("embeddings", json={"model": "sam", "input": "Hm.", **more})

    (whole,) = embedded().json()["data"]
    (short,) = embedded(dimensions=7).json()["data"]
    error = error_of(embedded(dimensions=129), 400)

    beginning = np.array(whole["embedding"][:7])
    np.testing.assert_allclose(short["embedding"], beginning / np.linalg.norm(beginning), atol=1e-6)
    assert error["param"] == "dimensions"
    assert error["message"] == "tiny-llama has 128 dimensions; ask for no more of them."


def test_a_person_sees_and_uses_only_what_is_offered(asker: Asker) -> None:
    hidden = CatalogModel.objects.create(model_id="hidden", published=False)
    reserved = CatalogModel.objects.create(model_id="reserved")
    reserved.allowed_groups.add(Group.objects.create(name="research"))

    listed = asker.client.get("models").json()

    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["sam", "tiny-llama", "sam+knowledge"]
    assert [model["context_length"] for model in listed["data"]] == [512, 512, 512]
    assert {"chat", "tools", "json_schema"} < set(listed["data"][1]["capabilities"])
    assert listed["data"][2]["capabilities"][-1] == "knowledge"
    assert asker.client.get("models/tiny-llama").json() == listed["data"][1]
    for name in (hidden.model_id, reserved.model_id, "nothing", "a\x00b"):
        refused = asker.client.post("chat/completions", json={**CHAT, "model": name})
        error = error_of(refused, 404)
        assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert error_of(asker.client.get("models/hidden"), 404)["code"] == "model_not_found"


def test_an_embedder_does_not_chat(asker: Asker) -> None:
    CatalogModel.objects.create(model_id="minilm", role="embedding")

    error = error_of(asker.client.post("chat/completions", json={**CHAT, "model": "minilm"}), 400)

    assert error["message"] == "minilm only embeds; choose an engine that chats."


@pytest.mark.parametrize(
    ("token", "told"),
    [("", "Send a SAM token"), ("0123456789", "is not known"), ("ü" * 40, "is not known")],
)
def test_without_a_token_nobody_is_answered(
    asker: Asker, served: Served, token: str, told: str
) -> None:
    with served.web.client("") as stranger:
        headers = {b"Authorization": f"Bearer {token}".encode()} if token else {}
        response = stranger.post("chat/completions", json=CHAT, headers=headers)

    error = error_of(response, 401)
    assert (error["code"], told in error["message"]) == ("invalid_api_key", True)
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["x-api-key", "api-key"])
def test_an_empty_bearer_hides_no_key_of_another_header(
    asker: Asker, served: Served, header: str
) -> None:
    headers = {"Authorization": "Bearer", header: token_for(asker.user)}
    with served.web.client("") as client:
        response = client.get("models", headers=headers)

    assert response.status_code == 200


def test_a_person_who_left_is_not_answered(asker: Asker) -> None:
    User.objects.update(is_active=False)

    assert error_of(asker.client.get("models"), 401)["type"] == "authentication_error"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "chat/completions", 405),
        ("POST", "models", 405),
        ("GET", "files", 404),
        ("GET", "models/a/b", 404),
    ],
)
def test_what_is_not_served_is_said_in_the_same_shape(
    asker: Asker, method: str, path: str, status: int
) -> None:
    assert error_of(asker.client.request(method, path), status)["type"] == "invalid_request_error"


def test_a_body_that_is_too_large_is_refused(asker: Asker) -> None:
    response = asker.client.post("chat/completions", content=b'"' + b"x" * 3_000_000 + b'"')

    assert error_of(response, 413)["code"] == "too_large"


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_does_not_fit_is_an_error_of_the_request(asker: Asker, stream: bool) -> None:
    messages = [{"role": "user", "content": "word " * 600}]
    asked = {**CHAT, "messages": messages, "stream": stream}

    response = asker.client.post("chat/completions", json=asked)

    if stream and response.status_code == httpx2.codes.OK:
        # Found out after the headers had to be sent.
        *_, told = filter(None, response.text.splitlines())
        error = json.loads(told.removeprefix("data: "))["error"]
    else:
        error = error_of(response, 400)
    assert "shorten the prompt" in error["message"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "context_length_exceeded")


@pytest.mark.parametrize("path", ["chat/completions", "responses", "messages"])
def test_a_streams_headers_come_before_any_host_answers(
    asker: Asker, served: Served, path: str
) -> None:
    asked = {"model": "sam", "messages": MESSAGES, "stream": True, "max_tokens": 9}
    if path == "responses":
        asked = {"model": "sam", "input": "Say something.", "stream": True}

    served.worker.signal(signal.SIGSTOP)
    try:
        with asker.client.stream("POST", path, json=asked) as response:
            first = next(response.iter_lines())
    finally:
        served.worker.signal(signal.SIGCONT)

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert first == ("event: ping" if path == "messages" else ": beat")


def test_what_changes_nothing_is_named_in_a_header(asker: Asker) -> None:
    more = {"cache_prompt": True, "user": "x", "max_tokens": 1}

    whole = asker.client.post("chat/completions", json={**CHAT, **more})
    streamed = asker.client.post("chat/completions", json={**CHAT, **more, "stream": True})
    plain = asker.client.post("chat/completions", json={**CHAT, "max_tokens": 1})

    assert whole.headers["x-sam-ignored"] == streamed.headers["x-sam-ignored"]
    assert set(whole.headers["x-sam-ignored"].split(", ")) == {"cache_prompt", "user"}
    assert "x-sam-ignored" not in plain.headers


def test_a_wrong_field_is_named(asker: Asker) -> None:
    error = error_of(asker.client.post("chat/completions", json={**CHAT, "temperature": 11}), 400)

    assert error == {
        "message": "temperature must be a number from 0.0 to 10.0, not 11.",
        "type": "invalid_request_error",
        "param": "temperature",
        "code": "invalid_request",
    }


def test_without_a_host_the_client_is_told_when_to_come_again(asker: Asker) -> None:
    Host.objects.update(announces=[])

    response = asker.client.post("embeddings", json={"model": "sam", "input": "A bridge."})

    assert error_of(response, 503)["type"] == "server_error"
    assert response.headers["retry-after"] == "5"


def test_used_up_tokens_are_refused_until_tomorrow(asker: Asker) -> None:
    TokenQuota.objects.create(tokens_per_day=30)

    first = asker.client.post("chat/completions", json=CHAT)
    second = asker.client.post("chat/completions", json=CHAT)

    used = first.json()["usage"]["total_tokens"]
    error = error_of(second, 429)
    assert error["message"].startswith(f"You used {used} of the 30 tokens allowed a day;")
    assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
    assert second.headers["x-should-retry"] == "false"
    assert 0 < int(second.headers["retry-after"]) <= 86_400
    assert TokenUsage.objects.get().requests == 1


def test_a_quota_of_ones_own_comes_before_everybodys(asker: Asker) -> None:
    TokenQuota.objects.create(tokens_per_day=0)
    TokenQuota.objects.create(user=asker.user, tokens_per_day=1000)

    assert asker.client.post("chat/completions", json=CHAT).status_code == 200


@pytest.mark.slow
def test_sixteen_streams_at_once_each_say_what_one_says_alone(asker: Asker, served: Served) -> None:
    token = token_for(asker.user)
    alone = asker.client.post("chat/completions", json=CHAT).json()["choices"][0]["message"]

    async def stream(client: Any) -> str:
        asked = {**CHAT, "stream": True}
        async with client.stream("POST", "chat/completions", json=asked) as response:
            return text_of([chunk async for chunk in chunks_of_async(response.aiter_lines())])

    async def together() -> list[str]:
        async with served.web.async_client(token) as client:
            return await asyncio.gather(*(stream(client) for _ in range(16)))

    assert Counter(asyncio.run(together())) == {alone["content"]: 16}


@pytest.mark.slow
@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_stops_the_engine(asker: Asker, served: Served, stream: bool) -> None:
    left = "The reader left."
    before = served.worker.log.read_text().count(left)
    asked = {**CHAT, "stream": stream, "temperature": 1, "max_tokens": None}

    def leave() -> bool:
        """The tiny engine may be done before it hears of it; another time it is not."""
        with (
            suppress(httpx2.TimeoutException),
            asker.client.stream("POST", "chat/completions", json=asked, timeout=0.15) as answer,
        ):
            # Of a stream the first piece, of a whole answer all there is.
            next(answer.iter_bytes(), None)
        return served.worker.log.read_text().count(left) > before

    wait_until(leave, "the engine to be stopped")
