"""Which runtime answers fastest here, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engines.runtimes.programs.host import HostPrograms
from engines.runtimes.registry import EngineRegistry
from samproject.cli.trying import racing
from samproject.cli.trying.racing import Lap, Race
from tests.sam_command import run_sam


def test_a_race_names_who_was_faster_at_how_many() -> None:
    laps = [
        Lap("llama_cpp", 1, 30.0, 40.0),
        Lap("llama_cpp", 4, 60.0, 90.4),
        Lap("llama_server", 1, 24.0, 50.0),
        Lap("llama_server", 4, 90.0, 70.0),
    ]

    found = Race(laps, {})

    assert found.winners() == [
        "At 1: llama_cpp is 1.25 times as fast as llama_server.",
        "At 4: llama_server is 1.50 times as fast as llama_cpp.",
    ]
    assert found.rows()[1] == ("llama_cpp", 4, "60.0", "90")
    assert Race(laps[:1], {"llama_server": "none"}).winners() == []


@pytest.mark.slow
def test_a_runtime_without_its_program_is_named_and_the_other_measured(
    tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = EngineRegistry(programs=HostPrograms(llama_server="/no/such"))
    monkeypatch.setattr(racing, "engine_registry", lambda: registry)
    words = ("race", str(tiny_llama), "--streams", "2", "--tokens", "4", "--json")

    found = json.loads(run_sam(*words))

    assert [(lap["runtime"], lap["streams"]) for lap in found["laps"]] == [("llama_cpp", 2)]
    assert found["laps"][0]["tokens_per_second"] > 0
    assert "SAM_LLAMA_SERVER" in found["problems"]["llama_server"]
