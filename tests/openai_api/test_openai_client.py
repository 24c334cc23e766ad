"""The unmodified ``openai`` client, sync and async, streaming or not."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import openai
import pytest

from engines.models import CatalogModel, Host, ModelRevision, ModelRole, TokenUsage
from engines.services.people.usage import set_quota
from tests.openai_api.conftest import Asker, Served
from tests.runtimes.rank_models import write_rank_model
from tests.tokens import token_for
from tests.worker.live.test_live import make_revision

MESSAGES: Any = [{"role": "user", "content": "Say something."}]
COMMON: dict[str, Any] = {"model": "sam", "messages": MESSAGES, "temperature": 0, "max_tokens": 24}


@pytest.fixture
def options(asker: Asker, served: Served) -> dict[str, Any]:
    """How a client is set up, as its documentation says."""
    return {"base_url": f"{served.web.address}/v1", "api_key": token_for(asker.user)}


def test_the_client_chats_streams_completes_embeds_and_lists(options: dict[str, Any]) -> None:
    with openai.OpenAI(**options) as client:
        whole = client.chat.completions.create(**COMMON)
        stream = client.chat.completions.create(
            **COMMON, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
        raw = client.completions.create(model="sam", prompt="Once", temperature=0)
        packed = client.embeddings.create(model="sam", input=["A bridge.", "A violin."])
        numbers = client.embeddings.create(
            model="sam", input=["A bridge.", "A violin."], encoding_format="float"
        )
        hinted = client.embeddings.with_raw_response.create(
            model="sam", input="A bridge.", user="u", extra_body={"truncate": "NONE"}
        )
        models = [model.id for model in client.models.list()]

    assert hinted.headers["x-sam-ignored"] == "user, truncate"
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert whole.model == chunks[0].model == raw.model == "tiny-llama"
    assert whole.choices[0].message.content == said
    assert chunks[-1].usage == whole.usage
    assert raw.choices[0].finish_reason == "length"
    np.testing.assert_allclose(packed.data[1].embedding, numbers.data[1].embedding)
    assert models == ["sam", "tiny-llama", "sam+knowledge"]


@pytest.mark.parametrize("base", ["azure_endpoint", "base_url"])
def test_azures_client_names_the_engine_in_the_address(
    asker: Asker, served: Served, base: str
) -> None:
    end = "/v1" if base == "base_url" else ""
    set_up: dict[str, Any] = {base: f"{served.web.address}{end}", "api_version": "2024-10-21"}
    with openai.AzureOpenAI(**set_up, api_key=token_for(asker.user), max_retries=0) as client:
        chunks = list(client.chat.completions.create(**COMMON, stream=True))
        vectors = client.embeddings.create(model="sam", input=["A bridge."])
        raw = client.completions.create(model="sam", prompt="Once", max_tokens=2)
        models = [model.id for model in client.models.list()]
        url = f"{served.web.address}/openai/deployments/tiny-llama/chat/completions"
        other = client.post(url, body={**COMMON, "model": "gpt-4o"}, cast_to=dict[str, Any])
        with pytest.raises(openai.NotFoundError, match="No engine 'gpt-4o'"):
            client.embeddings.create(model="gpt-4o", input=["A bridge."])
    with (
        openai.AzureOpenAI(**set_up, api_key="wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.chat.completions.create(**COMMON)

    assert chunks[0].model == raw.model == other["model"] == "tiny-llama"
    assert len(vectors.data) == 1
    assert models[0] == "sam"


def ask_wrongly(asker: Asker, asked: dict[str, Any]) -> dict[str, tuple[int, str | None]]:
    """Return by what is wrong: the status, and the field that the error names."""
    wrong: dict[str, dict[str, Any]] = {
        "chats": {"model": "tiny-llama"},
        "unknown": {"model": "nobody"},
        "long": {"query": "the roof " * 500},
        "empty": {"documents": ["a", ""]},
        "field": {"texts": []},
    }
    answers = {
        name: asker.client.post("rerank", json={**asked, **more}) for name, more in wrong.items()
    }
    return {
        name: (answer.status_code, answer.json()["error"]["param"])
        for name, answer in answers.items()
    }


def test_texts_are_ranked_counted_and_refused(
    asker: Asker, served: Served, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path, _ = write_rank_model(tmp_path_factory.mktemp("rank") / "tiny-rank.gguf")
    revision = make_revision(path, Host.objects.get(), "tiny-rank")
    CatalogModel.objects.filter(pk=revision.model_id).update(role=ModelRole.RANK)
    ModelRevision.objects.filter(pk=revision.pk).update(
        facts={"pooling": "rank", "context_length": 128}
    )
    texts = ["the roof was covered with slate", "a boat", "the key of the library " * 50]
    asked: dict[str, Any] = {"query": "what was the roof covered with", "documents": texts}

    whole = asker.client.post("rerank", json={**asked, "model": "tiny-rank"}).json()
    cohere = asker.client.post(
        f"{served.web.address}/v2/rerank",
        json={"model": "tiny-rank", **asked, "max_tokens_per_doc": 4096},
    )
    one = {"top_n": 1, "return_documents": True, "documents": [{"text": text} for text in texts]}
    best = asker.client.post("rerank", json={**asked, **one}).json()
    refused = ask_wrongly(asker, asked)
    entries = asker.client.get("models").json()["data"]
    vectors = asker.client.post("embeddings", json={"model": "tiny-rank", "input": "a boat"})

    scores = [result["relevance_score"] for result in whole["results"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score < 1 for score in scores)
    assert sorted(result["index"] for result in whole["results"]) == [0, 1, 2]
    assert [result["index"] for result in whole["results"] if result.get("truncated")] == [2]
    assert [whole["object"], whole["model"], cohere.json(), cohere.headers["x-sam-ignored"]] == [
        *("list", "tiny-rank", whole, "max_tokens_per_doc"),
    ]
    first = whole["results"][0]
    assert best["results"] == [{**first, "document": {"text": texts[first["index"]]}}]
    used = whole["usage"]["prompt_tokens"]
    assert TokenUsage.objects.get().tokens_in == 3 * used > 0
    assert refused == {
        "chats": (400, "model"),
        "unknown": (404, "model"),
        "long": (400, None),
        "empty": (400, "documents[1]"),
        "field": (400, "texts"),
    }
    assert {one["id"]: one["capabilities"] for one in entries}["tiny-rank"] == ["rerank"]
    assert (vectors.status_code, vectors.json()["error"]["param"]) == (400, "model")
    set_quota(asker.user, 3 * used + 1)
    spent = asker.client.post("rerank", json=asked)
    assert spent.status_code == 429, spent.text
    assert TokenUsage.objects.get().tokens_in == 3 * used


def test_the_async_client_does_the_same(options: dict[str, Any]) -> None:
    async def talk() -> tuple[Any, str]:
        async with openai.AsyncOpenAI(**options) as client:
            whole = await client.chat.completions.create(**COMMON)
            stream = await client.chat.completions.create(**COMMON, stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
            return whole, "".join(pieces)

    whole, said = asyncio.run(talk())

    assert whole.choices[0].message.content == said


def test_the_helper_that_gathers_a_stream_works(options: dict[str, Any]) -> None:
    # The helper takes an answer cut at the limit for an error; a stop word ends it as the model would.
    with (
        openai.OpenAI(**options) as client,
        client.chat.completions.stream(**COMMON, stop=["e"]) as stream,
    ):
        final = stream.get_final_completion()

    assert final.choices[0].finish_reason == "stop"
    assert final.choices[0].message.content


def test_the_client_raises_its_own_errors(options: dict[str, Any]) -> None:
    with openai.OpenAI(**options, max_retries=0) as client:
        with pytest.raises(openai.NotFoundError) as unknown:
            client.chat.completions.create(**{**COMMON, "model": "nothing"})
        with pytest.raises(openai.BadRequestError) as wrong:
            client.chat.completions.create(**{**COMMON, "temperature": 11})
    with (
        openai.OpenAI(**{**options, "api_key": "wrong"}) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.models.list()

    assert (unknown.value.code, wrong.value.param) == ("model_not_found", "temperature")
