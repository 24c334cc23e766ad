"""What clients send, checked field by field; nothing that would change an answer is ignored."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn, TypeVar

import msgspec
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from msgspec import structs

from engines.exceptions import InvalidRequestError
from engines.parsing import UNREADABLE, fault_of
from engines.runtimes.text.generation import (
    FORM,
    RANDOM_SEED,
    GenerationOptions,
    SamplingOptions,
)
from engines.services.answers.messages import AnswerRequest, Question
from engines.services.knowledge.search_filters import with_moments
from migrations_app.openai_api.errors import RefusedError, refuse, too_large
from migrations_app.openai_api.messages import parse_messages
from migrations_app.openai_api.request_bodies import (
    SERVED_VALUES,
    ChatBody,
    CompletionBody,
    EmbeddingBody,
    KnowledgeBody,
    StreamOptions,
    TextBody,
)

Body = Mapping[str, object]
Parsed = TypeVar("Parsed", ChatBody, CompletionBody, EmbeddingBody)

DEFAULT_COMPLETION_TOKENS = 16
"""What OpenAI's completions endpoint takes when nothing is said."""
SAMPLING = frozenset(SamplingOptions.__struct_fields__) - {"max_tokens"}
_FIELD = re.compile(r"messages\[\d+\](\.\w+)?|\w+")
"""What a client is told of where a fault is: a field, in a message the message's."""
_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class AskedText:
    """A checked request for text, but for who asks and which engine answers."""

    model: str
    question: Question
    stream: bool
    include_usage: bool

    def request_of(self, user_id: int, revision_id: int | None) -> AnswerRequest:
        """Return what the worker is asked for a person; None leaves their active engine to it."""
        question = structs.asdict(self.question)
        return AnswerRequest(user_id=user_id, revision_id=revision_id, **question)


@dataclass(frozen=True, slots=True)
class AskedVectors:
    """A checked request for vectors."""

    model: str
    texts: list[str]
    role: Literal["document", "query"]
    base64: bool
    dimensions: int | None


def read_body(request: HttpRequest) -> Body:
    """Return the JSON object of a request; RefusedError when it is none, or too large."""
    try:
        body = json.loads(request.body, parse_constant=_no_constant)
    except RequestDataTooBig:
        raise too_large() from None
    except (ValueError, RecursionError):
        raise RefusedError("The body is not JSON that can be read.") from None
    if not isinstance(body, dict):
        raise RefusedError("The body must be a JSON object.")
    return _with_whole_characters(body) if _HALF_CHARACTER.search(request.body) else body


def _with_whole_characters(body: Body) -> Body:
    """Replace halves of characters, as clients leave where they cut a text; no engine can read them."""
    text = json.dumps(body, ensure_ascii=False)
    whole: Body = json.loads(text.encode("utf-8", "replace"))
    return whole


def chat_request(body: Body) -> AskedText:
    """Return a checked request of ``/v1/chat/completions``; RefusedError names the field at fault."""
    asked = _parse({**body, "knowledge": _with_moments(body.get("knowledge"))}, ChatBody)
    template = asked.chat_template_kwargs
    knowledge = KnowledgeBody() if asked.knowledge is True else asked.knowledge or None
    question = Question(
        messages=parse_messages(asked.messages),
        max_tokens=asked.max_completion_tokens or asked.max_tokens or 0,
        thinking=template.enable_thinking if template else None,
        knowledge=knowledge.k if knowledge else None,
        knowledge_filter=knowledge.narrowed() if knowledge else None,
    )
    return _asked_text(asked, structs.replace(question, **_sampling(asked), **_form(asked)))


def completion_request(body: Body) -> AskedText:
    """Return a checked request of ``/v1/completions``; RefusedError names the field at fault."""
    asked = _parse(body, CompletionBody)
    prompt = asked.prompt if isinstance(asked.prompt, str) else asked.prompt[0]
    limit = asked.max_tokens or DEFAULT_COMPLETION_TOKENS
    question = Question(prompt=prompt, max_tokens=limit)
    return _asked_text(asked, structs.replace(question, **_sampling(asked)))


def embedding_request(body: Body) -> AskedVectors:
    """Return a checked request of ``/v1/embeddings``; ``input_type`` query is an extension."""
    asked = _parse(body, EmbeddingBody)
    return AskedVectors(
        model=asked.model,
        texts=[asked.input] if isinstance(asked.input, str) else asked.input,
        role=asked.input_type,
        base64=asked.encoding_format == "base64",
        dimensions=asked.dimensions,
    )


def _parse(body: Body, kind: type[Parsed]) -> Parsed:
    """Return a body with its types; null means that a field is left out."""
    unknown = sorted(set(body) - set(kind.__struct_fields__))
    if unknown:
        raise RefusedError(
            f"There is no field {unknown[0]!r} here; leave it out.", param=unknown[0]
        )
    given = {name: value for name, value in body.items() if value is not None}
    for name, values in SERVED_VALUES.items():
        if name in given and given[name] not in values:
            refuse(name, f"cannot be {given[name]!r:.60} here; leave it out")
    if issubclass(kind, TextBody):
        _check_sampling(given)
    try:
        return msgspec.convert(given, kind)
    except UNREADABLE as error:
        fault = fault_of(error)
        field = _FIELD.match(fault.place)
        raise RefusedError(f"{fault}.", param=field[0] if field else None) from None


def _check_sampling(given: Body) -> None:
    """Refuse what no engine takes, in the words that tell its limits."""
    for name in SAMPLING & set(given):
        value = given[name]
        # OpenAI's seeds are signed and wider than llama.cpp's.
        if name == "seed" and isinstance(value, int):
            continue
        try:
            GenerationOptions.parse({name: value})
        except InvalidRequestError as error:
            raise RefusedError(str(error), param=name) from None


def _asked_text(asked: TextBody, question: Question) -> AskedText:
    options = asked.stream_options
    if options not in (None, StreamOptions()) and not asked.stream:
        refuse("stream_options", "goes with stream only")
    include_usage = bool(options and options.include_usage)
    return AskedText(asked.model, question, asked.stream, include_usage)


def _with_moments(knowledge: object) -> object:
    """Read the moments of a filter, which may be written in any form of ISO 8601."""
    if not isinstance(knowledge, Mapping):
        return knowledge
    try:
        return with_moments(knowledge)
    except InvalidRequestError as error:
        raise RefusedError(str(error), param="knowledge") from None


def _sampling(asked: TextBody) -> dict[str, object]:
    """Return the sampling options that were sent."""
    given = {name: value for name in SAMPLING if (value := getattr(asked, name)) is not None}
    if asked.seed is not None:
        given["seed"] = asked.seed % RANDOM_SEED
    return given


def _form(asked: ChatBody) -> dict[str, object]:
    """Return what form the answer shall have; of tools the names must be known before one is chosen."""
    given: dict[str, object] = {}
    for name in FORM:
        value = getattr(asked, name)
        if value in (None, [], {"type": "text"}):
            continue
        given[name] = value
        try:
            GenerationOptions.parse(given)
        except InvalidRequestError as error:
            raise RefusedError(str(error), param=name) from None
    return given


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
