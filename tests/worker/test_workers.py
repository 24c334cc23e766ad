"""The runner in real Celery workers: killed, frozen, drained, robbed of their messages."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from django.db import connection, connections
from django.utils import timezone
from redis import Redis

from migrations_app.models import Plan, Step
from tests.worker.plans import first_step, make_plan, rows
from tests.worker.processes import PATIENCE, WORK, WorkerProcess, journal, send_raw, wait_until
from worker.sweeper import sweep

pytestmark = pytest.mark.django_db(transaction=True)


def plan_that(act: str, folder: Path) -> Plan:
    return make_plan(preview={"act": act, "folder": str(folder)})


def status_of(plan: Plan) -> str:
    return Plan.objects.values_list("status", flat=True).get(pk=plan.pk)


def let_lease_end(plan: Plan) -> None:
    """As if the holder had not renewed for a whole lease."""
    Step.objects.filter(plan=plan, status="in_progress").update(lease_until=timezone.now())


def sweep_until(plan: Plan, status: str) -> None:
    """Sweep as beat does, with the gaps between messages shortened."""

    def look() -> bool:
        Step.objects.filter(plan=plan).update(publish_count=0)
        sweep()
        return status_of(plan) == status

    wait_until(look, f"a plan that is {status}")


def begun(folder: Path, times: int = 1) -> None:
    wait_until(lambda: len(journal(folder, "begin")) == times, f"{times} runs to begin")


@pytest.mark.slow
def test_messages_of_all_kinds_leave_the_worker_alive_and_a_step_is_run_once(
    tmp_path: Path,
) -> None:
    with WorkerProcess(tmp_path) as worker:
        send_raw("library.unheard_of", [1])
        send_raw("library.verify", [])
        send_raw("library.verify", ["x" * 100_000])
        send_raw("library.verify", [{"nested": [[[]]]}])
        send_raw("library.verify", [2**62])
        send_raw("live.embed", ["../../etc"])
        plan = plan_that("quick", tmp_path)
        for _ in range(5):
            send_raw("library.verify", [first_step(plan).pk])
        wait_until(lambda: status_of(plan) == "completed", "the plan to be completed")
        wait_until(
            lambda: worker.log.read_text().count("Nothing to do: the step is") >= 5,
            "the other five messages",
        )
        assert worker.process.poll() is None

    assert journal(tmp_path) == ["begin 1", "effect 1"]
    log = worker.log.read_text()
    assert "Done under fence 1." in log
    assert "it must be a row's key" in log


def test_a_step_whose_worker_was_killed_is_taken_over_and_what_redis_lost_is_sent_again(
    tmp_path: Path, redis_client: Redis
) -> None:
    with WorkerProcess(tmp_path, name="first") as first:
        plan = plan_that("wait", tmp_path)
        begun(tmp_path)
        first.signal(signal.SIGKILL)
        first.process.wait()
    let_lease_end(plan)
    redis_client.flushall()
    (tmp_path / "go").touch()

    with WorkerProcess(tmp_path, name="second"):
        sweep_until(plan, "completed")

    step = first_step(plan)
    assert (step.fence, step.attempts, step.failures) == (2, 2, 0)
    assert journal(tmp_path) == ["begin 1", "begin 2", "effect 2"]


@pytest.mark.slow
def test_a_frozen_worker_that_thaws_after_it_was_overtaken_changes_nothing(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path, name="zombie") as zombie:
        plan = plan_that("wait blindly", tmp_path)
        begun(tmp_path)
        zombie.signal(signal.SIGSTOP)
        let_lease_end(plan)
        with WorkerProcess(tmp_path, name="heir"):
            (tmp_path / "go").touch()
            sweep_until(plan, "completed")
        before = rows(plan)

        zombie.signal(signal.SIGCONT)
        wait_until(
            lambda: "Another worker holds this step now" in zombie.log.read_text(),
            "the zombie to notice",
        )

    assert rows(plan) == before
    assert journal(tmp_path, "effect") == ["effect 2"]


@pytest.mark.slow
def test_a_worker_that_is_told_to_end_gives_its_step_back_and_ends(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path) as worker:
        plan = plan_that("wait", tmp_path)
        begun(tmp_path)
        worker.signal(signal.SIGTERM)
        assert worker.process.wait(PATIENCE) == 0

    step = first_step(plan)
    assert (step.status, step.owner, step.failures) == ("pending", "", 0)
    assert "Put back: the worker is ending." in worker.log.read_text()


@pytest.mark.slow
def test_a_step_that_does_not_listen_is_ended_with_its_worker(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path) as worker:
        plan = plan_that("wait blindly", tmp_path)
        begun(tmp_path)
        worker.signal(signal.SIGTERM)
        assert worker.process.wait(PATIENCE) == 75

    let_lease_end(plan)
    (tmp_path / "go").touch()
    with WorkerProcess(tmp_path, name="second"):
        sweep_until(plan, "completed")
    assert journal(tmp_path, "effect") == ["effect 2"]


@pytest.mark.slow
def test_connections_that_are_cut_in_the_middle_stop_nothing(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path):
        plan = plan_that("wait", tmp_path)
        begun(tmp_path)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        (tmp_path / "go").touch()
        sweep_until(plan, "completed")

    assert len(journal(tmp_path, "effect")) == 1


@pytest.mark.slow
def test_a_restart_of_postgresql_in_the_middle_ends_in_completion(
    tmp_path: Path, services: object
) -> None:
    postgres = services.servers[0]  # type: ignore[attr-defined]
    with WorkerProcess(tmp_path):
        plan = plan_that("wait", tmp_path)
        begun(tmp_path)
        connections.close_all()
        postgres.stop()
        (tmp_path / "go").touch()
        postgres.start()
        sweep_until(plan, "completed")

    assert len(journal(tmp_path, "effect")) == 1


@pytest.mark.slow
def test_a_passing_error_is_tried_again_by_the_sweep(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path, WORK):
        plan = plan_that("fail once", tmp_path)
        (tmp_path / "go").touch()
        wait_until(lambda: first_step(plan).failures == 1, "the first failure")
        Step.objects.filter(plan=plan).update(ready_at=timezone.now())
        sweep_until(plan, "completed")

    assert journal(tmp_path) == ["begin 1", "begin 2", "effect 2"]
