"""What is held back of a text that comes in pieces: as little as a mark could begin with, and no less."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from engines.runtimes.text.marks import split_undecided

texts = st.text(alphabet="ab< ", max_size=12)
marks = st.lists(st.text(alphabet="ab<", min_size=1, max_size=4), max_size=3)


@given(texts, marks, st.booleans())
def test_nothing_is_lost_and_only_what_may_become_a_mark_is_held(
    text: str, wanted: list[str], with_space: bool
) -> None:
    assume(not any(word in text for word in wanted))

    shown, held = split_undecided(text, wanted, with_space=with_space)

    assert shown + held == text
    mark = held.lstrip() if with_space else held
    assert not mark or any(word.startswith(mark) for word in wanted)
    assert not with_space or shown == shown.rstrip()


@given(texts, marks, texts)
def test_a_mark_that_ends_in_the_next_piece_was_held_from_its_beginning(
    text: str, wanted: list[str], more: str
) -> None:
    shown, _ = split_undecided(text, wanted)

    for word in wanted:
        at = (text + more).find(word)
        if at >= 0 and at + len(word) > len(text):
            assert len(shown) <= at
