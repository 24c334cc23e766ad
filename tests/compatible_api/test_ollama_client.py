"""The unmodified ``ollama`` client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import ollama
import pytest
from jsonschema import Draft202012Validator

from engines.models import TokenUsage
from migrations_app.serving.load import tell_engines
from tests.compatible_api.conftest import THINKS, Caller
from tests.compatible_api.questions import PLACE, REPLY, WEATHER
from tests.redis_admin import admin_redis
from tests.worker.plans import make_host

MESSAGES: Any = [{"role": "user", "content": "How will the weather be?"}]
OPTIONS = {"num_predict": 24, "temperature": 0, "num_ctx": 4096}
COMMON: dict[str, Any] = {"model": "sam", "messages": MESSAGES, "options": OPTIONS}
LONG: dict[str, Any] = {**COMMON, "options": {**OPTIONS, "num_predict": 300}}
TOOLS: Any = [{"type": "function", "function": {"name": WEATHER, "parameters": PLACE}}]


def client_of(address: str, token: str) -> ollama.Client:
    return ollama.Client(host=address, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def client(caller: Caller) -> Iterator[ollama.Client]:
    with closing(client_of(caller.address, caller.token)) as made:
        yield made


def test_a_whole_answer_and_its_stream_say_the_same(client: ollama.Client) -> None:
    whole = client.chat(**COMMON, keep_alive="5m")
    parts = list(client.chat(**{**COMMON, "model": "sam:latest"}, stream=True))
    prompted = client.generate("sam", MESSAGES[0]["content"], options=OPTIONS)
    pieces = list(client.generate("sam", MESSAGES[0]["content"], options=OPTIONS, stream=True))
    raw = client.generate("sam", "Once", raw=True, options=OPTIONS)

    assert whole.model == "tiny-llama"
    assert (whole.done, whole.done_reason, whole.eval_count) == (True, "length", 24)
    assert "".join(part.message.content or "" for part in parts) == whole.message.content
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1].prompt_eval_count == whole.prompt_eval_count
    assert prompted.response == whole.message.content
    assert "".join(piece.response or "" for piece in pieces) == prompted.response
    assert raw.response
    assert client.chat("sam").done_reason == "load"


def test_tools_are_offered_and_results_find_their_call(client: ollama.Client) -> None:
    called: Any = {
        "role": "assistant",
        "tool_calls": [{"function": {"name": WEATHER, "arguments": {"city": "Graz", "days": 2}}}],
    }
    result = {"role": "tool", "tool_name": WEATHER, "content": REPLY}
    answer = client.chat(**{**COMMON, "messages": [*MESSAGES, called, result]}, tools=TOOLS)
    with pytest.raises(ollama.ResponseError) as lone:
        client.chat(**{**COMMON, "messages": [*MESSAGES, result]}, tools=TOOLS)

    assert answer.message.content
    assert lone.value.status_code == 400
    assert "messages[1] must be the result of a call" in lone.value.error


def test_an_answer_keeps_a_schema(client: ollama.Client) -> None:
    held = client.chat(**LONG, format=PLACE)
    free = client.chat(**COMMON, format="json")

    Draft202012Validator(PLACE).validate(json.loads(held.message.content or ""))
    assert (free.message.content or "").startswith("{")


def test_reasoning_is_told_apart(client: ollama.Client) -> None:
    answer = client.chat(**{**COMMON, "model": THINKS}, think=True)

    assert answer.message.thinking
    assert not answer.message.content


def test_texts_are_embedded_and_models_listed(client: ollama.Client) -> None:
    vectors = client.embed("sam", ["A bridge.", "A violin."])
    one = client.embeddings("sam", "A bridge.")
    tags = client.list()
    shown = client.show("sam")
    thinker = client.show(f"{THINKS}:latest")

    assert np.array(vectors.embeddings).shape == (2, len(one.embedding))
    np.testing.assert_allclose(vectors.embeddings[0], one.embedding, rtol=1e-5)
    grounded = client.show("sam+knowledge:latest")

    assert [model.model for model in tags.models] == [
        *("sam", "tiny-llama", THINKS, "sam+knowledge"),
    ]
    assert grounded.capabilities == shown.capabilities
    assert shown.capabilities == ["completion", "tools"]
    assert thinker.capabilities == ["completion", "tools", "thinking"]
    assert shown.modelinfo is not None
    assert shown.modelinfo["llama.context_length"] == 2048


def test_what_hosts_have_in_memory_is_listed(client: ollama.Client, caller: Caller) -> None:
    other = make_host("another")
    tell_engines(admin_redis(), other.name, [f"chat:{THINKS}", "embed:nobodys"])

    running = {model.model: model for model in client.ps().models}

    assert THINKS in running
    assert set(running) <= {"sam", "tiny-llama", THINKS}
    assert running[THINKS].context_length == 1024
    assert running[THINKS].expires_at is not None


def test_what_is_done_with_files_is_refused_in_words(client: ollama.Client) -> None:
    for ask in (client.pull, client.delete, client.push):
        with pytest.raises(ollama.ResponseError, match="/api/chat, generate") as refused:
            ask("sam")
        assert refused.value.status_code == 404

    assert client.embed("sam", "").embeddings == []


def test_a_client_that_leaves_in_the_middle_frees_its_engine(client: ollama.Client) -> None:
    stream: Any = client.chat(
        **{**COMMON, "options": {**OPTIONS, "num_predict": 1000}}, stream=True
    )
    next(stream)
    stream.close()

    assert client.chat(**COMMON).eval_count == 24


def test_errors_are_the_clients_own(client: ollama.Client, caller: Caller) -> None:
    refused: list[ollama.ResponseError] = []
    stranger: Any = client_of(caller.address, "wrong")
    for asked, by in (
        ({**COMMON, "model": "nothing"}, client),
        ({**COMMON, "options": {"temperature": 11}}, client),
        ({**COMMON, "options": {"mirostat": 2}}, client),
        ({**COMMON, "messages": [{**MESSAGES[0], "images": [b"png"]}]}, client),
        (COMMON, stranger),
    ):
        with pytest.raises(ollama.ResponseError) as error:
            by.chat(**asked)
        refused.append(error.value)
    stranger.close()

    assert [error.status_code for error in refused] == [404, 400, 400, 400, 401]
    assert "temperature" in refused[1].error
    assert "options.mirostat cannot be 2 here" in refused[2].error
    assert "messages[0].images cannot be read" in refused[3].error
    assert not TokenUsage.objects.exists()
