"""Servers that speak OpenAI's API each in its own way, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from engines.exceptions import ContextLengthError, EngineError, HostUnavailableError
from engines.exceptions import InvalidRequestError as Refused
from engines.runtimes.base import ChatMessage
from engines.runtimes.servers.learned import ServerLimits
from engines.runtimes.servers.openai import OpenAICompatibleEngine
from tests.runtimes.servers.picky_server import Json, PickyServer, picky_server
from tests.runtimes.servers.test_openai_compatible import _engine
from tests.runtimes.servers.test_streamed_calls import TIME, piece
from tests.runtimes.servers.test_tool_formats import TOOL, part, said

CHAT: list[ChatMessage] = [{"role": "user", "content": "What time is it?"}]
DONE = "data: [DONE]\n\n"
STOP = part("stop")


@pytest.fixture(scope="module")
def server() -> Iterator[PickyServer]:
    with picky_server() as running:
        yield running


@pytest.fixture
def engine(server: PickyServer) -> Iterator[OpenAICompatibleEngine]:
    server.__init__(endpoint=server.endpoint)  # type: ignore[misc]
    with _engine(server.endpoint, "m", family="qwen") as loaded:
        loaded.load_model()
        yield loaded


WORD = part(content="Noon.")
USAGE = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}
ENDS: dict[str, tuple[list[Json | str], str]] = {
    "a reason and no [DONE]": ([WORD, STOP], "stop"),
    "[DONE] and no reason": ([WORD, DONE], "stop"),
    "the count of tokens and neither": ([WORD, USAGE], "stop"),
    "[DONE] at the limit": ([WORD, WORD, DONE], "length"),
    "a reason that is null, then empty": ([WORD, part(None), part(""), DONE], "stop"),
    "nothing after the last line": ([WORD, f"data: {json.dumps(STOP)}"], "stop"),
}


@pytest.mark.parametrize(("chunks", "reason"), ENDS.values(), ids=ENDS)
def test_a_stream_may_end_in_several_ways(
    server: PickyServer, engine: OpenAICompatibleEngine, chunks: list[Json | str], reason: str
) -> None:
    server.chunks = chunks

    answer = engine.complete(CHAT, max_tokens=2 if reason == "length" else None)

    assert (answer.text, answer.finish_reason) == ("Noon." * chunks.count(WORD), reason)


@pytest.mark.parametrize("chunks", [[WORD], [DONE], [part("")], []])
def test_a_stream_without_any_end_was_cut(
    server: PickyServer, engine: OpenAICompatibleEngine, chunks: list[Json | str]
) -> None:
    server.chunks = chunks

    with pytest.raises(EngineError, match="in the middle of the answer"):
        engine.complete(CHAT)


def test_an_answer_that_comes_whole_is_read(
    server: PickyServer, engine: OpenAICompatibleEngine
) -> None:
    message = {"role": "assistant", "content": "Noon.", "reasoning_content": "A clock.",
               "tool_calls": [piece("get_time", TIME[1], id="a")]}  # fmt: skip
    server.whole = {"choices": [{"message": message, "finish_reason": "stop"}]}

    pieces = said(engine, CHAT, tools=[{"type": "function", "function": {"name": "get_time"}}])

    assert [piece.text for piece in pieces] == ["A clock.", "Noon.", ""]
    assert [piece.is_reasoning for piece in pieces] == [True, False, False]
    assert pieces[-1].tool_call is not None


def test_content_in_parts_is_read(server: PickyServer, engine: OpenAICompatibleEngine) -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "A clock."}]}
    server.chunks = [
        part(content=[thought]),
        part(content=[{"type": "text", "text": "Noon."}]),
        STOP,
    ]

    answer = engine.complete(CHAT)

    assert (answer.reasoning, answer.text) == ("A clock.", "Noon.")


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        ({"message": "out of memory"}, EngineError, "out of memory"),
        ("overloaded", EngineError, "overloaded"),
        ({"message": "wait", "code": 503}, HostUnavailableError, "later"),
        ({"message": "long", "code": 400, "type": "exceed_context_size_error"}, ContextLengthError, "l"),
        ({"message": "The number of tokens to keep is greater than the context length"}, ContextLengthError, "too long"),
    ],
)  # fmt: skip
def test_an_error_in_a_stream_is_a_sentence(
    server: PickyServer,
    engine: OpenAICompatibleEngine,
    error: Any,
    kind: type[Exception],
    sentence: str,
) -> None:
    server.chunks = [WORD, {"error": error}]

    with pytest.raises(kind, match=sentence):
        engine.complete(CHAT)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("too long", "context_length_exceeded"),
        # vLLM's code is the status.
        ("This model's maximum context length is 2048 tokens. However, you requested 9000.", 400),
        (
            "You passed 2047 input tokens and requested 9 output tokens. However, the model's context length is only 2048 tokens.",
            400,
        ),
        ("The decoder prompt (length 9000) is longer than the maximum model length of 2048.", None),
        ("The input (9000 tokens) is longer than the model's context length (2048 tokens).", None),
        (
            "The number of tokens to keep from the initial prompt is greater than the context length.",
            None,
        ),
        ("the request exceeds the available context size, try increasing it", 400),
    ],
)
def test_a_prompt_that_the_server_finds_too_long_is_told_as_that(
    server: PickyServer, engine: OpenAICompatibleEngine, message: str, code: object
) -> None:
    server.refuse = lambda _body: (400, _openai(message, code=code))

    with pytest.raises(ContextLengthError, match=r"^The prompt is too long"):
        engine.complete(CHAT)
    assert len(server.asked) == 1


def test_a_server_without_a_list_of_models_is_used_as_it_is(
    server: PickyServer, engine: OpenAICompatibleEngine
) -> None:
    server.lists_models, server.chunks = False, [WORD, STOP]

    engine.check()
    engine.load_model()

    assert engine.is_available()
    assert engine.generate(CHAT) == "Noon."
    with pytest.raises(EngineError, match="type the name"):
        OpenAICompatibleEngine.list_models(server.endpoint)


def _openai(message: str, **more: Any) -> Json:
    return {"error": {"message": message, "type": "invalid_request_error", **more}}


def _forbidden(*names: str) -> Json:
    return {
        "detail": [
            {
                "type": "extra_forbidden",
                "loc": ["body", name],
                "msg": "Extra inputs are not permitted",
            }
            for name in names
        ]
    }


REFUSALS: dict[str, tuple[str, Json]] = {
    "openai, a parameter": (
        "temperature",
        _openai(
            "Unsupported parameter: 'temperature' is not supported with this model.",
            param="temperature",
            code="unsupported_parameter",
        ),
    ),
    "openai, a value": (
        "temperature",
        _openai(
            "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) "
            "value is supported.",
            param="temperature",
            code="unsupported_value",
        ),
    ),
    "openai, earlier": ("top_k", _openai("Unrecognized request argument supplied: top_k")),
    "groq": ("min_p", _openai("property 'min_p' is unsupported")),
    "google": ("seed", _openai('Invalid JSON payload received. Unknown name "seed": Cannot find field.')),
    "xai": ("presence_penalty", _openai("Argument not supported on this model: presencePenalty")),
    "a list of what is known": (
        "min_p",
        _openai("Unknown field min_p; known are model, messages, temperature, top_p and seed."),
    ),
}  # fmt: skip
OPTIONS: Json = {
    "temperature": 0.2,
    "top_p": 0.9,
    "top_k": 5,
    "min_p": 0.1,
    "seed": 3,
    "presence_penalty": 0.5,
}


@pytest.mark.parametrize(("field", "refusal"), REFUSALS.values(), ids=REFUSALS)
def test_a_field_is_learned_from_what_a_server_says(field: str, refusal: Json) -> None:
    limits = ServerLimits()

    assert limits.learn(OPTIONS, json.dumps(refusal))

    assert limits.refused == [field]
    assert limits.adapted(OPTIONS) == {name: OPTIONS[name] for name in OPTIONS if name != field}


@pytest.mark.parametrize(
    "refusal",
    [
        _openai("temperature must be at most 1", param="temperature", code="invalid_value"),
        _openai("Unsupported parameter: 'tools' is not supported.", param="tools"),
        _openai("This model does not support images."),
        {},
        "<html>",
    ],
)
def test_nothing_is_learned_from_a_wrong_value_or_of_what_matters(refusal: Any) -> None:
    limits = ServerLimits()
    sent = {**OPTIONS, "tools": [TOOL], "stop": ["x"]}

    assert not limits.learn(sent, json.dumps(refusal))

    assert limits.adapted(sent) == sent


def _strict(*known: str) -> Any:
    """Refuse all fields but those, as servers do that check bodies with pydantic."""

    def refuse(body: Json) -> tuple[int, Json] | None:
        unknown = set(body) - {"model", "messages", "prompt", "input", "stream", *known}
        return (422, _forbidden(*sorted(unknown))) if unknown else None

    return refuse


def test_what_a_server_refuses_is_left_out_from_then_on() -> None:
    with (
        picky_server(chunks=[WORD, STOP], refuse=_strict("top_p")) as server,
        _engine(server.endpoint, "m") as engine,
    ):
        engine.load_model()
        answers = [engine.generate(CHAT, **OPTIONS) for _ in range(2)]
        told = engine.get_engine_info()["fields_left_out"]
        with _engine(server.endpoint, "m") as another:
            another.load_model()
            answers.append(another.generate(CHAT, **OPTIONS))

    assert answers == ["Noon."] * 3
    first, *later = server.asked
    assert first["temperature"] == 0.2
    expected = {"model": "m", "messages": CHAT, "stream": True, "top_p": 0.9}
    assert later == [expected] * 3
    assert {"temperature", "top_k", "stream_options"} <= set(told)


def test_a_limit_goes_by_the_name_that_the_server_wants() -> None:
    def refuse(body: Json) -> tuple[int, Json] | None:
        if "max_tokens" not in body:
            return None
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead."
        )
        return 400, _openai(message, param="max_tokens", code="unsupported_parameter")

    with (
        picky_server(chunks=[WORD, STOP], refuse=refuse) as server,
        _engine(server.endpoint, "m") as engine,
    ):
        engine.load_model()
        for prompt, limit in ((CHAT, 7), (CHAT, 9), (CHAT, None), ("Once", None)):
            engine.generate(prompt, max_tokens=limit)

    limits = [
        (body.get("max_tokens", "none"), body.get("max_completion_tokens", "none"))
        for body in server.asked
    ]
    assert limits == [
        (7, "none"),
        ("none", 7),
        ("none", 9),
        ("none", "none"),
        ("none", "none"),
    ]


@pytest.mark.parametrize("takes", [True, False])
def test_an_answer_ends_at_a_stop_word_whether_or_not_the_server_takes_any(takes: bool) -> None:
    def refuse(body: Json) -> tuple[int, Json] | None:
        if takes or "stop" not in body:
            return None
        message = "Unsupported parameter: 'stop' is not supported with this model."
        return 400, _openai(message, param="stop", code="unsupported_parameter")

    thought = part(reasoning_content="Is it END already?")
    words = [part(content=text) for text in ("At noon.", " E", "N", "D and more", " of it")]
    with (
        picky_server(chunks=[thought, *words, STOP], refuse=refuse) as server,
        _engine(server.endpoint, "m") as engine,
    ):
        engine.load_model()
        answers = [engine.complete(CHAT, stop=["END", "never"]) for _ in range(2)]
        whole = engine.complete(CHAT, stop=["of it all"])

    for answer in answers:
        assert (answer.text, answer.finish_reason) == ("At noon. ", "stop")
        assert answer.reasoning == "Is it END already?"
        assert min(answer.prompt_tokens, answer.counted_tokens) > 0
    assert whole.text == "At noon. END and more of it"
    assert ["stop" in body for body in server.asked] == (
        [True] * 3 if takes else [True, *[False] * 3]
    )


def test_a_null_that_is_not_wanted_is_not_sent_again() -> None:
    def refuse(body: Json) -> tuple[int, Json] | None:
        if body.get("max_tokens", 0) is None:
            wrong = {
                "type": "int_type",
                "loc": ["body", "max_tokens"],
                "msg": "Input should be an integer",
            }
            return 422, {"detail": [wrong]}
        return None

    words = {"choices": [{"text": "Noon.", "finish_reason": "stop"}]}
    with (
        picky_server(chunks=[words], refuse=refuse) as server,
        _engine(server.endpoint, "m") as engine,
    ):
        engine.load_model()
        said = [engine.generate("Once", max_tokens=limit) for limit in (None, 5)]

    assert said == ["Noon.", "Noon."]
    assert [body.get("max_tokens", "none") for body in server.asked] == [None, "none", 5]


def test_a_refusal_that_stays_is_told_and_ends() -> None:
    with (
        picky_server(refuse=lambda _body: (400, _openai("Unsupported: temperature"))) as server,
        _engine(server.endpoint, "m") as engine,
    ):
        engine.load_model()
        with pytest.raises(Refused, match="Unsupported: temperature"):
            engine.generate(CHAT, temperature=0.5)

    assert ["temperature" in body for body in server.asked] == [True, False]


def test_vectors_come_from_a_server_that_takes_nothing_else() -> None:
    with picky_server(refuse=_strict()) as server, _engine(server.endpoint, "m") as engine:
        engine.load_model()
        vectors = [engine.embed("Bread.") for _ in range(2)]

    assert vectors == [pytest.approx([0.6, 0.8])] * 2
    assert ["encoding_format" in body for body in server.asked] == [True, False, False]
