"""The chaos command at its smallest, and that it keeps away from what is not its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from deploy.demo.hub.server import HubServer
from engines.services.knowledge.embeddings import BATCH
from samproject.supervisor.embedded import EmbeddedServices
from samproject.supervisor.roster import THREADS
from tests.chaos.chaos import Chaos, Size, Verdict
from tests.chaos.world import make_crowd
from tests.redis_admin import admin_redis
from tests.world.workers import PROJECT, Workers

ALL_THREADS = BATCH * THREADS["work"]


def test_it_refuses_servers_and_folders_that_are_named(tmp_path: Path) -> None:
    named = {**os.environ, "SAM_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "tests.chaos", "--plans", "1"]

    ended = subprocess.run(command, cwd=PROJECT, env=named, capture_output=True, text=True)

    assert ended.returncode == 1
    assert "Unset SAM_DATA_DIR" in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("embedded", "kept", "fault", "is_good"),
    [
        (5000, 5000, "drain the host", True),
        (5050, 5050, "drain the host", True),
        (5051, 5051, "drain the host", False),
        # Of each thread a batch was under way.
        (5000 + ALL_THREADS, 5000, "kill everything", True),
        (5001 + ALL_THREADS, 5000, "kill everything", False),
        # Nothing was killed that could have cost a batch, and no kill excuses what was stored twice.
        (5001, 5000, "drain the host", False),
        (5051, 5051, "kill everything", False),
    ],
)
def test_kills_may_cost_what_was_under_way_and_all_else_one_in_a_hundred(
    embedded: int, kept: int, fault: str, is_good: bool
) -> None:
    verdict = Verdict(
        seed=1,
        people=1,
        statuses=Counter(completed=1),
        faults=Counter([fault]),
        seconds=1.0,
        still_open=0,
        findings=[],
        embedded=embedded,
        kept=kept,
        needed=5000,
    )

    assert verdict.is_good is is_good, str(verdict)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_little_chaos_leaves_nothing_wrong(
    transactional_db: None,
    workers: Workers,
    services: EmbeddedServices,
    hub: HubServer,
    world_folder: Path,
) -> None:
    admin_redis().flushall()
    crowd = make_crowd(hub.endpoint, workers, world_folder, 3)
    said: list[str] = []

    verdict = Chaos(crowd, workers, services, seed=1, say=said.append).run(
        Size(plans=6, seconds=20, fault_every=(3.0, 6.0))
    )

    told = [*said, str(verdict)]
    assert verdict.findings == [], told
    assert verdict.still_open == 0, told
    assert verdict.is_good, told
    assert sum(verdict.statuses.values()) == 6
