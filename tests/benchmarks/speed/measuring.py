"""What is measured of a contender: tokens of many streams, the first one's delay, the longest pause."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count, pairwise

from tests.benchmarks.speed.contenders import Contender, Question, Streamed

BACKGROUND_TOKENS = 128
PROBE_TOKENS = 4
LONG_WORDS = 1_950
"""Make about 4,000 tokens of SmolLM2's."""
WATCH_SECONDS = 2.0
IN_LINE = 4
"""Answers that are enough of who computes one at a time: the rate does not depend on how many wait."""

_numbers: Iterator[int] = count(1)


@dataclass(frozen=True, slots=True)
class Rate:
    """Answers of streams that ran together."""

    tokens_per_second: float
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pause:
    """What a long prompt of one person costs others; seconds."""

    usual: float
    """The longest pause of the others before it was asked."""
    longest: float
    """And while it was read."""
    turn: float
    """How long a piece of it and a token of all others take, on the average."""


def question(asker: int, number: int, tokens: int) -> Question:
    """Return a question; what the numbers make of it comes first, so that no cache helps.

    Those of neighbours begin with other digits: who keeps the last prompt would read less of the next one.
    """
    begin = f"{number * 7919 % 10_007}, {number} is the number of this talk. You are a patient storyteller."
    ask = "Tell a long story of the harbour, the people who work there and what they saw at sea."
    messages = [{"role": "system", "content": begin}, {"role": "user", "content": ask}]
    return Question(messages, tokens, asker)


async def together(contender: Contender, streams: int, tokens: int, number: int) -> Rate:
    """Ask as many questions at once; ``number`` makes them others than before, the same of all."""
    answers = streams if contender.at_once else min(streams, IN_LINE)
    asked = [question(n, number * 1000 + n, tokens) for n in range(answers)]
    begun = time.perf_counter()
    done = await asyncio.gather(*(contender.answer(each) for each in asked))
    seconds = time.perf_counter() - begun
    rate = sum(answer.tokens for answer in done) / seconds
    return Rate(rate, tuple(answer.text for answer in done))


async def first_tokens_in_turn(
    contenders: Sequence[Contender], probes: int
) -> dict[str, list[float]]:
    """Return the seconds to each one's first token of the same questions, which they are asked in turn.

    A machine's speed changes by more within minutes than what they differ by.
    """
    found: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for number in range(probes):
        asked = question(0, next(_numbers) * 1000, PROBE_TOKENS)
        at = number % len(contenders)
        for contender in (*contenders[at:], *contenders[:at]):
            found[contender.name].append((await contender.answer(asked)).first)
    return found


async def first_tokens(contender: Contender, others: int, probes: int) -> list[float]:
    """Return the seconds to the first token of one who asks again and again while others are answered."""
    async with _background(contender, others):
        found = []
        for _ in range(probes):
            answer = await contender.answer(question(0, next(_numbers) * 1000, PROBE_TOKENS))
            found.append(answer.first)
    return found


def long_text() -> str:
    """Return a text that begins as no other one."""
    words = " ".join(f"w{n % 10}" for n in range(LONG_WORDS))
    return f"{next(_numbers) * 7919} {words}"


async def pause_by_long_prompt(contender: Contender, others: int, pieces: int) -> Pause:
    """Return how long the others pause while one person's long text is read, in so many pieces."""
    asked = Question([{"role": "user", "content": long_text()}], 1, 0)
    async with _background(contender, others) as answers:
        await asyncio.sleep(WATCH_SECONDS)
        middle = time.perf_counter()
        long = await contender.answer(asked)
        ended = time.perf_counter()
    usual = max(_pauses(answers, middle - WATCH_SECONDS, middle), default=0.0)
    longest = max(_pauses(answers, middle, ended), default=0.0)
    return Pause(usual, longest, long.first / pieces)


def _pauses(answers: list[Streamed], since: float, until: float) -> Iterator[float]:
    """Yield the pauses between two pieces of one answer that lie within a time."""
    for answer in answers:
        for before, after in pairwise(answer.moments):
            if after > since and before < until:
                yield after - before


@asynccontextmanager
async def _background(contender: Contender, others: int) -> AsyncIterator[list[Streamed]]:
    """Keep others' answers going; those that ended are known after the block."""
    answers: list[Streamed] = []
    is_over = asyncio.Event()

    async def go_on(asker: int) -> None:
        while not is_over.is_set():
            asked = question(asker, next(_numbers) * 1000, BACKGROUND_TOKENS)
            answers.append(await contender.answer(asked))

    tasks = [asyncio.create_task(go_on(number)) for number in range(1, others + 1)]
    # Until their prompts are read.
    await asyncio.sleep(0.1 * others)
    yield answers
    is_over.set()
    await asyncio.gather(*tasks)
