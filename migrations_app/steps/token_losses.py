"""What an embedder's own tokenizer makes of a base: passages it has no tokens for, and those longer than it reads.

Every passage is read, none is embedded: it costs seconds where a re-embedding costs hours. An embedder whose
tokenizer is elsewhere, a server's, says nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TypedDict

from engines.models import Chunk
from engines.runtimes.reading import TokenReading
from engines.services.knowledge.recutting import TokenReader
from migrations_app.steps.scripts import script_of

PAGE = 500
UNKNOWN_SHARE = 0.5
"""Of a passage's own tokens; from so many unknown ones on the embedder does not know what it says."""
LEAST = 7
"""Passages that are lost in one script, or in all that have few, before a plan is stopped for it; of fewer the
result tells.
"""
AS_BEFORE = "The embedder that is in use knows no more of them."
NAMED = 8
"""Scripts with few passages that a sentence names."""


class ScriptTokens(TypedDict):
    """What was counted of the passages in one script; a text that several passages hold counts once."""

    passages: int
    unknown: int
    """Passages that the embedder does not know: most of their tokens are unknown."""
    long: int
    """Passages that are longer than it reads, and embedded in parts."""
    tokens: int
    framing: int
    """Of them, those that stand around every text, whatever it says."""
    unknown_tokens: int
    tokens_beyond: int
    alike: int
    """Texts that are the same to it as a different text."""


class TokenLosses(TypedDict):
    """What was counted of a base, and what people should know of it."""

    passages: int
    is_whole: bool
    """Whether every passage was counted; else time ran out."""
    scripts: dict[str, ScriptTokens]
    sentences: list[str]


def count_token_losses(
    base_ids: Collection[int],
    embedder: object,
    checkpoint: Callable[[], None],
    *,
    until: float | None = None,
) -> TokenLosses | None:
    """Read all live passages of bases with an embedder's tokenizer; None where it has none of its own.

    ``checkpoint`` is called between pages and may raise to stop; at ``until`` (monotonic seconds) it ends.
    """
    scripts: dict[str, ScriptTokens] = {}
    digests: list[tuple[str, str]] = []
    is_whole = True
    for texts in _pages(base_ids):
        checkpoint()
        # What was counted of a page is worth more than nothing, so the first one always is.
        if digests and until is not None and time.monotonic() > until:
            is_whole = False
            break
        readings = embedder.read_documents(texts) if isinstance(embedder, TokenReader) else None
        if readings is None:
            return None
        for text, reading in zip(texts, readings, strict=True):
            script = script_of(text)
            _count(scripts.setdefault(script, _nothing()), reading)
            if reading.tokens:
                digests.append((reading.digest, script))
    times = Counter(digest for digest, _ in digests)
    for digest, script in digests:
        scripts[script]["alike"] += times[digest] > 1
    passages = sum(one["passages"] for one in scripts.values())
    return {
        "passages": passages,
        "is_whole": is_whole,
        "scripts": scripts,
        "sentences": list(_sentences(scripts, passages)),
    }


def list_unknown_scripts(old: TokenLosses | None, new: TokenLosses | None) -> list[str]:
    """Return the sentences about scripts that the old embedder knows and the new one does not.

    Scripts with few passages each are counted together: a shelf of many languages is lost as one.
    """
    if old is None or new is None:
        return []
    known, scripts = old["scripts"], sorted(new["scripts"].items())
    lost = {
        script: one["unknown"] - known[script]["unknown"]
        for script, one in scripts
        if script in known
    }
    sentences = [
        _say_unknown(script, one, new["passages"])
        for script, one in scripts
        if lost.get(script, 0) >= LEAST
    ]
    few = {script: number for script, number in lost.items() if 0 < number < LEAST}
    if sum(few.values()) >= LEAST:
        sentences.append(_say_few_unknown(few, new["passages"]))
    return sentences


def say_known_before(old: TokenLosses | None, new: TokenLosses) -> list[str]:
    """Return the sentence that nothing more is unknown than before; none where that is not known, or not so."""
    if old is None or not (old["is_whole"] and new["is_whole"]):
        return []
    known = {script: one["unknown"] for script, one in old["scripts"].items()}
    loses = any(one["unknown"] > known.get(script, 0) for script, one in new["scripts"].items())
    return [] if loses else [AS_BEFORE]


def _pages(base_ids: Collection[int]) -> Iterator[list[str]]:
    """Yield distinct live texts, in the order of their passages."""
    live = Chunk.objects.filter(base_id__in=base_ids, deleted_seq__isnull=True)
    seen, after = set[bytes](), 0
    while rows := list(
        live.filter(pk__gt=after).order_by("pk").values_list("pk", "content_hash", "text")[:PAGE]
    ):
        after = rows[-1][0]
        fresh = {bytes(key): text for _, key, text in rows if bytes(key) not in seen}
        seen |= fresh.keys()
        if fresh:
            yield list(fresh.values())


def _nothing() -> ScriptTokens:
    return {
        "passages": 0,
        "unknown": 0,
        "long": 0,
        "tokens": 0,
        "framing": 0,
        "unknown_tokens": 0,
        "tokens_beyond": 0,
        "alike": 0,
    }


def _count(counts: ScriptTokens, reading: TokenReading) -> None:
    # Those that open and close a text stand around every text.
    own = max(reading.tokens - reading.framing, 0)
    counts["passages"] += 1
    counts["unknown"] += own > 0 and reading.unknown >= UNKNOWN_SHARE * own
    counts["long"] += reading.beyond > 0
    counts["tokens"] += reading.tokens
    counts["framing"] += reading.tokens - own
    counts["unknown_tokens"] += reading.unknown
    counts["tokens_beyond"] += reading.beyond


def _sentences(scripts: dict[str, ScriptTokens], passages: int) -> Iterator[str]:
    for script, one in sorted(scripts.items(), key=lambda item: -item[1]["unknown"]):
        if one["unknown"]:
            yield _say_unknown(script, one, passages)
    long = sum(one["long"] for one in scripts.values())
    if long:
        beyond = sum(one["tokens_beyond"] for one in scripts.values())
        yield (
            f"{long} of {passages} passages are longer than this embedder reads, by {beyond} tokens together; "
            "they are embedded in parts."
        )
    alike = sum(one["alike"] for one in scripts.values())
    if alike:
        yield f"{alike} different texts have the very tokens of another text, and this embedder cannot tell them apart."


def _say_few_unknown(few: Mapping[str, int], passages: int) -> str:
    named = ", ".join(list(few)[:NAMED])
    more = f" and {len(few) - NAMED} more" if len(few) > NAMED else ""
    return (
        f"{sum(few.values())} of {passages} passages are in scripts that this embedder does not know, with few "
        f"passages each: {named}{more}."
    )


def _say_unknown(script: str, one: ScriptTokens, passages: int) -> str:
    if one["unknown"] < one["passages"]:
        # It may know the script: other passages, or words of another script in these.
        return (
            f"{one['unknown']} of {one['passages']} passages in {script} are mostly unknown to this embedder, and "
            f"{one['unknown_tokens']} of all {one['tokens'] - one['framing']} tokens there."
        )
    return (
        f"{one['unknown']} of {passages} passages are in {script}, which this embedder does not know: "
        f"{one['unknown_tokens']} of {one['tokens'] - one['framing']} tokens there are unknown to it."
    )
