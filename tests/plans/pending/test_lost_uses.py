"""What somebody uses that another engine lacks: said only where the engine they have does not lack it too."""

from __future__ import annotations

import pytest

from engines.services.catalog.capabilities import Capabilities, JsonUse, ToolUse
from engines.services.people.usage import RecentUse, describe_lost_uses

ABLE = Capabilities(ToolUse.TRAINED, JsonUse.HELD, False, False, 8000)
PLAIN = Capabilities(ToolUse.WRITTEN, JsonUse.NONE, False, False, 2000)
SERVED = Capabilities(ToolUse.SERVER, JsonUse.SERVER, False, False, 0)
MUCH, NOTHING = RecentUse(30, 3, 1, 5000), RecentUse(30, 0, 0, 0)


@pytest.mark.parametrize(
    ("used", "old", "new", "words"),
    [
        (MUCH, ABLE, PLAIN, ["3 times in the last 30 days you had tools", "Once", "5,000 tokens"]),
        (MUCH, None, PLAIN, ["calls may fail", "it refuses such requests", "New reads 2,000"]),
        (MUCH, ABLE, SERVED, ["its server may not"]),
        (MUCH, PLAIN, PLAIN, ["the oldest messages"]),
        (MUCH, PLAIN, ABLE, []),
        (MUCH, ABLE, ABLE, []),
        (NOTHING, ABLE, PLAIN, []),
    ],
)
def test_each_use_that_is_lost_is_a_sentence(
    used: RecentUse, old: Capabilities | None, new: Capabilities, words: list[str]
) -> None:
    told = describe_lost_uses(used, old, new, "New")

    assert len(told) == len(words)
    assert all(word in sentence for word, sentence in zip(words, told, strict=True))
    assert all(sentence.endswith(".") for sentence in told)
