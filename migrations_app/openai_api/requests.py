"""What clients send, checked field by field; nothing that would change an answer is ignored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest

from engines.exceptions import InvalidRequestError
from engines.runtimes.text.generation import RANDOM_SEED, GenerationOptions
from engines.services.knowledge.search_filters import SearchFilter
from migrations_app.openai_api.errors import TOO_LARGE, RefusedError, refuse
from migrations_app.openai_api.messages import checked_messages

Body = Mapping[str, Any]

SAMPLING = (
    "temperature", "top_p", "seed", "stop", "frequency_penalty", "presence_penalty",
    "top_k", "min_p", "repeat_penalty",
)  # fmt: skip
"""The last three are llama.cpp's, sent as ``extra_body``."""
HINTS = frozenset(
    {
        "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key",
        "prompt_cache_retention", "prediction", "reasoning_effort",
        "verbosity",
    }
)  # fmt: skip
"""About billing, caches and speed: an answer without them is still the one that was asked for."""
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "audio": (),
    "web_search_options": (),
}
"""Fields of which only these values can be served."""
THINKING = "chat_template_kwargs"
FORM = ("response_format", "tools", "tool_choice", "parallel_tool_calls")
"""What form an answer has; of tools the names must be known before one is chosen."""
COMMON = {"model", "stream", "stream_options", "max_tokens", *SAMPLING, *HINTS, *NEUTRAL}
CHAT_FIELDS = frozenset(
    {"messages", "max_completion_tokens", "knowledge", THINKING, *FORM, *COMMON}
)
COMPLETION_FIELDS = frozenset({"prompt", *COMMON})
MOST_TEXTS = 2048
MOST_PASSAGES = 20
USUAL_PASSAGES = 4
USUAL_COMPLETION_TOKENS = 16
"""What OpenAI's completions endpoint takes when nothing is said."""
LARGEST_LIMIT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Asked:
    """A checked request for text; ``payload`` is the live worker's, without who and which engine."""

    model: str
    payload: dict[str, Any]
    stream: bool
    include_usage: bool


@dataclass(frozen=True, slots=True)
class AskedVectors:
    """A checked request for vectors."""

    model: str
    texts: list[str]
    role: str
    base64: bool
    dimensions: int | None


def read_body(request: HttpRequest) -> Body:
    """Return the JSON object of a request; RefusedError when it is none, or too large."""
    try:
        body = json.loads(request.body, parse_constant=_no_constant)
    except RequestDataTooBig:
        raise RefusedError(
            "The body is larger than what is allowed here.", status=TOO_LARGE, code="too_large"
        ) from None
    except (ValueError, RecursionError):
        raise RefusedError("The body is not JSON that can be read.") from None
    if not isinstance(body, dict):
        raise RefusedError("The body must be a JSON object.")
    return body


def chat_request(body: Body) -> Asked:
    """Return a checked request of ``/v1/chat/completions``; RefusedError names the field at fault."""
    asked = _text_request(body, CHAT_FIELDS)
    limit = _limit(body, "max_completion_tokens") or _limit(body, "max_tokens")
    payload = {
        "messages": checked_messages(body.get("messages")),
        "max_tokens": limit,
        **_form(body),
    }
    knowledge = _knowledge(body.get("knowledge"))
    thinking = _thinking(body.get(THINKING))
    more = {**knowledge, **thinking}
    return Asked(
        asked.model, {**asked.payload, **payload, **more}, asked.stream, asked.include_usage
    )


def completion_request(body: Body) -> Asked:
    """Return a checked request of ``/v1/completions``; RefusedError names the field at fault."""
    asked = _text_request(body, COMPLETION_FIELDS)
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str) or not prompt:
        refuse("prompt", "must be one text that is not empty")
    limit = _limit(body, "max_tokens") or USUAL_COMPLETION_TOKENS
    payload = {**asked.payload, "prompt": prompt, "max_tokens": limit}
    return Asked(asked.model, payload, asked.stream, asked.include_usage)


