"""A person's request answered by an engine, event by event; the whole answer is their sum."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from itertools import takewhile
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import close_old_connections

from engines.exceptions import (
    HostUnavailableError,
    InvalidRequestError,
    SamError,
)
from engines.models import LoraAdapter, ModelCopy, ModelRevision
from engines.runtimes.base import BaseModelEngine, ChatMessage
from engines.runtimes.text.generation import FORM, GenerationOptions
from engines.services.catalog.copies import engine_spec, is_present, refuse_unsafe
from engines.services.people.adapters import adapters_for, adapters_with
from engines.services.people.bindings import Binding, request_binding
from engines.services.people.fallbacks import note_incident
from engines.services.people.preferences import Prompts, prompts_of
from engines.services.people.snapshot import one_moment
from engines.specs import AdapterSpec
from migrations_app.serving.stream import Event
from worker.host.engine_pool import engine_pool
from worker.host.resources import artifact_store, scratch_folder
from worker.live.events import Listener, speak
from worker.live.lookup import Payload, revision_of, user_of
from worker.live.passages import Passage, cite, passages_for, with_passages
from worker.live.prompt import Fitted, checked_messages, fitting
from worker.process.errors import parse_id

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


def generate(payload: Payload) -> dict[str, Any]:
    """Answer a person's ``messages`` with the engine, prompts and adapters that are theirs now."""
    text: list[str] = []
    facts: dict[str, Any] = {"left_out": 0}
    for event in stream(payload, threading.Event()):
        if event["type"] == "begin":
            facts |= {name: value for name, value in event.items() if name != "type"}
        elif event["type"] == "fitted":
            facts["left_out"] = event["left_out"]
        elif event["type"] == "text":
            text.append(event["text"])
    return {"text": "".join(text), **facts}


def stream(payload: Payload, abandoned: threading.Event) -> Generator[Event]:
    """Yield the events of an answer to ``messages``, or to a raw ``prompt``.

    ``revision_id`` names an engine other than the active one, ``fallback_for`` the one it answers
    for, ``knowledge`` the number of passages of the person's knowledge to answer from. Closing the
    generator stops the engine, and so does ``abandoned`` before it begins.
    """
    asked = _asked(payload)
    user_id = parse_id(payload.get("user_id"))
    binding, adapters = _binding(user_id, payload.get("revision_id"))
    if binding.engine is None or binding.revision is None:
        raise InvalidRequestError("No engine is chosen yet; choose one in the preferences.")
    passages = _passages(binding, asked, payload)
    yield {"type": "state", "state": "loading"}
    with _ready_engine(binding.revision, adapters, binding.copy) as engine:
        yield _begin(binding, adapters, payload)
        fitted, used = _prompt(engine, binding.prompts, asked, passages, payload)
        if fitted.left_out:
            yield {"type": "fitted", "left_out": fitted.left_out}
        if passages is not None:
            yield {"type": "citations", "citations": [cite(passage) for passage in used]}
        if not abandoned.is_set():
            yield from speak(engine, fitted.prompt, _options(payload), Listener(user_id, abandoned))


def _asked(payload: Payload) -> str | list[ChatMessage]:
    prompt = payload.get("prompt")
    if prompt is None:
        return checked_messages(payload.get("messages"))
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
    note_incident(parse_id(instead["revision_id"]), revision.pk, instead["reason"])
    close_old_connections()
    return {**event, "fallback_for": instead}


@contextmanager
def _ready_engine(
    revision: ModelRevision, adapters: tuple[AdapterSpec, ...], copy: ModelCopy | None
) -> Iterator[BaseModelEngine]:
    """Lend an engine; an error until it is ready says so, and where."""
    with ExitStack() as stack:
        try:
            engine = stack.enter_context(chat_engine(revision, adapters, copy))
        except SamError as error:
            error.at_load, error.host = True, settings.SAM_HOST_NAME
            raise
        yield engine


def _passages(
    binding: Binding, asked: str | list[ChatMessage], payload: Payload
) -> list[Passage] | None:
    """Return what a person's knowledge says to the last question; None when it is not asked."""
    k = payload.get("knowledge")
    if k is None:
        return None
    question = asked if isinstance(asked, str) else asked[-1]["content"]
    return passages_for(user_of(payload), binding, question, k, payload.get("knowledge_filter"))


def _prompt(
    engine: BaseModelEngine,
    prompts: Prompts,
    asked: str | list[ChatMessage],
    passages: list[Passage] | None,
    payload: Payload,
) -> tuple[Fitted, list[Passage]]:
    """Return the engine's prompt and the passages that found room in it; a raw prompt stays as it is."""
    if isinstance(asked, str):
        return Fitted(asked), []
    prompts, messages = _instructed(prompts, asked)
    prompts, used = with_passages(engine, prompts, passages or [])
    options = GenerationOptions.parse(_options(payload))
    return fitting(engine, prompts, messages, options.max_tokens, options.shown_tools), used


def _instructed(prompts: Prompts, messages: list[ChatMessage]) -> tuple[Prompts, list[ChatMessage]]:
    """Join the request's own opening instructions to ours: cutting never reaches them."""
    opening = list(takewhile(lambda message: message["role"] == "system", messages))
    if not opening or len(opening) == len(messages):
        return prompts, messages
    parts = [prompts.system_prompt, *(message["content"] for message in opening)]
    text = "\n\n".join(part for part in parts if part)
    return replace(prompts, system_prompt=text), messages[len(opening) :]


def _binding(user_id: int, revision_id: object) -> tuple[Binding, tuple[AdapterSpec, ...]]:
    """Read what a person uses and the adapters that belong to it, all of one moment."""
    if revision_id is None:
        binding = request_binding(user_id, settings.SAM_HOST_NAME)
        return binding, _specs(adapters_with(binding.adapter_ids))
    with one_moment():
        revision = revision_of(revision_id)
        binding = request_binding(user_id)
        prompts = prompts_of(User.objects.get(pk=user_id), revision.model.model_family)
        binding = replace(
            binding, engine=revision.model, revision=revision, prompts=prompts, copy=None
        )
        return binding, adapters_of(user_id, revision.pk)


def adapters_of(user_id: int, revision_id: int | None) -> tuple[AdapterSpec, ...]:
    """Return the files of a person's valid adapters for a revision."""
    return _specs(adapters_for(user_id, revision_id))


def _specs(adapters: Iterable[LoraAdapter]) -> tuple[AdapterSpec, ...]:
    store, folder = artifact_store(), scratch_folder() / "adapters"
    return tuple(
        AdapterSpec(
            str(store.local_path(adapter.artifact_key, folder)),
            adapter.scale,
            sha256=adapter.sha256,
            base_sha256=adapter.base_revision.sha256,
        )
        for adapter in adapters
    )


def chat_engine(
    revision: ModelRevision, adapters: tuple[AdapterSpec, ...], copy: ModelCopy | None = None
) -> AbstractContextManager[BaseModelEngine]:
    """Lend this host's engine of a revision; HostUnavailableError when it lacks the file.

    ``copy`` is this host's, where it is known.
    """
    if copy is None:
        rows = ModelCopy.objects.filter(revision=revision, host__name=settings.SAM_HOST_NAME)
        copy = rows.order_by().first()
    if copy is not None:
        # What is known already is not asked again: every request comes by here.
        copy.revision = revision
        refuse_unsafe(copy)
    if copy is None or not is_present(copy):
        raise HostUnavailableError(f"This host does not have {revision}; ask another.")
    close_old_connections()
    return engine_pool().acquire(engine_spec(revision, copy.path, adapters=adapters))
