"""How much to think, as servers are told it that know of it, of some levels, or of nothing like it."""

from __future__ import annotations

from typing import Any

import pytest

from engines.runtimes.notation.families import takes_effort
from tests.runtimes.servers.picky_server import Json, picky_server
from tests.runtimes.servers.test_openai_compatible import _engine
from tests.runtimes.servers.test_servers_as_they_are import CHAT, STOP, WORD


@pytest.mark.parametrize(
    ("effort", "sent"), [("high", "high"), ("minimal", "low"), ("max", "high"), (5000, "medium")]
)
def test_a_server_is_told_in_levels_that_all_know(effort: Any, sent: str) -> None:
    with (
        picky_server(chunks=[WORD, STOP]) as server,
        _engine(server.endpoint, "m") as engine,
    ):
        engine.load_model()
        engine.generate(CHAT, effort=effort)
        engine.generate(CHAT)
        engine.generate("Once", effort=effort)

        assert takes_effort(engine.get_engine_info(), effort)
    assert [body.get("reasoning_effort") for body in server.asked] == [sent, None, None]


@pytest.mark.parametrize(
    "sentence",
    [
        "Unrecognized request argument supplied: reasoning_effort",
        "reasoning_effort must be one of none, default",
    ],
)
def test_a_server_that_refuses_it_answers_without(sentence: str) -> None:
    def refuse(body: Json) -> tuple[int, Json] | None:
        if "reasoning_effort" not in body:
            return None
        return 400, {"error": {"message": sentence, "param": "reasoning_effort"}}

    with (
        picky_server(chunks=[WORD, STOP], refuse=refuse) as server,
        _engine(server.endpoint, "m") as engine,
    ):
        engine.load_model()
        answers = [engine.generate(CHAT, effort="low") for _ in range(2)]
        facts = engine.get_engine_info()

    assert answers == ["Noon."] * 2
    assert len(server.asked) == 3
    assert not takes_effort(facts, "low")


def test_a_family_that_is_switched_in_words_is_told_them_behind_a_server_too() -> None:
    with (
        picky_server(chunks=[WORD, STOP]) as server,
        _engine(server.endpoint, "m", family="llama-nemotron") as engine,
    ):
        engine.load_model()
        for thinking in (None, False):
            engine.generate(CHAT, thinking=thinking)

    told = {"role": "system", "content": "detailed thinking off"}
    assert [body["messages"] for body in server.asked] == [CHAT, [told, *CHAT]]
    assert "chat_template_kwargs" not in server.asked[1]
