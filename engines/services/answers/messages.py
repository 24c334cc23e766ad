"""What is asked for an answer and what comes back of it: one typed message for each event."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, structs

from engines.db.keys import MAX_ROW_ID
from engines.runtimes.base import ChatMessage
from engines.runtimes.text.generation import AskedOptions
from engines.services.knowledge.search import FoundBy, Hit
from engines.services.knowledge.search_filters import SearchFilter

MAX_MESSAGES = 2000
MAX_HITS = 100

RowId = Annotated[int, Meta(ge=1, le=MAX_ROW_ID)]
PassageCount = Annotated[int, Meta(ge=1, le=MAX_HITS)]


class FallbackCause(Struct, frozen=True):
    """The engine for which another one answers, and why it could not be made ready."""

    engine_id: str
    revision_id: RowId
    reason: str


class Question(AskedOptions, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be answered and how: ``messages``, or a raw ``prompt``."""

    messages: Annotated[list[ChatMessage], Meta(max_length=MAX_MESSAGES)] | None = None
    prompt: str | None = None
    knowledge: PassageCount | None = None
    """How many passages of the person's knowledge to answer from; None asks for none."""
    knowledge_filter: SearchFilter | None = None


class AnswerRequest(Question, frozen=True, kw_only=True, omit_defaults=True):
    """A question, and whose it is."""

    user_id: RowId
    revision_id: RowId | None = None
    """An engine other than the active one."""
    fallback_for: FallbackCause | None = None
    reservation_id: RowId | None = None
    """The tokens of the day that were set aside for the answer, by an estimate."""


class OtherPlace(Struct, frozen=True, kw_only=True):
    """Another document that holds the same passage."""

    document_id: int
    title: str
    chunk_id: int
    place: str = ""


class FoundPassage(Struct, frozen=True, kw_only=True):
    """A passage of a person's knowledge, and how near it is to the question.

    ``score`` is their cosine, 0 where one of the two has no vector; it is not what passages are ordered by.
    """

    chunk_id: int
    document_id: int
    base_id: int
    title: str
    text: str
    score: float
    content_hash: str
    place: str = ""
    """Its page, sheet or slide and the headings above it, for people."""
    also: list[OtherPlace] = []
    """The other documents that hold it."""
    found_by: FoundBy = FoundBy.VECTORS
    relevance: float | None = None
    """How well it answers the question, 0 to 1, where a rank model put the passages in order."""
    path: str = ""
    """Of the file that its document was made of."""
    heading: str = ""
    """The headings above it, the outermost first."""
    start: int | None = None
    """Where it begins in its document, in characters; unknown of the oldest passages."""
    end: int | None = None

    @classmethod
    def of(cls, hit: Hit) -> FoundPassage:
        return cls(
            chunk_id=hit.chunk_id,
            document_id=hit.document_id,
            base_id=hit.base_id,
            title=hit.title,
            text=hit.text,
            score=hit.score,
            content_hash=hit.content_hash.hex(),
            place=hit.place,
            also=[OtherPlace(**twin._asdict()) for twin in hit.also],
            found_by=hit.found_by,
            relevance=hit.relevance,
            path=hit.path,
            heading=hit.heading,
            start=hit.start,
            end=hit.end,
        )


class Citation(FoundPassage, frozen=True, kw_only=True):
    """A passage that an answer may name by its number."""

    number: int

    @classmethod
    def numbered(cls, number: int, hit: Hit) -> Citation:
        return cls(number=number, **structs.asdict(FoundPassage.of(hit)))


class StateEvent(Struct, frozen=True, tag_field="type", tag="state"):
    """The engine is not ready yet."""

    state: str = "loading"


class BeginEvent(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="begin"
):
    """An engine begins to answer."""

    engine_id: str
    revision_id: int
    adapters: int = 0
    """How many of the person's adapters it answers with."""
    fallback_for: FallbackCause | None = None
    has_no_switch: bool = False
    """Whether it was asked to reason or not, and has no switch for it."""
    has_no_effort: bool = False
    """Whether it was asked how much to think, and cannot be told."""


class FittedEvent(Struct, frozen=True, tag_field="type", tag="fitted"):
    """The engine's context had no room for so many of the oldest messages."""

    left_out: int


class CitationsEvent(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="citations"):
    """The passages that the engine was given."""

    citations: list[Citation]
    words_only: str = ""
    """Why they were found by words alone, in all or in some bases, and what to do; empty otherwise."""


class ReasoningEvent(Struct, frozen=True, tag_field="type", tag="reasoning"):
    """A part of what the model thinks before it answers."""

    text: str


class TextEvent(Struct, frozen=True, tag_field="type", tag="text"):
    """A part of the answer."""

    text: str


class ToolCallEvent(Struct, frozen=True, tag_field="type", tag="tool_call"):
    """A tool that the model wants to be called."""

    index: int
    id: str
    name: str
    arguments: str
    """JSON, as the model wrote it."""


class EndEvent(Struct, frozen=True, tag_field="type", tag="end"):
    """The answer is complete."""

    finish_reason: str
    """``stop``, ``length``, ``cancelled`` or ``tool_calls``."""
    prompt_tokens: int
    completion_tokens: int
    reused_tokens: int = 0
    """Tokens of the prompt that were computed for an earlier answer."""


AnswerPart = ReasoningEvent | TextEvent | ToolCallEvent
"""Events that are parts of the answer itself."""
Event = StateEvent | BeginEvent | FittedEvent | CitationsEvent | AnswerPart | EndEvent


class WholeAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An answer that is not streamed, and who gave it."""

    text: str
    engine_id: str
    revision_id: int
    adapters: int = 0
    left_out: int = 0
    fallback_for: FallbackCause | None = None
    citations: list[Citation] | None = None
    words_only: str = ""
    end: EndEvent | None = None