def embedding_request(body: Body) -> AskedVectors:
    """Return a checked request of ``/v1/embeddings``; ``input_type`` query is an extension."""
    _known(body, {"model", "input", "encoding_format", "dimensions", "user", "input_type"})
    texts = [body["input"]] if isinstance(body.get("input"), str) else body.get("input")
    if not isinstance(texts, list) or not 0 < len(texts) <= MOST_TEXTS:
        refuse("input", f"must be a text or a list of 1 to {MOST_TEXTS} texts")
    if not all(isinstance(text, str) and text for text in texts):
        refuse("input", "must hold texts that are not empty; lists of tokens are not read here")
    dimensions = body.get("dimensions")
    if dimensions is not None and not _is_whole(dimensions):
        refuse("dimensions", "must be a whole number")
    return AskedVectors(
        model=_model(body),
        texts=texts,
        role=_one_of(body, "input_type", ("document", "query")),
        base64=_one_of(body, "encoding_format", ("float", "base64")) == "base64",
        dimensions=dimensions,
    )


def _text_request(body: Body, fields: frozenset[str]) -> Asked:
    _known(body, fields)
    for name, values in NEUTRAL.items():
        if body.get(name) is not None and body[name] not in values:
            refuse(name, f"cannot be {_shown(body[name])} here; leave it out")
    stream = _flag(body, "stream")
    options = body.get("stream_options") or {}
    if not isinstance(options, dict) or not set(options) <= {
        "include_usage",
        "include_obfuscation",
    }:
        refuse("stream_options", "may hold include_usage only")
    if options and not stream:
        refuse("stream_options", "goes with stream only")
    return Asked(_model(body), _sampling(body), stream, _flag(options, "include_usage"))


def _known(body: Body, fields: frozenset[str] | set[str]) -> None:
    unknown = sorted(set(body) - fields)
    if unknown:
        raise RefusedError(
            f"There is no field {unknown[0]!r} here; leave it out.", param=unknown[0]
        )


def _model(body: Body) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        refuse("model", "must be the name of an engine, or 'sam' for the active one")
    return model


def _sampling(body: Body) -> dict[str, Any]:
    given = {name: body[name] for name in SAMPLING if body.get(name) is not None}
    if _is_whole(given.get("seed")):
        # OpenAI's seeds are signed and wider than llama.cpp's.
        given["seed"] = given["seed"] % RANDOM_SEED
    for name, value in given.items():
        try:
            GenerationOptions.parse({name: value})
        except InvalidRequestError as error:
            raise RefusedError(str(error), param=name) from None
    return given


def _form(body: Body) -> dict[str, Any]:
    """Read what form the answer shall have, field by field."""
    given: dict[str, Any] = {}
    for name in FORM:
        if body.get(name) in (None, [], {"type": "text"}):
            continue
        given[name] = body[name]
        try:
            GenerationOptions.parse(given)
        except InvalidRequestError as error:
            raise RefusedError(str(error), param=name) from None
    return given


def _limit(body: Body, name: str) -> int:
    limit = body.get(name)
    if limit is None:
        return 0
    if not _is_whole(limit) or not 0 < limit <= LARGEST_LIMIT:
        refuse(name, "must be a whole number from 1")
    return int(limit)


def _knowledge(given: object) -> dict[str, Any]:
    """Read how many passages of the person's knowledge are wanted, and of which part of it."""
    if given is None or given is False:
        return {}
    asked = dict(given) if isinstance(given, dict) else {}
    k = asked.pop("k", USUAL_PASSAGES)
    is_switch = given is True or isinstance(given, dict)
    if not is_switch or not _is_whole(k) or not 0 < k <= MOST_PASSAGES:
        refuse("knowledge", f'must be true or {{"k": 1 to {MOST_PASSAGES}, filters}}')
    try:
        SearchFilter.parse(asked)
    except InvalidRequestError as error:
        raise RefusedError(str(error), param="knowledge") from None
    return {"knowledge": k, **({"knowledge_filter": asked} if asked else {})}


def _thinking(given: object) -> dict[str, bool]:
    """Read the thinking switch as vLLM's and llama.cpp's servers take it."""
    if given is None or given == {}:
        return {}
    if not isinstance(given, dict) or set(given) != {"enable_thinking"}:
        refuse(THINKING, "may hold enable_thinking only")
    return {"thinking": _flag(given, "enable_thinking")}


def _flag(body: Body, name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        refuse(name, "must be true or false")
    return bool(value)


def _one_of(body: Body, name: str, values: tuple[str, ...]) -> str:
    value = body.get(name)
    if value is None:
        return values[0]
    if value not in values:
        refuse(name, f"must be one of {', '.join(values)}")
    return str(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: object) -> str:
    return f"{value!r:.60}"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
