"""What a server does not take, learned from what it refuses.

Remembered in this process, for each model of a server and for some hours: a server may be upgraded, and
another process learns the same from one refused request.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Iterator

from engines.runtimes.text.response_format import Json

logger = logging.getLogger(__name__)

REMEMBER_SECONDS = 6 * 3600.0
EFFORT = "reasoning_effort"
LIMIT, NEW_LIMIT = "max_tokens", "max_completion_tokens"
NO_LIMIT = "max_tokens: null"
"""How a server is remembered that takes a number only."""
OPTIONAL = frozenset(
    {
        LIMIT,
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "stop",
        "repeat_penalty",
        "repetition_penalty",
        "stream_options",
        "chat_template_kwargs",
        "parallel_tool_calls",
        "encoding_format",
        EFFORT,
    }
)
"""Fields without which a request still asks the same, the limit by its newer name. Stop words
are looked for here too; tools and formats are none of these."""
_UNSUPPORTED = re.compile(
    r"unsupported|support|unknown|unrecogni[sz]ed|unexpected|extra[ _](?:input|field|forbidden)"
    r"|not (?:permitted|allowed|available|known|recogni[sz]ed|implemented)|forbidden"
    r"|cannot find|no such|invalid (?:argument|parameter|field|name)|does not (?:take|accept|know)",
    re.IGNORECASE,
)
"""What tells a field that is not known from a value that is wrong."""


class ServerLimits:
    """Which fields one model of a server takes; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refused: frozenset[str] = frozenset()
        self._until = time.monotonic() + REMEMBER_SECONDS

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() < self._until

    @property
    def refused(self) -> list[str]:
        """Names of the fields that are not sent any more."""
        return sorted(self._refused)

    def adapted(self, fields: Json) -> Json:
        """Return the fields of a request as the server takes them."""
        refused = self._refused
        sent = {name: value for name, value in fields.items() if name not in refused}
        if NO_LIMIT in refused and fields.get(LIMIT, 0) is None:
            sent.pop(LIMIT, None)
        limit = fields.get(LIMIT)
        if LIMIT in refused and limit is not None:
            sent[NEW_LIMIT] = limit
        return sent

    def learn(self, sent: Json, refusal: str) -> bool:
        """Note what a refusal says of the fields that were sent; False when it says nothing new."""
        named = _named_fields(sent, refusal)
        found = (
            {name for name in named if name in OPTIONAL} if _UNSUPPORTED.search(refusal) else set()
        )
        if EFFORT in named:
            # A wish: of a server that does not take its value it is not asked any more.
            found.add(EFFORT)
        if LIMIT in named and sent[LIMIT] is None:
            # Not even its type is wanted.
            found.add(NO_LIMIT)
        with self._lock:
            self._refused |= found
        if found:
            logger.info("a server does not take %s: not sent any more", ", ".join(sorted(found)))
        return bool(found)


_lock = threading.Lock()
_known: dict[tuple[str, str], ServerLimits] = {}


def limits_of(endpoint: str, model: str) -> ServerLimits:
    """Return what this process knows of a model of a server."""
    with _lock:
        known = _known.get((endpoint, model))
        if known is None or not known.is_fresh:
            known = _known[endpoint, model] = ServerLimits()
        return known


def _named_fields(sent: Json, refusal: str) -> set[str]:
    """Return the fields that a refusal is about: those it names as such, else the first in its text."""
    named = {name for name in _structured_names(refusal) if name in sent}
    if named:
        return named
    places = {name: found.start() for name in sent if (found := _word(name).search(refusal))}
    return {min(places, key=lambda name: places[name])} if places else set()


def _word(name: str) -> re.Pattern[str]:
    # Some servers say presencePenalty.
    return re.compile(rf"(?<!\w){name.replace('_', '_?')}(?!\w)", re.IGNORECASE)


def _structured_names(refusal: str) -> Iterator[str]:
    """Yield what a body calls the field at fault: OpenAI's ``param``, the last of pydantic's ``loc``."""
    try:
        level: list[object] = [json.loads(refusal)]
    except (ValueError, RecursionError):
        return
    while level:
        one = level.pop()
        if isinstance(one, list):
            level += one
        elif isinstance(one, dict):
            level += one.values()
            place = one.get("loc")
            name = place[-1] if isinstance(place, list) and place else one.get("param")
            if isinstance(name, str):
                yield name
