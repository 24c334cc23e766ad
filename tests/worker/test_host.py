from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from engines import machine
from engines.models import Host, HostStatus
from migrations_app.steps import HANDLERS
from migrations_app.wakeups import CONTROL_QUEUE
from tests.worker.plans import first_step, make_host, make_plan
from tests.worker.processes import LIVE, WORK
from worker.host import register
from worker.knowledge import help_embedding, keep_index_up

pytestmark = pytest.mark.django_db(transaction=True)

LIVE_KINDS = ["embed", "generate", "stream", "search", "warm", "unload", "info"]


def test_a_worker_of_the_control_plane_is_no_host() -> None:
    assert register([CONTROL_QUEUE, "host.another.work"]) is None
    assert Host.objects.count() == 0


def test_a_host_announces_what_its_two_workers_know_together() -> None:
    register([WORK])
    register([LIVE])
    register([WORK])

    host = Host.objects.get()
    assert host.announces == [*sorted(HANDLERS), *(f"live.{kind}" for kind in LIVE_KINDS)]
    assert (host.name, host.status) == (settings.SAM_HOST_NAME, "active")
    assert (host.cores, host.memory_bytes) == (machine.cores(), machine.memory_bytes())
    assert 0 < host.disk_free_bytes <= host.disk_total_bytes


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (HostStatus.JOINING, "active"),
        (HostStatus.LOST, "active"),
        (HostStatus.ACTIVE, "active"),
        (HostStatus.DRAINING, "draining"),
        (HostStatus.RETIRED, "retired"),
    ],
)
def test_a_host_that_comes_back_is_active_unless_an_operator_said_otherwise(
    before: HostStatus, after: str
) -> None:
    long_ago = timezone.now() - timedelta(days=1)
    make_host(status=before, last_seen=long_ago)

    register([WORK])

    host = Host.objects.get()
    assert host.status == after
    assert host.last_seen is not None
    assert host.last_seen > long_ago


def test_helping_with_a_step_that_does_not_run_does_nothing() -> None:
    make_host()

    assert help_embedding(first_step(make_plan()).pk) == "Nothing to do: the step does not run."


def test_an_index_that_is_gone_is_not_kept_up() -> None:
    assert keep_index_up(2**40) == "There is no such index; its base was removed."
