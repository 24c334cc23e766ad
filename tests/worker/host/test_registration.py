from __future__ import annotations

import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from engines import machine
from engines.exceptions import ConflictError, InvalidRequestError
from engines.models import Host, HostEvent, HostInvitation, HostStatus
from engines.services.hosts import HostRefusedError, admit_host, invite_host
from migrations_app.queues import CONTROL_QUEUE
from migrations_app.steps import HANDLERS
from tests.worker.plans import first_step, make_host, make_plan
from tests.worker.processes import LIVE, WORK, WorkerProcess
from worker.host.registration import register
from worker.steps.embedding import help_embedding, keep_index_up

pytestmark = pytest.mark.django_db(transaction=True)

LIVE_KINDS = ["embed", "rank", "generate", "count", "stream", "search", "warm", "unload", "info"]


def test_a_worker_of_the_control_plane_is_no_host() -> None:
    assert register([CONTROL_QUEUE, "host.another.work"]) is None
    assert Host.objects.count() == 0


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test before admitted this process."""
    monkeypatch.setattr("worker.host.registration._admitted", threading.Event())


def test_a_host_announces_what_its_two_workers_know_together() -> None:
    admit_host(settings.SAM_HOST_NAME, who="tester", why="It is ours.")
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


def test_a_machine_that_nobody_admitted_is_refused_and_leaves_no_row() -> None:
    with pytest.raises(HostRefusedError, match=r"is not known and it has no token.*host invite"):
        register([LIVE])

    assert Host.objects.count() == 0


def test_a_retired_host_is_refused_and_stays_as_it_was() -> None:
    host = make_host(status=HostStatus.RETIRED)

    with pytest.raises(HostRefusedError, match="was retired and it has no token"):
        register([WORK])

    assert Host.objects.get() == host
    assert Host.objects.get().status == "retired"


@pytest.mark.parametrize("status", [None, HostStatus.RETIRED])
def test_a_token_admits_both_workers_of_one_machine_once(
    status: HostStatus | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if status:
        make_host(status=status)
    token, _ = invite_host(settings.SAM_HOST_NAME, who="oscar")
    monkeypatch.setattr(settings, "SAM_JOIN_TOKEN", token)
    refused: list[str] = []

    def join(queue: str) -> None:
        try:
            register([queue])
        except HostRefusedError as error:
            refused.append(str(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=join, args=(queue,)) for queue in (WORK, LIVE) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert refused == []
    host = Host.objects.get()
    assert host.status == "active"
    assert HostInvitation.objects.get().used_at is not None
    events = host.events.values_list("from_status", "to_status")
    assert list(events) == [("retired" if status else "", "joining"), ("joining", "active")]
    assert host.events.order_by("id")[0].why == "Joined with a token that oscar made."

    Host.objects.update(status=HostStatus.RETIRED)
    monkeypatch.setattr("worker.host.registration._admitted", threading.Event())
    with pytest.raises(HostRefusedError, match="its SAM_JOIN_TOKEN is used, expired"):
        register([WORK])


@pytest.mark.parametrize("wrong", ["of another name", "expired", "invented"])
def test_a_token_that_does_not_fit_admits_nobody(
    wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "elsewhere" if wrong == "of another name" else settings.SAM_HOST_NAME
    token, invitation = invite_host(name, who="oscar")
    if wrong == "expired":
        HostInvitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    given = "x" * 43 if wrong == "invented" else token
    monkeypatch.setattr(settings, "SAM_JOIN_TOKEN", given)

    with pytest.raises(HostRefusedError, match="used, expired or for another name"):
        register([WORK])

    invitation.refresh_from_db()
    assert (Host.objects.count(), invitation.used_at) == (0, None)


def test_only_the_hash_of_a_token_is_kept() -> None:
    token, _ = invite_host("gpu-7", who="oscar")

    assert token not in str(list(HostInvitation.objects.values()))


@pytest.mark.parametrize(
    ("name", "hours"), [("Big Host", 24), ("", 24), ("gpu-7", 0), ("gpu-7", 999)]
)
def test_a_token_for_what_is_no_host_is_refused(name: str, hours: int) -> None:
    with pytest.raises(InvalidRequestError):
        invite_host(name, who="oscar", hours=hours)

    assert HostInvitation.objects.count() == 0


def test_a_row_that_vanishes_while_its_workers_run_is_made_again() -> None:
    admit_host(settings.SAM_HOST_NAME, who="tester", why="It is ours.")
    register([WORK])
    HostEvent.objects.all().delete()
    Host.objects.all().delete()

    register([WORK])

    assert Host.objects.get().status == "active"


@pytest.mark.slow
def test_a_worker_that_is_refused_ends_with_the_sentence_in_its_log(tmp_path: Path) -> None:
    refused = WorkerProcess(tmp_path, LIVE, SAM_JOIN_TOKEN="")

    with pytest.raises(AssertionError, match="is not known and it has no token"):
        refused.__enter__()

    assert refused.process.wait(60) == os.EX_NOPERM
    assert Host.objects.count() == 0


def test_helping_with_a_step_that_does_not_run_does_nothing() -> None:
    make_host()

    assert help_embedding(first_step(make_plan()).pk) == "Nothing to do: the step does not run."


def test_an_index_that_is_gone_is_not_kept_up() -> None:
    assert keep_index_up(2**40) == "There is no such index; its base was removed."


def test_no_second_machine_is_invited_under_the_name_of_a_host() -> None:
    admit_host("gpu-9", who="oscar", why="It is ours.")

    with pytest.raises(ConflictError, match="gpu-9 is a host of SAM already"):
        invite_host("gpu-9", who="oscar")
    assert not HostInvitation.objects.exists()
