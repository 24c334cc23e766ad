"""What ``/v1`` costs above llama-cpp-python called directly, and how evenly it serves many at once.

Both stream the same greedy answers, with the same model file, threads and context, turn by turn; SAM through
the unmodified ``openai`` client and all of its processes. Each question is new and llama-cpp-python forgets
the one before, so neither finds its beginning in a cache.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import openai
from django.contrib.auth.models import User
from llama_cpp import Llama
from rest_framework.authtoken.models import Token
from rich.console import Console
from rich.table import Table

from deploy.demo.models.tiny_models import write_llama_chat
from engines.models import CatalogModel, EnginePreference
from tests.benchmarks.sam_stack import SamStack
from tests.benchmarks.steps import embedder_here

SCALES = (1, 4)
"""Of the tiny model: as the tests use it (0.4 million weights), and with about 8 ms a token."""
CONTEXT = 4096
TOKENS = 64
ROUNDS = 15
WARM_UPS = 12
"""Also of PostgreSQL, which settles on a plan after a few questions."""
STREAMS = 16
STREAMED_TOKENS = 192
"""Of each of the streams at once: shorter ones of the tiny model end before the last has begun."""
PATIENCE = 300.0

MOST_PER_TOKEN = 1.10
MOST_FIRST_MS = 30.0
MOST_SPREAD = 1.5


@dataclass(frozen=True, slots=True)
class Streamed:
    """One answer as its reader saw it; seconds."""

    text: str
    first: float
    whole: float
    per_token: float
    """Between the first token and the last."""
    ended_early: bool = False
    """Whether the model had no more to say."""


def run(console: Console) -> None:
    """Measure both models and print the tables."""
    threads = max((os.cpu_count() or 2) // 2, 1)  # what llama-cpp-python takes by itself
    with tempfile.TemporaryDirectory() as folder:
        _measure_all(console, Path(folder), threads)


def _measure_all(console: Console, folder: Path, threads: int) -> None:
    with SamStack(folder, SAM_ENGINE_THREADS=str(threads)) as sam:
        for scale in SCALES:
            path = write_llama_chat(folder / f"{scale}.gguf", context_length=CONTEXT, scale=scale)
            size = f"{path.stat().st_size / 1e6:.1f} MB"
            options = {"base_url": sam.address, "api_key": person_with(path), "timeout": PATIENCE}
            console.print(overhead(path, options, threads))
            console.print(at_once(size, options))
            options["api_key"] = person_with(path, batch_invariant=True)
            console.print(at_once(f"{size}, batch_invariant", options))


def person_with(path: Path, *, batch_invariant: bool = False) -> str:
    """Make a person whose engine is this file; returns the key."""
    name = f"bench-{path.stem}{'-invariant' if batch_invariant else ''}"
    revision = embedder_here(name, path)
    CatalogModel.objects.filter(pk=revision.model_id).update(batch_invariant=batch_invariant)
    user = User.objects.create_user(f"{name}-{time.monotonic_ns()}")
    EnginePreference.objects.create(user=user, engine=revision.model, revision=revision)
    return str(Token.objects.create(user=user).key)


def question(number: int, tokens: int = TOKENS) -> dict[str, Any]:
    """What both are asked; the numbers come first, so that no two begin alike."""
    content = f"{number}{number * 7919} Say something of the harbour and the people who work there."
    return {
        "messages": [{"role": "user", "content": content}],
        "max_tokens": tokens,
        "temperature": 0,
    }


def overhead(path: Path, options: dict[str, Any], threads: int) -> Table:
    """Ask the same questions of both, turn by turn; medians of the differences."""
    same: dict[str, Any] = {"n_threads": threads, "n_threads_batch": threads, "flash_attn": True}
    direct = Llama(str(path), n_ctx=CONTEXT, verbose=False, **same)
    with openai.OpenAI(**options) as client:
        rows = [
            (_directly(direct, number), _through_sam(client, number))
            for number in range(-WARM_UPS, ROUNDS)
        ]
    direct.close()
    return _table(path, rows[WARM_UPS:])


def _directly(model: Llama, number: int) -> Streamed:
    model.reset()  # type: ignore[no-untyped-call]
    begun = time.perf_counter()
    answer: Any = model.create_chat_completion(**question(number), stream=True)
    return _watch_child(begun, (c["choices"][0]["delta"].get("content") for c in answer))


def _through_sam(client: openai.OpenAI, number: int) -> Streamed:
    begun = time.perf_counter()
    answer: Any = client.chat.completions.create(model="sam", **question(number), stream=True)
    return _watch_child(begun, (c.choices[0].delta.content for c in answer if c.choices))


def _watch_child(begun: float, pieces: Iterator[str | None]) -> Streamed:
    said: list[str] = []
    seen: list[float] = []
    for piece in pieces:
        if piece:
            said.append(piece)
            seen.append(time.perf_counter())
    whole = time.perf_counter() - begun
    return Streamed("".join(said), seen[0] - begun, whole, (seen[-1] - seen[0]) / (TOKENS - 1))


def _table(path: Path, rows: list[tuple[Streamed, Streamed]]) -> Table:
    size = f"{path.stat().st_size / 1e6:.1f} MB, {TOKENS} tokens, {len(rows)} rounds"
    table = Table("", "direct", "/v1", "overhead", "wanted", title=f"One stream, {size}")
    for name, field in (("first token, ms", "first"), ("whole answer, ms", "whole")):
        ours, theirs = (median(getattr(row[n], field) for row in rows) * 1000 for n in (1, 0))
        more = median(getattr(sam, field) - getattr(raw, field) for raw, sam in rows) * 1000
        wanted = f"at most +{MOST_FIRST_MS:.0f}" if field == "first" else ""
        table.add_row(name, f"{theirs:.2f}", f"{ours:.2f}", f"{more:+.1f}", wanted)
    raw, sam = (median(row[n].per_token for row in rows) * 1000 for n in (0, 1))
    ratio = median(sam.per_token / raw.per_token for raw, sam in rows)
    wanted = f"at most {MOST_PER_TOKEN:.2f}×"
    table.add_row("a token, ms", f"{raw:.2f}", f"{sam:.2f}", f"{ratio:.2f}×", wanted)
    same = sum(raw.text == sam.text for raw, sam in rows)
    table.add_row("same text", "", f"{same} of {len(rows)}")
    return table


def at_once(what: str, options: dict[str, Any]) -> Table:
    """Stream many answers alone and then all at once, by one event loop."""
    return asyncio.run(_at_once(what, options))


async def _at_once(what: str, options: dict[str, Any]) -> Table:
    async with openai.AsyncOpenAI(**options) as client:
        # Connections are opened, which is not what is measured.
        await asyncio.gather(*(_streamed(client, -number) for number in range(1, STREAMS + 1)))
        begun = time.perf_counter()
        alone = [await _streamed(client, number) for number in range(STREAMS)]
        middle = time.perf_counter()
        together = await asyncio.gather(*(_streamed(client, number) for number in range(STREAMS)))
        ended = time.perf_counter()
    title = f"{STREAMS} streams, {what}, {STREAMED_TOKENS} tokens each"
    table = Table("", "one by one", "at once", "wanted", title=title)
    seconds = sorted(answer.whole for answer in together if not answer.ended_early)
    table.add_row("all, s", f"{middle - begun:.2f}", f"{ended - middle:.2f}", "")
    firsts = (median(answer.first for answer in answers) for answers in (alone, together))
    table.add_row("first token, median s", *(f"{first:.3f}" for first in firsts), "")
    same = sum(one.text == other.text for one, other in zip(alone, together, strict=True))
    table.add_row("same text", "", f"{same} of {STREAMS}", "all")
    spread = f"{seconds[-1] / seconds[0]:.2f}×"
    table.add_row(
        f"slowest over fastest of {len(seconds)} of full length",
        "",
        spread,
        f"at most {MOST_SPREAD:.2f}×",
    )
    return table


async def _streamed(client: openai.AsyncOpenAI, number: int) -> Streamed:
    begun = time.perf_counter()
    asked = question(number, STREAMED_TOKENS)
    answer: Any = await client.chat.completions.create(model="sam", **asked, stream=True)
    said: list[str] = []
    first, reason = 0.0, None
    async for chunk in answer:
        piece = chunk.choices[0].delta.content if chunk.choices else None
        reason = chunk.choices[0].finish_reason or reason
        first = first or (time.perf_counter() - begun if piece else 0.0)
        said.append(piece or "")
    whole = time.perf_counter() - begun
    per_token = (whole - first) / (STREAMED_TOKENS - 1)
    return Streamed("".join(said), first, whole, per_token, ended_early=reason == "stop")
