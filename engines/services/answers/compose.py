"""A person's request answered by an engine, event by event; the whole answer is their sum."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import takewhile
from typing import Any

from django.contrib.auth.models import User
from django.db import close_old_connections

from engines.db.keys import require_row_id
from engines.exceptions import InvalidRequestError, SamError
from engines.models import ModelCopy, ModelRevision
from engines.runtimes.base import BaseModelEngine, ChatMessage
from engines.runtimes.text.generation import FORM, GenerationOptions
from engines.services.answers.events import Event, Recipient, answer_events
from engines.services.answers.lookup import require_person, require_revision
from engines.services.answers.passages import (
    Passage,
    PassageQuery,
    add_passages,
    citation,
    passages_for,
)
from engines.services.answers.prompt import FittedPrompt, fit_prompt, require_messages
from engines.services.answers.resources import AnswerResources
from engines.services.people.adapters import adapters_for, adapters_with
from engines.services.people.bindings import Binding, request_binding
from engines.services.people.fallbacks import incident_note
from engines.services.people.preferences import Prompts, prompts_of
from engines.services.people.snapshot import one_moment
from engines.specs import AdapterSpec

Payload = Mapping[str, Any]

OPTIONS = (
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "stop",
    "repeat_penalty",
    "frequency_penalty",
    "presence_penalty",
    "thinking",
    *FORM,
)


def compose_whole_answer(payload: Payload, resources: AnswerResources) -> dict[str, Any]:
    """Answer a person's ``messages`` with the engine, prompts and adapters that are theirs now."""
    text: list[str] = []
    facts: dict[str, Any] = {"left_out": 0}
    for event in compose_answer(payload, resources, threading.Event()):
        if event["type"] == "begin":
            facts |= {name: value for name, value in event.items() if name != "type"}
        elif event["type"] == "fitted":
            facts["left_out"] = event["left_out"]
        elif event["type"] == "text":
            text.append(event["text"])
    return {"text": "".join(text), **facts}


def compose_answer(
    payload: Payload, resources: AnswerResources, abandoned: threading.Event
) -> Generator[Event]:
    """Yield the events of an answer to ``messages``, or to a raw ``prompt``.

    ``revision_id`` names an engine other than the active one, ``fallback_for`` the one it answers
    for, ``knowledge`` the number of passages of the person's knowledge to answer from. Closing the
    generator stops the engine, and so does ``abandoned`` before it begins.
    """
    asked = _asked(payload)
    user_id = require_row_id(payload.get("user_id"))
    binding, adapters = _binding(user_id, payload.get("revision_id"), resources)
    if binding.engine is None or binding.revision is None:
        raise InvalidRequestError("No engine is chosen yet; choose one in the preferences.")
    passages = _passages(binding, asked, payload, resources)
    yield {"type": "state", "state": "loading"}
    with _ready_engine(resources, binding.revision, adapters, binding.copy) as engine:
        yield _begin(binding, adapters, payload)
        fitted, used = _prompt(engine, binding.prompts, asked, passages, payload)
        if fitted.left_out:
            yield {"type": "fitted", "left_out": fitted.left_out}
        if passages is not None:
            yield {"type": "citations", "citations": [citation(passage) for passage in used]}
        if not abandoned.is_set():
            recipient = Recipient(user_id, abandoned)
            yield from answer_events(engine, fitted.prompt, _options(payload), recipient)


def _asked(payload: Payload) -> str | list[ChatMessage]:
    prompt = payload.get("prompt")
    if prompt is None:
        return require_messages(payload.get("messages"))
    if not isinstance(prompt, str):
        raise InvalidRequestError("The prompt must be a text.")
    return prompt


def _options(payload: Payload) -> dict[str, Any]:
    return {name: payload[name] for name in OPTIONS if payload.get(name) is not None}


def _begin(binding: Binding, adapters: tuple[AdapterSpec, ...], payload: Payload) -> Event:
    engine, revision = binding.engine, binding.revision
    event = {
        "type": "begin",
        "engine_id": engine.model_id if engine else None,
        "revision_id": revision.pk if revision else None,
        "adapters": len(adapters),
    }
    instead = payload.get("fallback_for")
    if instead is None or revision is None:
        return event
    incident_note(require_row_id(instead["revision_id"]), revision.pk, instead["reason"])
    close_old_connections()
    return {**event, "fallback_for": instead}


@contextmanager
def _ready_engine(
    resources: AnswerResources,
    revision: ModelRevision,
    adapters: tuple[AdapterSpec, ...],
    copy: ModelCopy | None,
) -> Iterator[BaseModelEngine]:
    """Lend an engine; an error until it is ready says so, and where."""
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
    payload: Payload,
    resources: AnswerResources,
) -> list[Passage] | None:
    """Return what a person's knowledge says to the last question; None when it is not asked."""
    k = payload.get("knowledge")
    if k is None:
        return None
    question = asked if isinstance(asked, str) else asked[-1]["content"]
    user = require_person(payload.get("user_id"))
    wanted = PassageQuery(question, k, payload.get("knowledge_filter"))
    return passages_for(user, binding, wanted, resources)


def _prompt(
    engine: BaseModelEngine,
    prompts: Prompts,
    asked: str | list[ChatMessage],
    passages: list[Passage] | None,
    payload: Payload,
) -> tuple[FittedPrompt, list[Passage]]:
    """Return the engine's prompt and the passages that found room in it; a raw prompt stays as it is."""
    if isinstance(asked, str):
        return FittedPrompt(asked), []
    prompts, messages = _instructed(prompts, asked)
    prompts, used = add_passages(engine, prompts, passages or [])
    options = GenerationOptions.parse(_options(payload))
    return fit_prompt(engine, prompts, messages, options.max_tokens, options.shown_tools), used


def _instructed(prompts: Prompts, messages: list[ChatMessage]) -> tuple[Prompts, list[ChatMessage]]:
    """Join the request's own opening instructions to ours: cutting never reaches them."""
    opening = list(takewhile(lambda message: message["role"] == "system", messages))
    if not opening or len(opening) == len(messages):
        return prompts, messages
    parts = [prompts.system_prompt, *(message["content"] for message in opening)]
    text = "\n\n".join(part for part in parts if part)
    return replace(prompts, system_prompt=text), messages[len(opening) :]


def _binding(
    user_id: int, revision_id: object, resources: AnswerResources
) -> tuple[Binding, tuple[AdapterSpec, ...]]:
    """Read what a person uses and the adapters that belong to it, all of one moment."""
    if revision_id is None:
        binding = request_binding(user_id, resources.host_name)
        return binding, resources.adapter_specs(adapters_with(binding.adapter_ids))
    with one_moment():
        revision = require_revision(revision_id)
        binding = request_binding(user_id)
        prompts = prompts_of(User.objects.get(pk=user_id), revision.model.model_family)
        binding = replace(
            binding, engine=revision.model, revision=revision, prompts=prompts, copy=None
        )
        return binding, resources.adapter_specs(adapters_for(user_id, revision.pk))
