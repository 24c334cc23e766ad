"""Values in a schema that would end the process which makes a grammar of them."""

from __future__ import annotations

from typing import Any

import pytest

from engines.exceptions import InvalidRequestError
from engines.runtimes.text.response_format import parse_format


def form(inner: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"k": inner}}
    return {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}


@pytest.mark.parametrize("inner", [{"enum": ["a", -(2**63)]}, {"const": -(2**63) + 1}])
def test_a_choice_far_below_zero_is_refused(inner: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match=r"number below -4611686018427387904 as a value"):
        parse_format(form(inner))


@pytest.mark.parametrize("inner", [{"enum": ["a", -5]}, {"type": "integer", "minimum": -(2**63)}])
def test_other_numbers_are_taken(inner: dict[str, Any]) -> None:
    assert parse_format(form(inner)) is not None
