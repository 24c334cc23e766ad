"""A paused download: nobody holds it, nothing moves it but people, and no byte comes twice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from pytest_django.fixtures import Settings

from deploy.demo.hub.faults import Fault
from deploy.demo.hub.server import HubServer
from engines.exceptions import ConflictError, IllegalMoveError, SamError
from engines.models import CopyStatus, Host, HostStatus, ModelCopy, ModelRevision
from engines.services.catalog.copies import copy_of, copy_path
from migrations_app.controller import MigrationController
from migrations_app.library import ModelLibraryManager
from migrations_app.models import Plan, Step
from migrations_app.plans.actions import legal_actions
from migrations_app.plans.transitions import (
    LeaseLostError,
    Outcome,
    ask_operator,
    claim_step,
    finish_step,
    release_step,
    request_cancel,
    request_pause,
    resume_plan,
)
from migrations_app.states import PlanAction, PlanKind, PlanStatus, StepStatus
from tests.knowledge.world import make_model
from tests.worker.plans import first_step, make_host, make_plan, rows, story
from tests.world.people import NEW, hub_folder, make_catalog
from tests.world.workers import HOST, Workers, forget_hosts, kill, wait_until
from worker.steps.runner import STOPPED, run_step
from worker.sweeper import sweep

pytestmark = pytest.mark.django_db(transaction=True)

WHO = "olga"
SLOW = Fault(bytes_per_second=150_000)


@pytest.fixture
def hub(tmp_path: Path, tiny_llama: Path, tiny_qwen: Path) -> HubServer:
    return HubServer(hub_folder(tmp_path / "hub", tiny_llama, tiny_qwen))


def part_of(models: Path, revision: ModelRevision) -> Path:
    return copy_path(models, revision).parent / ".parts" / f"{revision.sha256}.part"


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def ranges_asked(hub: HubServer) -> list[str | None]:
    """Return where each fetch of the file began; a look at its header ends somewhere."""
    asked = [entry for entry in hub.log if entry.method == "GET" and "/resolve/" in entry.path]
    return [entry.range for entry in asked if entry.range is None or entry.range.endswith("-")]


def check_paused(plan: Plan) -> None:
    plan.refresh_from_db()
    step = first_step(plan)
    assert (plan.status, plan.finished_at) == (PlanStatus.PAUSED, None)
    assert (step.status, step.owner, step.lease_until) == (StepStatus.PENDING, "", None)
    assert legal_actions(plan) == [PlanAction.RESUME, PlanAction.CANCEL]


def test_a_paused_download_holds_nothing_and_goes_on_where_it_stopped(
    hub: HubServer, settings: Settings, tmp_path: Path
) -> None:
    settings.SAM_MODELS_DIR = tmp_path / "models"
    settings.HF_HUB_CACHE, settings.OLLAMA_MODELS = tmp_path / "hf", tmp_path / "ollama"
    with hub, ThreadPoolExecutor(1) as thread:
        host = make_host()
        revision = make_catalog(hub.endpoint)[1]
        part = part_of(settings.SAM_MODELS_DIR, revision)
        hub.faults.add(SLOW)
        library = ModelLibraryManager()
        plan = library.start_download(NEW, host=host.name)
        worker = thread.submit(run_step, first_step(plan).pk)
        wait_until(lambda: size_of(part) > 0, "the first bytes")

        assert library.pause_download(NEW)

        check_paused(plan)
        assert worker.result(timeout=120) == STOPPED
        arrived = size_of(part)
        assert 0 < arrived < revision.file_size
        sweep()
        assert run_step(first_step(plan).pk).startswith("Nothing to do")
        assert copy_of(revision, host).status == CopyStatus.NOT_DOWNLOADED
        progress = library.get_download_progress(NEW)
        assert progress
        assert progress["status"] == "paused"

        assert library.start_download(NEW, host=host.name).pk == plan.pk
        run_step(first_step(plan).pk)

    plan.refresh_from_db()
    assert plan.status == PlanStatus.COMPLETED
    assert ranges_asked(hub) == [None, f"bytes={arrived}-"]
    assert first_step(plan).result == {"bytes_fetched": {NEW: revision.file_size - arrived}}
    assert story(plan) == [
        ("plan", "pending", "in_progress"),
        ("download", "pending", "in_progress"),
        ("download", "in_progress", "pending"),
        ("plan", "in_progress", "paused"),
        ("plan", "paused", "in_progress"),
        ("download", "pending", "in_progress"),
        ("download", "in_progress", "completed"),
        ("plan", "in_progress", "completed"),
    ]


def test_a_kill_and_a_restart_during_a_pause_lose_nothing(hub: HubServer, tmp_path: Path) -> None:
    with hub:
        revision = make_catalog(hub.endpoint)[1]
        controller = MigrationController()
        with Workers(tmp_path / "data", tmp_path / "faults") as workers:
            wait_until(lambda: Host.objects.filter(name=HOST, status="active").exists(), "the host")
            part = part_of(workers.models, revision)
            hub.faults.add(SLOW)
            plan = ModelLibraryManager().start_download(NEW)
            wait_until(lambda: size_of(part) > 0, "the first bytes")
            controller.pause_migration(plan.pk)
            kill([workers.worker_pids()["work"]])
            controller.pause_migration(plan.pk)
        arrived = size_of(part)
        with Workers(tmp_path / "data", tmp_path / "faults"):
            sweep()
            assert Plan.objects.get(pk=plan.pk).status == PlanStatus.PAUSED
            assert size_of(part) == arrived
            controller.resume_migration(plan.pk)
            controller.resume_migration(plan.pk)
            wait_until(
                lambda: Plan.objects.get(pk=plan.pk).status == PlanStatus.COMPLETED, "the file"
            )
    Plan.objects.all().delete()
    forget_hosts()
    assert 0 < arrived < revision.file_size
    assert ranges_asked(hub) == [None, f"bytes={arrived}-"]


def test_a_worker_that_has_not_heard_of_the_pause_changes_nothing() -> None:
    plan = make_plan(PlanKind.DOWNLOAD)
    claim = claim_step(first_step(plan).pk, "worker")
    assert claim is not None
    request_pause(plan.pk, who=WHO)
    before = rows(plan)

    for late in (
        lambda: finish_step(claim, Outcome("Done.")),
        lambda: release_step(claim, why="Late.", failed=True),
    ):
        with pytest.raises(LeaseLostError):
            late()

    assert request_pause(plan.pk, who=WHO).status == PlanStatus.PAUSED
    assert rows(plan) == before
    resume_plan(plan.pk, who=WHO)
    step = first_step(plan)
    assert (step.failures, step.attempts) == (0, 0)
    assert step.publish_count == 1, "its host is called at once"
    again = claim_step(step.pk, "another")
    assert again is not None
    assert again.fence == claim.fence + 1


def test_the_file_of_a_paused_download_is_not_being_downloaded_and_others_are() -> None:
    plan = make_plan(PlanKind.DOWNLOAD)
    assert plan.host is not None
    revision, other = make_model("wanted"), make_model("other")
    Plan.objects.filter(pk=plan.pk).update(to_revision=revision)
    elsewhere = make_host("elsewhere")
    for wanted, host in ((revision, plan.host), (other, plan.host), (revision, elsewhere)):
        ModelCopy.objects.create(revision=wanted, host=host, status=CopyStatus.DOWNLOADING)

    request_pause(plan.pk, who=WHO)

    still = ModelCopy.objects.filter(status=CopyStatus.DOWNLOADING)
    assert {(copy.revision_id, copy.host_id) for copy in still} == {
        (other.pk, plan.host_id),
        (revision.pk, elsewhere.pk),
    }


def test_a_paused_download_can_be_cancelled() -> None:
    plan = make_plan(PlanKind.DOWNLOAD)
    request_pause(plan.pk, who=WHO)

    assert request_cancel(plan.pk, who=WHO).status == PlanStatus.PAUSED
    plan.refresh_from_db()
    assert (plan.status, first_step(plan).status) == (PlanStatus.CANCELLED, StepStatus.CANCELLED)
    with pytest.raises(IllegalMoveError, match="cancelled; only a paused one"):
        resume_plan(plan.pk, who=WHO)


def _waiting(plan: Plan) -> None:
    ask_operator(first_step(plan).pk, who=WHO, error="Look.")


def _stopping(plan: Plan) -> None:
    assert claim_step(first_step(plan).pk, "worker") is not None
    request_cancel(plan.pk, who=WHO)


def _leaving(plan: Plan) -> None:
    request_pause(plan.pk, who=WHO)
    Host.objects.update(status=HostStatus.DRAINING)


def _as_it_is(plan: Plan) -> None:
    """Change nothing."""


@pytest.mark.parametrize(
    ("kind", "before", "ask", "sentence"),
    [
        (PlanKind.VERIFY, _as_it_is, request_pause, "Only a download that runs"),
        (PlanKind.MIGRATE, _as_it_is, request_pause, "Only a download that runs"),
        (PlanKind.DOWNLOAD, _waiting, request_pause, "waits for an operator"),
        (PlanKind.DOWNLOAD, _stopping, request_pause, "asked to stop already"),
        (PlanKind.DOWNLOAD, _leaving, resume_plan, "takes no new work; cancel it"),
    ],
)
def test_what_cannot_be_paused_or_resumed_says_why(
    kind: PlanKind, before: Callable[[Plan], None], ask: Callable[..., Plan], sentence: str
) -> None:
    plan = make_plan(kind)
    before(plan)
    was = rows(plan)

    with pytest.raises((IllegalMoveError, ConflictError), match=sentence):
        ask(plan.pk, who=WHO)

    assert rows(plan) == was
    plan.refresh_from_db()
    assert PlanAction.PAUSE not in legal_actions(plan)


def test_a_paused_plan_is_not_executed_instead_of_resumed() -> None:
    plan = make_plan(PlanKind.DOWNLOAD)
    request_pause(plan.pk, who=WHO)

    with pytest.raises(SamError, match="resume it"):
        MigrationController().execute_migration(plan.pk, actor=User(username=WHO))

    assert Step.objects.get(plan=plan).ready_at is None
