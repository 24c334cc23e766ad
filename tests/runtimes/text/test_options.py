"""Options of a generation: one list of names and limits, and defaults within them."""

from __future__ import annotations

from dataclasses import fields

import pytest

from engines.exceptions import InvalidRequestError
from engines.parsing import convert_or_refuse
from engines.runtimes.text.generation import AskedOptions, GenerationOptions, SamplingOptions

OPTIONS = {
    "max_tokens": (0, 2**31 - 1),
    "temperature": (0.0, 10.0),
    "top_p": (0.0, 1.0),
    "top_k": (0, 2**31 - 1),
    "min_p": (0.0, 1.0),
    "seed": (0, 2**32 - 1),
    "repeat_penalty": (0.1, 10.0),
    "frequency_penalty": (-2.0, 2.0),
    "presence_penalty": (-2.0, 2.0),
}


def test_what_can_be_asked_for_is_what_an_engine_is_given() -> None:
    asked = set(AskedOptions.__struct_fields__)

    assert asked == {field.name for field in fields(GenerationOptions)} - {"owner"}
    assert set(SamplingOptions.__struct_fields__) == {*OPTIONS, "stop"}


@pytest.mark.parametrize("name", OPTIONS)
def test_both_readers_keep_the_same_limits(name: str) -> None:
    low, high = OPTIONS[name]
    for value in (low, high):
        assert getattr(GenerationOptions.parse({name: value}), name) == value
        assert convert_or_refuse({name: value}, AskedOptions).given_options() == {name: value}
    for wrong in (low - 0.01, low - 1, high + 1, "1", True):
        with pytest.raises(InvalidRequestError, match=name):
            GenerationOptions.parse({name: wrong})
        with pytest.raises(InvalidRequestError, match=name):
            convert_or_refuse({name: wrong}, AskedOptions)


def test_the_defaults_are_within_the_limits() -> None:
    defaults = GenerationOptions()

    assert GenerationOptions.parse({name: getattr(defaults, name) for name in OPTIONS}) == defaults
