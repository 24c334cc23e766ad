"""A person's request answered by an engine, event by event; the whole answer is their sum."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import takewhile
from typing import NamedTuple

from django.contrib.auth.models import User
from django.db import close_old_connections

from engines.exceptions import InvalidRequestError, SamError
from engines.models import CatalogModel, ModelCopy, ModelRevision
from engines.runtimes.base import BaseModelEngine, ChatMessage
from engines.runtimes.notation.families import notation_of, takes_effort
from engines.runtimes.text.control_marks import make_literal
from engines.runtimes.text.generation import GenerationOptions
from engines.services.answers.events import Recipient, answer_events
from engines.services.answers.lookup import require_person, require_revision
from engines.services.answers.messages import (
    AnswerRequest,
    BeginEvent,
    CitationsEvent,
    EndEvent,
    Event,
    FittedEvent,
    StateEvent,
    TextEvent,
    WholeAnswer,
)
from engines.services.answers.passages import (
    FoundPassages,
    Passage,
    PassageQuery,
    add_passages,
    passages_for,
)
from engines.services.answers.prompt import (
    FittedPrompt,
    count_answer_room,
    count_read_tokens,
    fit_prompt,
    validate_messages,
)
from engines.services.answers.resources import AnswerResources
from engines.services.engine_choice import NO_ENGINE
from engines.services.people.adapters import adapters_for, adapters_with
from engines.services.people.bindings import Binding, request_binding
from engines.services.people.fallbacks import note_incident
from engines.services.people.preferences import Prompts, prompts_of
from engines.services.people.snapshot import one_moment
from engines.services.people.usage import (
    DEFAULT_ANSWER_TOKENS,
    QuotaExceededError,
    fit_reservation,
)
from engines.specs import AdapterSpec


class Answerer(NamedTuple):
    """Who answers a request: the engine, as the person uses it."""

    engine: CatalogModel
    revision: ModelRevision
    adapters: tuple[AdapterSpec, ...]
    copy: ModelCopy | None
    """This host's, where it is known."""


def compose_whole_answer(request: AnswerRequest, resources: AnswerResources) -> WholeAnswer:
    """Answer a request as ``compose_answer`` does, and return the whole at its end."""
    text: list[str] = []
    left_out = 0
    begin: BeginEvent | None = None
    cited: CitationsEvent | None = None
    end: EndEvent | None = None
    for event in compose_answer(request, resources, threading.Event()):
        if isinstance(event, BeginEvent):
            begin = event
        elif isinstance(event, FittedEvent):
            left_out = event.left_out
        elif isinstance(event, CitationsEvent):
            cited = event
        elif isinstance(event, TextEvent):
            text.append(event.text)
        elif isinstance(event, EndEvent):
            end = event
    if begin is None:
        raise RuntimeError("an answer ended without its beginning")
    return WholeAnswer(
        text="".join(text),
        engine_id=begin.engine_id,
        revision_id=begin.revision_id,
        adapters=begin.adapters,
        left_out=left_out,
        fallback_for=begin.fallback_for,
        citations=cited.citations if cited else None,
        words_only=cited.words_only if cited else "",
        end=end,
    )


def compose_answer(
    request: AnswerRequest, resources: AnswerResources, abandoned: threading.Event
) -> Generator[Event]:
    """Yield the events of an answer with the engine, prompts and adapters that are the person's now.

    Closing the generator stops the engine, and so does ``abandoned`` before it begins.
    """
    asked = _asked(request)
    binding, answerer = _binding(request, resources)
    known = _passages(binding, asked, request, resources)
    yield StateEvent()
    with _ready_engine(resources, answerer) as engine:
        yield _begin(answerer, request, engine, binding.prompts)
        fitted, used = _prompt(engine, binding.prompts, asked, known, request)
        if fitted.left_out:
            yield FittedEvent(fitted.left_out)
        if known is not None:
            yield CitationsEvent([passage.citation for passage in used], known.words_only)
        if not abandoned.is_set():
            recipient = Recipient(request.user_id, abandoned)
            options = _bounded_options(engine, fitted, request, resources.max_answer_tokens)
            options = _paid_options(engine, fitted, request, options)
            yield from answer_events(engine, fitted.prompt, options, recipient)


def count_prompt(request: AnswerRequest, resources: AnswerResources) -> int:
    """Return how many tokens an engine would read for a request, without answering it."""
    asked = _asked(request)
    binding, answerer = _binding(request, resources)
    known = _passages(binding, asked, request, resources)
    with _ready_engine(resources, answerer) as engine:
        fitted, _ = _prompt(engine, binding.prompts, asked, known, request)
        tools = GenerationOptions.parse(request.given_options()).shown_tools
        return count_read_tokens(engine, fitted.prompt, tools)


def _asked(request: AnswerRequest) -> str | list[ChatMessage]:
    if request.prompt is not None:
        return request.prompt
    return validate_messages(request.messages or [])


