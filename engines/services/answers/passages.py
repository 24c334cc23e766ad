"""Passages of a person's knowledge: found by meaning and words, given to an engine, cited."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from django.contrib.auth.models import User

from engines.exceptions import InvalidRequestError, SamError
from engines.models import VectorIndex
from engines.runtimes.base import BaseModelEngine
from engines.runtimes.text.control_marks import make_literal
from engines.services.answers.messages import Citation
from engines.services.answers.resources import AnswerResources, RankTexts
from engines.services.knowledge.access import readable_bases
from engines.services.knowledge.fingerprints import spec_of
from engines.services.knowledge.hybrid import Found, Searched, search_passages
from engines.services.knowledge.search import Hit, Vector
from engines.services.knowledge.search_filters import EVERYTHING, SearchFilter
from engines.services.people.bindings import Binding
from engines.services.people.preferences import Prompts

logger = logging.getLogger(__name__)

INSTRUCTION = (
    "Answer from the numbered passages below, which come from the person's own knowledge. Name the "
    "passages you used by number, like [1]. Say so when they do not hold the answer."
)
RERANKED = 20
"""First passages that a rank model puts in order; it reads each of them with the question."""
MAX_CONTEXT_SHARE = 0.5
"""Of the engine's context that passages may fill; the rest is for the conversation and the answer."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A hit and the number an answer names it by."""

    number: int
    hit: Hit

    @property
    def shown(self) -> str:
        where = f" ({self.hit.place})" if self.hit.place else ""
        return f"[{self.number}] {self.hit.title}{where}\n{self.hit.text}"

    @property
    def citation(self) -> Citation:
        return Citation.numbered(self.number, self.hit)


@dataclass(frozen=True, slots=True)
class FoundPassages:
    """Numbered passages for a question, from 1."""

    passages: list[Passage]
    words_only: str
    """As ``Found`` has it."""


@dataclass(frozen=True, slots=True)
class PassageQuery:
    """What is looked for in a person's knowledge, and where."""

    question: str
    k: int
    narrowed: SearchFilter | None = None


def find_passages(
    user: User, binding: Binding, wanted: PassageQuery, resources: AnswerResources
) -> Found:
    """Return the ``k`` passages that answer a question best, of what a person may read, best first.

    InvalidRequestError without a question, or for a filter that names what is not the person's to read.
    """
    question, narrowed = wanted.question, wanted.narrowed or EVERYTHING
    if not question.strip():
        raise InvalidRequestError("Ask with some text.")
    bases = readable_bases(user)
    narrowed.require_readable(bases)

    def embed_query(index: VectorIndex) -> Vector:
        spec = spec_of(index.fingerprint)
        with resources.lend_embedder(index.fingerprint.revision, spec) as engine:
            return engine.embed_query(question)

    where = Searched(list(bases.values_list("pk", flat=True)), binding.indexes)
    files = (resources.store, resources.index_cache)
    rank = resources.rank if narrowed.is_reranked else None
    k = max(wanted.k, RERANKED) if rank else wanted.k
    found = search_passages(question, where, k, embed_query, files, narrowed)
    hits = _rerank(question, found.hits, rank) if rank and found.hits else found.hits
    return replace(found, hits=hits[: wanted.k])


def _rerank(question: str, hits: list[Hit], rank: RankTexts) -> list[Hit]:
    """Return hits in the order of a rank model; as they were, where none can be asked now."""
    try:
        scores = rank(question, [hit.text for hit in hits])
    except SamError as error:
        logger.warning("a search goes on without its rank model: %s", error)
        return hits
    ranked = [replace(hit, relevance=score) for hit, score in zip(hits, scores, strict=True)]
    # Sorting is stable: equal ones stay in the order in which they were found.
    return sorted(ranked, key=lambda hit: -(hit.relevance or 0.0))


def passages_for(
    user: User, binding: Binding, wanted: PassageQuery, resources: AnswerResources
) -> FoundPassages:
    """Return what ``find_passages`` finds, numbered."""
    found = find_passages(user, binding, wanted, resources)
    passages = [Passage(number, hit) for number, hit in enumerate(found.hits, start=1)]
    return FoundPassages(passages, found.words_only)


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
    shown = [passage.shown for passage in used]
    if prompts.chat_format:
        # There the instructions are a part of the format, whose marks are control tokens.
        shown = [make_literal(text) for text in shown]
    parts = [prompts.system_prompt, INSTRUCTION, *shown]
    text = "\n\n".join(part for part in parts if part)
    return replace(prompts, system_prompt=text), used
