"""The chaos command at its smallest, and that it keeps away from what is not its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.demo.hub.server import HubServer
from migrations_app.steps.re_embed import BATCH
from samproject.supervisor.embedded import EmbeddedServices
from samproject.supervisor.roster import THREADS
from tests.chaos.chaos import Chaos, Size
from tests.chaos.world import make_crowd
from tests.redis_admin import admin_redis
from tests.world.workers import PROJECT, Workers


def test_it_refuses_servers_and_folders_that_are_named(tmp_path: Path) -> None:
    named = {**os.environ, "SAM_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "tests.chaos", "--plans", "1"]

    ended = subprocess.run(command, cwd=PROJECT, env=named, capture_output=True, text=True)

    assert ended.returncode == 1
    assert "Unset SAM_DATA_DIR" in ended.stderr
    assert list(tmp_path.iterdir()) == []


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
    # The share of the whole is for a run of full size: here a kill may cost a batch of every thread.
    assert verdict.recomputed <= BATCH * THREADS["work"] * verdict.faults.total(), told
    assert sum(verdict.statuses.values()) == 6