def _binding(request: AnswerRequest, resources: AnswerResources) -> tuple[Binding, Answerer]:
    """Read what a person uses and the adapters that belong to it, all of one moment."""
    user_id, revision_id = request.user_id, request.revision_id
    if revision_id is None:
        binding = request_binding(user_id, resources.host_name)
        if binding.engine is None or binding.revision is None:
            raise InvalidRequestError(NO_ENGINE)
        specs = resources.adapter_specs(adapters_with(binding.adapter_ids))
        return binding, Answerer(binding.engine, binding.revision, specs, binding.copy)
    with one_moment():
        revision = require_revision(revision_id)
        binding = request_binding(user_id)
        prompts = prompts_of(User.objects.get(pk=user_id), revision.model.model_family)
        specs = resources.adapter_specs(adapters_for(user_id, revision.pk))
        return replace(binding, prompts=prompts), Answerer(revision.model, revision, specs, None)


def _begin(
    answerer: Answerer, request: AnswerRequest, engine: BaseModelEngine, prompts: Prompts
) -> BeginEvent:
    """Say who answers, and note it when that is another engine than the active one."""
    cause = request.fallback_for
    if cause is not None:
        note_incident(cause.revision_id, answerer.revision.pk, cause.reason)
        close_old_connections()
    facts = engine.get_engine_info()
    told = GenerationOptions.parse(request.given_options()).template_thinking
    # A text that no template writes switches nothing.
    is_plain = request.prompt is not None or bool(prompts.chat_format)
    return BeginEvent(
        engine_id=answerer.engine.model_id,
        revision_id=answerer.revision.pk,
        adapters=len(answerer.adapters),
        fallback_for=cause,
        has_no_switch=request.thinking is not None
        and (is_plain or notation_of(facts).ignores_thinking(thinking=request.thinking)),
        has_no_effort=request.effort is not None
        and (is_plain or not takes_effort(facts, request.effort, thinking=told)),
    )


@contextmanager
def _ready_engine(resources: AnswerResources, answerer: Answerer) -> Iterator[BaseModelEngine]:
    """Lend an engine; an error until it is ready says so, and where."""
    _, revision, adapters, copy = answerer
    with ExitStack() as stack:
        try:
            engine = stack.enter_context(resources.lend_chat_engine(revision, adapters, copy))
        except SamError as error:
            error.at_load, error.host = True, resources.host_name
            raise
        yield engine


def _passages(
    binding: Binding,
    asked: str | list[ChatMessage],
    request: AnswerRequest,
    resources: AnswerResources,
) -> FoundPassages | None:
    """Return what a person's knowledge says to the last question; None when it is not asked."""
    if request.knowledge is None:
        return None
    question = asked if isinstance(asked, str) else asked[-1]["content"]
    wanted = PassageQuery(question, request.knowledge, request.knowledge_filter)
    return passages_for(require_person(request.user_id), binding, wanted, resources)


def _prompt(
    engine: BaseModelEngine,
    prompts: Prompts,
    asked: str | list[ChatMessage],
    known: FoundPassages | None,
    request: AnswerRequest,
) -> tuple[FittedPrompt, list[Passage]]:
    """Return the engine's prompt and the passages that found room in it; a raw prompt stays as it is."""
    if isinstance(asked, str):
        return FittedPrompt(asked), []
    prompts, messages = _instructed(prompts, asked)
    prompts, used = add_passages(engine, prompts, known.passages if known else [])
    options = GenerationOptions.parse(request.given_options())
    return fit_prompt(engine, prompts, messages, options.max_tokens, options.shown_tools), used


def _bounded_options(
    engine: BaseModelEngine, fitted: FittedPrompt, request: AnswerRequest, most: int
) -> dict[str, object]:
    """Give an answer an end whose request names none: a small model may repeat itself for ever."""
    options = request.given_options()
    if options.get("max_tokens") or not most:
        return options
    return {**options, "max_tokens": count_answer_room(engine, fitted.prompt, most)}


def _paid_options(
    engine: BaseModelEngine,
    fitted: FittedPrompt,
    request: AnswerRequest,
    options: dict[str, object],
) -> dict[str, object]:
    """Shorten an answer to what its person's day has left beside the prompt, counted as it is read.

    Raises QuotaExceededError when the prompt alone is more.
    """
    if request.reservation_id is None:
        return options
    asked = GenerationOptions.parse(options)
    read = count_read_tokens(engine, fitted.prompt, asked.shown_tools)
    wanted = read + (asked.max_tokens or DEFAULT_ANSWER_TOKENS)
    tokens = fit_reservation(request.user_id, request.reservation_id, wanted)
    close_old_connections()
    if tokens <= read:
        raise QuotaExceededError(
            f"The question and what goes with it have {read} tokens, and {tokens} of those allowed a "
            "day are left; ask something shorter, or go on tomorrow (UTC)."
        )
    return {**options, "max_tokens": tokens - read}


def _instructed(prompts: Prompts, messages: list[ChatMessage]) -> tuple[Prompts, list[ChatMessage]]:
    """Join the request's own opening instructions to ours: cutting never reaches them."""
    opening = list(takewhile(lambda message: message["role"] == "system", messages))
    if not opening or len(opening) == len(messages):
        return prompts, messages
    contents = [message["content"] for message in opening]
    if prompts.chat_format:
        contents = [make_literal(text) for text in contents]
    parts = [prompts.system_prompt, *contents]
    text = "\n\n".join(part for part in parts if part)
    return replace(prompts, system_prompt=text), messages[len(opening) :]
