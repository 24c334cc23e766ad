"""``langchain-openai`` and ``litellm``: clients that others build on, with fields of their own."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from importlib.metadata import distribution
from types import ModuleType
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from engines.models import TokenUsage
from tests.compatible_api.conftest import THINKS, Caller
from tests.compatible_api.questions import PLACE, REPLY, WEATHER

MESSAGES: Any = [{"role": "user", "content": "How will the weather be?"}]
TOOLS: Any = [{"type": "function", "function": {"name": WEATHER, "parameters": PLACE}}]
LONG: Any = [{"role": "user", "content": "word " * 2100}]
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": PLACE}}

THEIR_WARNINGS = pytest.mark.filterwarnings("ignore:::pydantic.*", "ignore:::litellm.*")
"""It imports most of itself at its first use, and its own models warn of themselves then."""


@pytest.fixture(scope="module")
def litellm() -> Iterator[ModuleType]:
    """Without its look at the internet for a list of prices, and on an event loop that is closed."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    loop = asyncio.new_event_loop()
    # It asks for the thread's loop, and would leave the one that is made for it to the garbage collector.
    asyncio.set_event_loop(loop)
    yield pytest.importorskip("litellm")
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture(scope="module")
def langchain() -> ModuleType:
    found: ModuleType = pytest.importorskip("langchain_openai")
    return found


def test_langchain(caller: Caller, langchain: ModuleType) -> None:
    set_up = {"base_url": f"{caller.address}/v1", "api_key": caller.token, "max_retries": 0}
    chat = langchain.ChatOpenAI(model="sam", temperature=0, max_tokens=24, **set_up)
    long = langchain.ChatOpenAI(model="sam", temperature=0, max_tokens=300, **set_up)
    whole = chat.invoke(MESSAGES)
    streamed = "".join(part.content for part in chat.stream(MESSAGES))
    called = long.bind_tools(TOOLS, tool_choice=WEATHER, parallel_tool_calls=False).invoke(MESSAGES)
    (call,) = called.tool_calls
    result = {"role": "tool", "tool_call_id": call["id"], "content": REPLY}
    answered = chat.invoke([*MESSAGES, called, result])
    held = long.bind(response_format=FORMAT).invoke(MESSAGES)
    left = long.bind(max_tokens=1000).stream(MESSAGES)
    next(left)
    left.close()
    newer = langchain.ChatOpenAI(
        model="sam", temperature=0, max_tokens=24, use_responses_api=True, **set_up
    ).invoke(MESSAGES)

    assert whole.content == streamed
    assert whole.usage_metadata["output_tokens"] == 24
    Draft202012Validator(PLACE).validate(call["args"])
    assert answered.content
    Draft202012Validator(PLACE).validate(json.loads(held.content))
    assert newer.text == whole.content


def test_langchain_embeds_and_raises(
    caller: Caller, langchain: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts, and as it does by itself numbers of tokens."""
    address = f"{caller.address}/v1"
    # Where litellm keeps what tiktoken would fetch from the internet.
    vocabularies = distribution("litellm").locate_file("litellm/litellm_core_utils/tokenizers")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(vocabularies))
    engine = {"model": "sam", "base_url": address, "api_key": caller.token}
    embedder = langchain.OpenAIEmbeddings(**engine, check_embedding_ctx_length=False)
    counting = langchain.OpenAIEmbeddings(**engine)
    set_up = {"base_url": address, "max_retries": 0}
    stranger = langchain.ChatOpenAI(model="sam", api_key="wrong", **set_up)
    unknown = langchain.ChatOpenAI(model="nothing", api_key=caller.token, **set_up)

    first, second = embedder.embed_documents(["A bridge.", "A violin."])
    with pytest.raises(Exception, match="This token is not known"):
        stranger.invoke(MESSAGES)
    with pytest.raises(Exception, match="is offered to you"):
        unknown.invoke(MESSAGES)

    assert len(first) == len(second)
    assert counting.embed_query("A bridge.") == pytest.approx(first, abs=1e-4)


@THEIR_WARNINGS
def test_litellm(caller: Caller, litellm: ModuleType) -> None:
    set_up = {"api_base": f"{caller.address}/v1", "api_key": caller.token, "num_retries": 0}
    common = {"model": "openai/sam", "messages": MESSAGES, "temperature": 0, **set_up}
    whole = litellm.completion(**common, max_tokens=24)
    parts = list(litellm.completion(**common, max_tokens=24, stream=True))
    must = {"type": "function", "function": {"name": WEATHER}}
    called = litellm.completion(
        **common, max_tokens=300, tools=TOOLS, tool_choice=must, parallel_tool_calls=False
    )
    held = litellm.completion(**common, max_tokens=300, response_format=FORMAT)
    thought = litellm.completion(**{**common, "model": f"openai/{THINKS}"}, max_tokens=24)
    left = litellm.completion(**common, max_tokens=1000, stream=True)
    next(left)
    left.completion_stream.close()
    vectors = litellm.embedding(model="openai/sam", input=["A bridge."], **set_up)
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(**{**common, "model": "openai/nothing"})
    with pytest.raises(litellm.AuthenticationError):
        litellm.completion(**{**common, "api_key": "wrong"})
    with pytest.raises(litellm.ContextWindowExceededError, match=r"too long: \d+ tokens > 2048"):
        litellm.completion(**{**common, "messages": LONG})

    said = [part.choices[0].delta.content or "" for part in parts]
    assert "".join(said) == whole.choices[0].message.content
    (call,) = called.choices[0].message.tool_calls
    Draft202012Validator(PLACE).validate(json.loads(call.function.arguments))
    Draft202012Validator(PLACE).validate(json.loads(held.choices[0].message.content))
    assert thought.choices[0].message.reasoning_content
    assert vectors.data[0]["embedding"]
    assert TokenUsage.objects.get().tokens_out > 0


@THEIR_WARNINGS
def test_litellm_speaks_the_other_protocols(caller: Caller, litellm: ModuleType) -> None:
    asked = {"messages": MESSAGES, "max_tokens": 24, "temperature": 0, "api_key": caller.token}
    anthropic = litellm.completion(
        model="anthropic/sam", api_base=f"{caller.address}/v1/messages", **asked
    )
    ollama = litellm.completion(model="ollama_chat/sam", api_base=caller.address, **asked)

    assert anthropic.choices[0].message.content == ollama.choices[0].message.content
