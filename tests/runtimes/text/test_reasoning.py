from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.runtimes.notation.description import THINK
from engines.runtimes.notation.reasoning import ReasoningSplitter


def _split(parts: list[str], *, opened: bool = False) -> tuple[str, str]:
    splitter = ReasoningSplitter(THINK, opened=opened)
    pieces = [piece for part in parts for piece in splitter.add(part)] + splitter.finish()
    assert all(piece.text for piece in pieces)
    kinds = [piece.is_reasoning for piece in pieces]
    assert kinds == sorted(kinds, reverse=True), "reasoning comes first"
    thought, said = (
        "".join(piece.text for piece in pieces if piece.is_reasoning is kind)
        for kind in (True, False)
    )
    return thought, said


@pytest.mark.parametrize(
    ("text", "thought", "said"),
    [
        ("<think>\nwhy\n</think>\n\nso", "why", "so"),
        ("\n <think>a < b </thin </think>so", "a < b </thin", "so"),
        ("<think></think>so", "", "so"),
        ("<think>never ends", "never ends", ""),
        (" plain <think>not at the beginning</think>", "", " plain <think>not at the beginning</think>"),
        ("<thi", "", "<thi"),
        ("<think>why</think>so <think>again</think>", "why", "so <think>again</think>"),
        ("", "", ""),
    ],
)  # fmt: skip
def test_reasoning_is_taken_apart(text: str, thought: str, said: str) -> None:
    assert _split([text]) == (thought, said)
    assert _split(list(text)) == (thought, said)


def test_prompt_may_have_opened_the_reasoning() -> None:
    assert _split(["why</think>so"], opened=True) == ("why", "so")
    assert _split(["why"], opened=True) == ("why", "")


def test_where_no_marks_are_known_the_usual_ones_are_read_at_the_start_alone() -> None:
    told, plain = ReasoningSplitter(("", "")), ReasoningSplitter(("", ""))

    shown = [*told.add(" <think>so</think>yes"), *told.finish()]
    assert [(piece.text, piece.is_reasoning) for piece in shown] == [("so", True), ("yes", False)]
    shown = [*plain.add(" a <think>so"), *plain.finish()]
    assert [(piece.text, piece.is_reasoning) for piece in shown] == [(" a <think>so", False)]


PARTS = st.lists(
    st.sampled_from(["<", "think>", "<think>", "</", "</think>", " ", "\n", "a", "b<"])
)


@given(PARTS, st.booleans())
def test_where_the_text_is_cut_changes_nothing(parts: list[str], opened: bool) -> None:
    whole = _split(["".join(parts)], opened=opened)

    assert _split(parts, opened=opened) == whole
    assert _split(list("".join(parts)), opened=opened) == whole


def test_calls_with_which_thoughts_end_are_looked_for_once() -> None:
    looked: list[str] = []

    def is_call(text: str, *, alone: bool) -> bool:
        looked.append(text)
        return alone

    splitter = ReasoningSplitter(THINK, leads=["<call>"], is_call=is_call)
    said = ["<think>Hm.<call>x</call></think>", *["\n"] * 50]
    pieces = [piece for part in said for piece in splitter.add(part)] + splitter.finish()

    assert looked == ["<call>x</call>"]
    assert [(piece.text, piece.is_reasoning) for piece in pieces] == [
        ("Hm.", True),
        ("<call>x</call>", False),
    ]
