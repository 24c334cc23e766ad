"""What Ollama's clients send, as a body of chat completions, raw prompts or texts to embed.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md. Options about a server's memory and threads
change no answer and are not read; ``knowledge`` is SAM's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from msgspec import Meta, Struct, structs

from engines.parsing import with_whole_numbers
from engines.runtimes.text.response_format import Json
from engines.services.answers.messages import MAX_MESSAGES
from migrations_app.compatible_api.reading import (
    Placed,
    Sent,
    arguments_text,
    function_call,
    given_fields,
    read_as,
    read_sent,
    schema_form,
)
from migrations_app.openai_api.errors import refuse
from migrations_app.openai_api.request_bodies import NO_EFFORT, Hint, Name, given_hints
from migrations_app.openai_api.requests import (
    AskedText,
    AskedVectors,
    Body,
    chat_request,
    completion_request,
    embedding_request,
)

LATEST = ":latest"
"""The tag that Ollama's clients add to a name without one."""
SAME_OPTIONS = (
    *("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "frequency_penalty"),
    *("presence_penalty", "seed", "stop"),
)
OUR_NAMES = {name: f"options.{name}" for name in SAME_OPTIONS} | {
    "max_tokens": "options.num_predict",
    "response_format": "format",
    "tool_call_id": "tool_name",
}
SERVER_OPTIONS = frozenset(
    [
        "numa",
        "num_ctx",
        "num_batch",
        "num_gpu",
        "main_gpu",
        "low_vram",
        "f16_kv",
        "logits_all",
        "vocab_only",
        "use_mmap",
        "use_mlock",
        "embedding_only",
        "num_thread",
        "num_keep",
        "repeat_last_n",
        "penalize_newline",
        "draft_num_predict",
        "num_gqa",
        "rope_frequency_base",
        "rope_frequency_scale",
        "mirostat_tau",
        "mirostat_eta",
    ]
)
"""What a server has to settle for itself, and how a sampler works that is off here."""
DEFAULT_OPTIONS = {"typical_p": 1.0, "tfs_z": 1.0, "mirostat": 0}
"""Options that cannot be served here but with the value that changes nothing."""
NO_LIMIT = (0, -1, -2)


class NothingAskedError(Exception):
    """A request without a question, as clients have a model loaded; it holds the model's name."""


class CalledTool(Struct, frozen=True):
    """A function that was called; its arguments are an object here, and a text elsewhere."""

    name: str
    arguments: Json | str | list[Any] | None = None


class ToolUse(Struct, frozen=True):
    """A call in a message; Ollama gives none an id."""

    function: CalledTool
    id: str | None = None


class Message(Struct, frozen=True, kw_only=True):
    """One message of a chat."""

    role: str
    content: str | None = None
    thinking: str | None = None
    images: Any = None
    tool_calls: list[ToolUse] | None = None
    tool_name: str | None = None
    name: str | None = None
    tool_call_id: str | None = None


class TextBody(Struct, frozen=True, kw_only=True):
    """What both doors for text take."""

    model: Name
    stream: bool = True
    format: str | Json | None = None
    options: Json | None = None
    think: bool | str | None = None
    logprobs: bool | None = None
    keep_alive: Hint = None
    knowledge: Any = None
    truncate: Hint = None
    shift: Hint = None
    top_logprobs: Hint = None
    debug_render_only: Hint = None


class ChatBody(TextBody, frozen=True, kw_only=True):
    """The body of ``/api/chat``."""

    messages: Annotated[list[Message], Meta(max_length=MAX_MESSAGES)] = []
    tools: list[Json] | None = None


class GenerateBody(TextBody, frozen=True, kw_only=True):
    """The body of ``/api/generate``."""

    prompt: str = ""
    system: str | None = None
    raw: bool = False
    suffix: str | None = None
    template: str | None = None
    context: Any = None
    images: Any = None


class EmbedBody(Struct, frozen=True, kw_only=True):
    """The body of ``/api/embed``, and of the older door, which takes one prompt."""

    model: Name
    input: str | list[str] | None = None
    prompt: str | None = None
    dimensions: int | None = None
    truncate: Hint = None
    options: Hint = None
    keep_alive: Hint = None


class ShowBody(Struct, frozen=True, kw_only=True):
    """The body of ``/api/show``; ``name`` is what older clients send."""

    model: str | None = None
    name: str | None = None
    verbose: Hint = None
    system: Hint = None
    template: Hint = None
    options: Hint = None


def _generate_body(body: Body) -> GenerateBody:
    asked = read_as(body, GenerateBody)
    for name in ("suffix", "template", "context"):
        if getattr(asked, name):
            refuse(name, "cannot be served here; send messages to /api/chat")
    _refuse_images("images", asked.images)
    return asked


def ollama_chat(body: Body) -> AskedText:
    """Return what a chat asks for; RefusedError names the field at fault, NothingAskedError for no message."""
    asked = read_as(body, ChatBody)
    if not asked.messages:
        raise NothingAskedError(plain_name(asked.model))
    messages = [
        Placed(f"messages[{number}]", _message(f"messages[{number}]", message))
        for number, message in enumerate(asked.messages)
    ]
    given: Json = {"messages": [message for _, message in messages]}
    if asked.tools:
        given["tools"] = asked.tools
    return read_sent(chat_request, {**_common(asked), **given}, _sent(asked, messages))


def ollama_prompt(body: Body) -> AskedText:
    """Return what a prompt asks for: raw it is continued, else it is a chat of one message.

    RefusedError names the field at fault, NothingAskedError is for no prompt.
    """
    asked = _generate_body(body)
    if not asked.prompt:
        raise NothingAskedError(plain_name(asked.model))
    if asked.raw:
        shall_think = asked.think and asked.think not in NO_EFFORT
        if asked.format or asked.system or shall_think:
            refuse("raw", "goes without format, system and think")
        # Ollama's clients that name no limit want none, unlike those of OpenAI's completions.
        given = {"max_tokens": -1, **_common(structs.replace(asked, think=None))}
        return read_sent(completion_request, {**given, "prompt": asked.prompt}, _sent(asked))
    system = [{"role": "system", "content": asked.system}] if asked.system else []
    messages = [*system, {"role": "user", "content": asked.prompt}]
    return read_sent(chat_request, {**_common(asked), "messages": messages}, _sent(asked))


def _sent(asked: TextBody, messages: Sequence[Placed] = ()) -> Sent:
    """Return what was sent, with the options that are a server's own matter."""
    left_out = [
        f"options.{name}"
        for name, value in (asked.options or {}).items()
        if name in SERVER_OPTIONS and value is not None
    ]
    return Sent(asked, OUR_NAMES, messages, left_out=left_out)


def ollama_texts(body: Body) -> AskedVectors:
    """Return the texts to be embedded; NothingAskedError when there is none."""
    asked = read_as(body, EmbedBody)
    texts = asked.input if asked.input is not None else asked.prompt
    if not texts:
        raise NothingAskedError(plain_name(asked.model))
    given = {
        "model": plain_name(asked.model),
        "input": texts,
        "dimensions": asked.dimensions or None,
    }
    return replace(embedding_request(given), ignored=tuple(given_hints(asked)))


def plain_name(name: str) -> str:
    """Return a model's name without the tag that clients add."""
    return name.removesuffix(LATEST)


def _common(asked: TextBody) -> Json:
    if asked.logprobs:
        refuse("logprobs", "cannot be served here; leave it out")
    given = given_fields(asked, {"stream": "stream", "knowledge": "knowledge"})
    given |= {"model": plain_name(asked.model), **_sampling(asked.options or {})}
    if asked.format:
        given["response_format"] = _format(asked.format)
    if asked.think not in (None, ""):
        given["think"] = asked.think
    return given


def _format(wanted: str | Json) -> Json:
    if isinstance(wanted, str):
        if wanted != "json":
            refuse("format", "must be json or a JSON schema")
        return {"type": "json_object"}
    return schema_form("answer", wanted)


def _sampling(options: Json) -> Json:
    """Return the options under their names in chat completions."""
    given: Json = {}
    for name, value in with_whole_numbers(options).items():
        if value is None or name in SERVER_OPTIONS:
            continue
        if name == "num_predict":
            if value not in NO_LIMIT:
                given["max_tokens"] = value
        elif name in SAME_OPTIONS:
            given[name] = value
        elif name not in DEFAULT_OPTIONS:
            refuse(f"options.{name:.60}", "is not known here; leave it out")
        elif value != DEFAULT_OPTIONS[name]:
            refuse(f"options.{name}", f"cannot be {value!r:.60} here; leave it out")
    return given


def _message(place: str, message: Message) -> Json:
    """Return a message as chat completions take it, where results find their calls."""
    _refuse_images(f"{place}.images", message.images)
    shown: Json = {"role": message.role, "content": message.content or ""}
    if message.tool_calls:
        shown["tool_calls"] = [_call(call) for call in message.tool_calls]
    if message.thinking:
        shown["reasoning_content"] = message.thinking
    if message.role == "tool":
        shown["tool_call_id"] = message.tool_call_id
        shown["name"] = message.tool_name or message.name
    return shown


def _call(call: ToolUse) -> Json:
    return function_call(call.id, call.function.name, arguments_text(call.function.arguments or {}))


def _refuse_images(place: str, images: object) -> None:
    if images:
        refuse(place, "cannot be read by the engines here; send text")


def read_show(body: Mapping[str, object]) -> str:
    """Return the name of the model that is to be shown."""
    asked = read_as(body, ShowBody)
    name = asked.model or asked.name
    if not name:
        refuse("model", "is missing")
    return plain_name(name)
