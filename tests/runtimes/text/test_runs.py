"""What a native tokenizer cannot bear is refused before it gets it."""

from __future__ import annotations

import pytest

from engines.exceptions import InvalidRequestError
from engines.runtimes.text.runs import MAX_RUN, require_breaks

KINDS = {"blanks": " ", "letters": "a", "digits": "7", "signs": "\x01\n"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_is_refused_with_its_kind_and_place(kind: str) -> None:
    run = (KINDS[kind] * MAX_RUN)[:MAX_RUN]
    before, after = ("x ", " x") if kind in ("digits", "letters") else ("xx", "xx")

    require_breaks(f"{before}{run}{after}")
    longer = f"{before}{run}{KINDS[kind][0]}{after}"
    with pytest.raises(
        InvalidRequestError, match=rf"{MAX_RUN + 1} {kind} in a row, from character 2 on"
    ):
        require_breaks(longer)


def test_long_texts_with_breaks_are_borne() -> None:
    require_breaks("by the water, at night; " * 50_000)
    require_breaks("a1" * 50_000)
    require_breaks("\n".join(["=" * 79] * 80 + ["end"]) * 20)
