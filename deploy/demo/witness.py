"""What a person sees of SAM at one moment, through nothing but the REST API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.demo.questions import QUESTIONS, Question
from deploy.demo.rest import Api

HITS = 5
ANSWER_TOKENS = 24
_SENTENCE_TOKENS = 60
WORDS = "Which page should I read first?"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Search:
    """One answered search."""

    question: Question
    hits: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Answer:
    """A greedy answer, the engine that wrote it, and everything that was in front of it."""

    engine: str
    text: str
    messages: Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Observation:
    """One moment as Ada sees it."""

    searches: Sequence[Search]
    fresh: Answer
    """To the same words in a new conversation each time."""
    continued: Answer
    """In the one conversation that goes through the whole migration."""
    preference: Row
    prompts: Row
    adapters: Sequence[Row]

    @property
    def adapter(self) -> Row:
        return next(iter(self.adapters))


def observe(api: Api, conversation: int, adapter: int) -> Observation:
    """Search, chat and read the settings; the adapter's row comes first."""
    preference = api.get("preferences")
    prompts = api.get(f"prompts/{preference['prompt_family']}")
    with api.conversation("Quickstart: the same words again") as number:
        fresh = ask(api, number, prompts)
    return Observation(
        searches=[search(api, question) for question in QUESTIONS],
        fresh=fresh,
        continued=ask(api, conversation, prompts),
        preference=preference,
        prompts=prompts,
        adapters=sorted(api.rows("adapters"), key=lambda row: row["id"] != adapter),
    )


def search(api: Api, question: Question) -> Search:
    """Search as any client does."""
    # By vectors alone: the proofs hold the order against cosines.
    answer = api.post("search", {"query": question.text, "k": HITS, "mode": "vectors"})
    return Search(question, answer["hits"])


def ask(api: Api, conversation: int, prompts: Row) -> Answer:
    """Say the demo's words and take the greedy answer."""
    before = said_in(api, conversation)
    body = {"content": WORDS, "max_tokens": ANSWER_TOKENS, "temperature": 0.0}
    exchange = api.post(f"conversations/{conversation}/messages", body)
    messages = [*_system(prompts), *before, _said(exchange["message"])]
    return Answer(exchange["answer"]["engine"], exchange["answer"]["content"], messages)


@dataclass(frozen=True, slots=True)
class Grounded:
    """An answer that was written from passages, and the passages that it names."""

    question: Question
    engine: str
    text: str
    citations: Sequence[Row]


def ask_knowledge(api: Api, web: str, question: Question) -> Grounded:
    """Ask over ``/v1``, as any client of OpenAI's does, for one sentence out of the best passage."""
    body = {
        "model": "sam",
        "messages": [{"role": "user", "content": question.text}],
        "temperature": 0.0,
        "max_tokens": _SENTENCE_TOKENS,
        "stop": [". ", ".\n", "\n\n"],
        "knowledge": {"k": 1},
    }
    answer = api.post(f"{web}/v1/chat/completions", body)
    text = answer["choices"][0]["message"]["content"]
    return Grounded(question, answer["model"], text, answer["citations"])


def said_in(api: Api, conversation: int) -> list[Mapping[str, str]]:
    """Return a conversation's messages as an engine is given them."""
    return [_said(row) for row in api.rows(f"conversations/{conversation}/messages")]


def _system(prompts: Row) -> list[Mapping[str, str]]:
    text = "\n\n".join(filter(None, (prompts["system_prompt"], prompts["reasoning_prompt"])))
    return [{"role": "system", "content": text}] if text else []


def _said(row: Row) -> Mapping[str, str]:
    return {"role": row["role"], "content": row["content"]}
