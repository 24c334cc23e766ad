"""Passages of a person's knowledge: found by meaning, given to an engine, cited."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from django.contrib.auth.models import User

from engines.exceptions import InvalidRequestError
from engines.models import VectorIndex
from engines.runtimes.base import BaseModelEngine
from engines.services.answers.resources import AnswerResources
from engines.services.knowledge.fingerprints import spec_of
from engines.services.knowledge.search import Hit, readable_bases, search_bases
from engines.services.knowledge.search_filters import SearchFilter
from engines.services.people.bindings import Binding
from engines.services.people.preferences import Prompts

MAX_HITS = 100
INSTRUCTION = (
    "Answer from the numbered passages below, which come from the person's own knowledge. Name the "
    "passages you used by number, like [1]. Say so when they do not hold the answer."
)
MAX_CONTEXT_SHARE = 0.5
"""Of the engine's context that passages may fill; the rest is for the conversation and the answer."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A hit and the number an answer names it by."""

    number: int
    hit: Hit

    @property
    def shown(self) -> str:
        return f"[{self.number}] {self.hit.title}\n{self.hit.text}"


@dataclass(frozen=True, slots=True)
class PassageQuery:
    """What is looked for in a person's knowledge, as it was asked."""

    question: object
    k: object
    narrowed: object = None
    """A SearchFilter as JSON."""


def find_passages(
    user: User, binding: Binding, wanted: PassageQuery, resources: AnswerResources
) -> list[Hit]:
    """Return the ``k`` passages nearest to a question in what a person may read, best first.

    InvalidRequestError without a question, with another number than 1 to 100, or for a filter that
    names what is not the person's to read.
    """
    question, k = wanted.question, wanted.k
    if not isinstance(question, str) or not question.strip():
        raise InvalidRequestError("Ask with some text.")
    if not isinstance(k, int) or isinstance(k, bool) or not 0 < k <= MAX_HITS:
        raise InvalidRequestError(f"Ask for 1 to {MAX_HITS} passages.")
    narrowed = SearchFilter.parse(wanted.narrowed or {})
    narrowed.require_readable(readable_bases(user))

    def embed_query(index: VectorIndex) -> Any:
        spec = spec_of(index.fingerprint)
        with resources.lend_embedder(index.fingerprint.revision, spec) as engine:
            return engine.embed_query(question)

    store, cache = resources.store, resources.index_cache
    return search_bases(binding.indexes, embed_query, k, store, cache, narrowed)


def passages_for(
    user: User, binding: Binding, wanted: PassageQuery, resources: AnswerResources
) -> list[Passage]:
    """Return numbered passages for a question, from 1."""
    hits = find_passages(user, binding, wanted, resources)
    return [Passage(number, hit) for number, hit in enumerate(hits, start=1)]


def add_passages(
    engine: BaseModelEngine, prompts: Prompts, passages: list[Passage]
) -> tuple[Prompts, list[Passage]]:
    """Add the best passages that have room to the instructions; return those as well."""
    room = int(engine.get_engine_info().get("context_length") or 0) * MAX_CONTEXT_SHARE
    used: list[Passage] = []
    for passage in passages:
        room -= engine.count_tokens(passage.shown)
        if room < 0:
            break
        used.append(passage)
    if not used:
        return prompts, []
    parts = [prompts.system_prompt, INSTRUCTION, *(passage.shown for passage in used)]
    text = "\n\n".join(part for part in parts if part)
    return replace(prompts, system_prompt=text), used


def citation(passage: Passage) -> dict[str, Any]:
    """Return a passage for JSON."""
    return {"number": passage.number, **hit_as_json(passage.hit)}


def hit_as_json(hit: Hit) -> dict[str, Any]:
    """Return a hit for JSON."""
    return {**asdict(hit), "content_hash": hit.content_hash.hex()}
