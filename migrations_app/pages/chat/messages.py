"""A conversation's messages as its page draws them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.utils.safestring import SafeString

from engines.models import Message
from engines.services.knowledge.cutting.places import leave_out_title
from engines.services.knowledge.passages import CitedPassage, cited_passages
from migrations_app.pages.addresses import passage_address
from migrations_app.pages.chat.markdown import render_markdown

GONE = "a passage that is not there any more"


@dataclass(frozen=True, slots=True)
class Source:
    """A chip below an answer: which passage it was given."""

    number: int
    title: str
    href: str


@dataclass(frozen=True, slots=True)
class Bubble:
    """One message; ``html`` is an answer's text, ``text`` a person's."""

    pk: int
    role: str
    text: str
    html: SafeString
    at: datetime
    engine: str
    citations: list[Source]
    notes: list[str]
    """What to know of the answer: stopped, cut, by another engine than the person's."""
    turned_to: str = ""
    """The engine that writes from here on, where the one before was another."""
    is_last: bool = False

    @property
    def is_answer(self) -> bool:
        """Whether an engine wrote it."""
        return self.role == Message.Role.ASSISTANT


def draw_messages(user: User, messages: Sequence[Message]) -> list[Bubble]:
    """Return messages in their order, with the engine changes between them; one question for all."""
    cited = iter(cited_passages(user, [one for m in messages for one in m.citations]))
    passages = [[next(cited) for _ in message.citations] for message in messages]
    return list(_draw(messages, passages))


def _draw(
    messages: Sequence[Message], passages: Sequence[Sequence[CitedPassage]]
) -> Iterator[Bubble]:
    engine_before = ""
    for message, cited in zip(messages, passages, strict=True):
        engine = message.engine.display_name if message.engine else ""
        turns = bool(engine_before and engine and engine != engine_before)
        engine_before = engine or engine_before
        sources = [_source(one) for one in cited]
        links = {source.number: source.href for source in sources if source.href}
        is_answer = message.role == Message.Role.ASSISTANT
        yield Bubble(
            pk=message.pk,
            role=message.role,
            text="" if is_answer else message.content,
            html=render_markdown(message.content, links, links.__getitem__)
            if is_answer
            else SafeString(""),
            at=message.created_at,
            engine=engine,
            citations=sources,
            notes=list(_notes(message)),
            turned_to=engine if turns else "",
            is_last=message is messages[-1],
        )


def _source(one: CitedPassage) -> Source:
    if not one.is_available:
        return Source(one.number, GONE, "")
    title = " · ".join(part for part in (one.title, leave_out_title(one.place, one.title)) if part)
    return Source(one.number, title, passage_address(one.document_id, one.chunk_id))


def _notes(message: Message) -> Iterator[str]:
    if message.status == Message.Status.STOPPED:
        yield "Stopped"
    elif message.status == Message.Status.BROKEN:
        yield "Broken off"
    elif message.finish_reason == "length":
        yield "Cut at the longest answer asked for"
    cause = message.fallback_for
    if cause:
        yield f"For {cause['engine_id']}: {cause['reason']}"
    if message.left_out:
        yield f"Without the {message.left_out} oldest messages: the engine's context is full"
