"""Calls of tools as servers stream them, and the events that carry them."""

from __future__ import annotations

from typing import Any

import pytest

from engines.runtimes.servers.openai_stream import read_data
from engines.runtimes.servers.tool_formats import OpenAICalls
from tests.runtimes.servers.picky_server import Json

NAMES = ("get_time", "get_date")
HALVES = ('{"zone": ', '"UTC"}')
TIME = ("get_time", '{"zone": "UTC"}')


def piece(name: Any = None, arguments: Any = "", **more: Any) -> Json:
    return {"function": {"name": name, "arguments": arguments}, **more}


CALLS: dict[str, tuple[list[Any], list[tuple[str, str]]]] = {
    "as the API says": (
        [piece("get_time", HALVES[0], index=0, id="a"), piece(None, HALVES[1], index=0)],
        [TIME],
    ),
    "the name with every part": (
        [piece("get_time", half, index=0, id="a") for half in HALVES],
        [TIME],
    ),
    "the name so far with every part": (
        [piece("get_", "", index=0), piece("get_time", HALVES[0], index=0), piece("", HALVES[1])],
        [TIME],
    ),
    "the name in two parts": (
        [piece("get_", "", index=0, id="a"), piece("time", HALVES[0] + HALVES[1], index=0)],
        [TIME],
    ),
    "the same index, ids of their own": (
        [piece("get_time", TIME[1], index=0, id="a"), piece("get_date", "{}", index=0, id="b")],
        [TIME, ("get_date", "{}")],
    ),
    "the same index and id": (
        [piece("get_time", TIME[1], index=0, id="a"), piece("get_time", "{}", index=0, id="a")],
        [TIME, ("get_time", "{}")],
    ),
    "the same index, no arguments": (
        [piece("get_time", "", index=0), piece("get_date", "", index=0)],
        [("get_time", "{}"), ("get_date", "{}")],
    ),
    "no index": (
        [
            piece("get_time", HALVES[0], id="a"),
            piece(None, HALVES[1]),
            piece("get_date", "", id="b"),
            piece(None, "{}", id="b"),
        ],
        [TIME, ("get_date", "{}")],
    ),
    "no index, mixed by id": (
        [
            piece("get_time", HALVES[0], id="a"),
            piece("get_date", "{}", id="b"),
            piece(None, HALVES[1], id="a"),
        ],
        [TIME, ("get_date", "{}")],
    ),
    "an id of its own for every part": (
        [piece("get_time", HALVES[0], index=0, id="a"), piece("get_time", HALVES[1], index=0, id="b")],
        [TIME],
    ),
    "no function": (
        [
            {"index": 0, "id": "a", "function": None},
            None,
            piece("get_time", TIME[1], index=0, id="a"),
            {"index": 0},
        ],
        [TIME],
    ),
    "arguments as an object": ([piece("get_time", {"zone": "UTC"}, index=0)], [TIME]),
    "no name at all": ([piece(None, "{}", index=0)], []),
}  # fmt: skip


@pytest.mark.parametrize(("parts", "expected"), CALLS.values(), ids=CALLS)
def test_calls_are_told_apart_however_they_are_streamed(
    parts: list[Any], expected: list[tuple[str, str]]
) -> None:
    calls = OpenAICalls(NAMES)
    for one in parts:
        calls.take({"tool_calls": [one]})

    found = [piece.tool_call for piece in calls.pieces()]
    assert [(call.name, call.arguments) for call in found if call] == expected


def test_a_call_in_the_older_form_is_read() -> None:
    calls = OpenAICalls(NAMES)
    calls.take({"function_call": {"name": "get_time", "arguments": HALVES[0]}})
    calls.take({"function_call": {"arguments": HALVES[1]}})

    [found] = calls.pieces()
    assert found.tool_call is not None
    assert (found.tool_call.name, found.tool_call.arguments) == TIME


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_events_are_read_however_their_bytes_are_cut(size: int) -> None:
    sent = 'event: x\r\ndata: {"a": "\u2028é"}\r\n\r\n: beat\n\ndata: 1\ndata: 2\n\ndata:[DONE]'.encode()

    parts = [sent[at : at + size] for at in range(0, len(sent), size)]

    assert list(read_data(parts)) == ['{"a": "\u2028é"}'.encode(), b"1\n2", b"[DONE]"]
