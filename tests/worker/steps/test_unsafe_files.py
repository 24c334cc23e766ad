"""A file that crashes its engine is marked, refused and left alone until an operator clears it."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path

import pytest
from django.utils import timezone
from redis import Redis

from engines.exceptions import (
    ConflictError,
    EngineKilled,
    HostUnavailableError,
    LoadCrashed,
    UnsafeModelFileError,
)
from engines.models import CatalogModel, CopyStatus, Host, ModelCopy, ModelRevision
from engines.services.catalog.copies import (
    clear_unsafe,
    copy_mark,
    copy_of,
    is_present,
    mark_downloaded,
    mark_unsafe,
)
from migrations_app.library import get_model_library_manager
from migrations_app.models import Plan
from migrations_app.plans.planning import choose_host
from migrations_app.serving.hosts import hosts_for
from migrations_app.serving.protocol import WARM, WarmRequest
from migrations_app.states import PlanKind
from samproject.cli.errors import CommandError
from tests.runtimes.child.hostile_models import HOSTILE, Model
from tests.sam_command import run_sam
from tests.worker.plans import first_step, make_host, make_plan
from worker.host.engine_pool import engine_pool
from worker.live.answer import answer_resources
from worker.steps.runner import StepFailedError, run_step

pytestmark = pytest.mark.django_db(transaction=True)

CRASHES_AT_LOAD = "2^31 experts"
CRASHES_AT_WORK = "epsilon NaN"


@pytest.fixture
def host(db: None) -> Host:
    return make_host()


def placed(source: Path, folder: Path, host: Host, *, change: str = "") -> ModelCopy:
    """A downloaded copy of a small model, with one hostile change if asked for."""
    model = Model.read(source)
    if change:
        HOSTILE[change](model)
    path = model.write(folder / "model.gguf")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    entry = CatalogModel.objects.create(
        model_id="tiny", display_name="Tiny", model_family="llama", filename=path.name
    )
    revision = ModelRevision.objects.create(
        model=entry, commit="a" * 40, sha256=digest, file_size=path.stat().st_size
    )
    CatalogModel.objects.update(current_revision=revision)
    copy = copy_of(revision, host)
    mark_downloaded(copy, path, digest)
    return copy


def probing(copy: ModelCopy) -> Plan:
    plan = make_plan(PlanKind.MIGRATE, copy.host)
    plan.steps.exclude(kind="probe").delete()
    plan.steps.update(ready_at=timezone.now())
    Plan.objects.filter(pk=plan.pk).update(to_revision=copy.revision)
    return plan


def run(*command: str) -> None:
    run_sam(*command)


def test_a_file_that_crashes_at_loading_is_refused_from_then_on(
    tiny_llama: Path, tmp_path: Path, host: Host
) -> None:
    copy = placed(tiny_llama, tmp_path, host, change=CRASHES_AT_LOAD)
    with pytest.raises(LoadCrashed), answer_resources().lend_chat_engine(copy.revision, ()):
        pass

    copy.refresh_from_db()
    assert copy.status == CopyStatus.UNSAFE
    assert copy.error.startswith("model.gguf could not be loaded: The process of engine tiny was")
    assert not is_present(copy)
    with pytest.raises(UnsafeModelFileError) as refusal:
        answer_resources().lend_chat_engine(copy.revision, ())
    assert str(refusal.value).startswith(
        f"tiny@aaaaaaaa is marked unsafe on {host.name} and is not used there: model.gguf could"
    )
    # Other tests of this process may have left engines of theirs.
    assert copy.path not in {engine["model_path"] for engine in engine_pool().describe()}


def test_an_engine_that_was_killed_blames_no_file(
    tiny_llama: Path, tmp_path: Path, host: Host
) -> None:
    copy = placed(tiny_llama, tmp_path, host)
    with answer_resources().lend_chat_engine(copy.revision, ()) as engine:
        os.kill(engine.get_engine_info()["pid"], signal.SIGKILL)
        with pytest.raises(EngineKilled, match="was ended by signal SIGKILL"):
            list(engine.stream("Stones", max_tokens=400))
    engine_pool().unload(copy.path)

    copy.refresh_from_db()
    assert copy.status == CopyStatus.DOWNLOADED


@pytest.mark.parametrize("change", [CRASHES_AT_LOAD, CRASHES_AT_WORK])
def test_a_probe_that_crashes_marks_the_file_and_is_not_tried_again(
    tiny_llama: Path, tmp_path: Path, host: Host, change: str
) -> None:
    copy = placed(tiny_llama, tmp_path, host, change=change)
    plan = probing(copy)

    with pytest.raises(StepFailedError, match="crashed when it was tried and is marked unsafe"):
        run_step(first_step(plan).pk)

    copy.refresh_from_db()
    step = first_step(plan)
    assert copy.status == CopyStatus.UNSAFE
    assert (step.status, step.attempts) == ("failed", 1)
    with pytest.raises(StepFailedError, match="is marked unsafe on"):
        run_step(first_step(probing(copy)).pk)
    engine_pool().unload(copy.path)


def test_an_unsafe_file_is_not_fetched_again(tiny_llama: Path, tmp_path: Path, host: Host) -> None:
    copy = placed(tiny_llama, tmp_path, host)
    mark_unsafe(copy.path, host.name, "It crashed.")
    plan = make_plan(PlanKind.DOWNLOAD, host)
    Plan.objects.filter(pk=plan.pk).update(to_revision=copy.revision)

    with pytest.raises(StepFailedError, match=r"is not used there: It crashed\."):
        run_step(first_step(plan).pk)

    copy.refresh_from_db()
    assert (copy.status, copy.error) == (CopyStatus.UNSAFE, "It crashed.")


def test_an_intact_digest_does_not_make_it_safe_and_a_wrong_one_is_the_truth(
    tiny_llama: Path, tmp_path: Path, host: Host
) -> None:
    copy = placed(tiny_llama, tmp_path, host)
    mark_unsafe(copy.path, host.name, "It crashed.")
    for damage, status in ((b"", CopyStatus.UNSAFE), (b"x", CopyStatus.CORRUPTED)):
        data = Path(copy.path).read_bytes()
        Path(copy.path).write_bytes(damage + data[len(damage) :])
        plan = make_plan(PlanKind.VERIFY, host)
        Plan.objects.filter(pk=plan.pk).update(to_revision=copy.revision)

        run_step(first_step(plan).pk)

        copy.refresh_from_db()
        assert copy.status == status


def test_a_deleted_file_stays_unsafe_until_it_is_cleared(
    tiny_llama: Path, tmp_path: Path, host: Host
) -> None:
    copy = placed(tiny_llama, tmp_path, host)
    mark_unsafe(copy.path, host.name, "It crashed.")
    plan = make_plan(PlanKind.DELETE, host)
    Plan.objects.filter(pk=plan.pk).update(to_revision=copy.revision)

    run_step(first_step(plan).pk)

    copy.refresh_from_db()
    assert (copy.status, copy.path) == (CopyStatus.UNSAFE, "")
    assert not (tmp_path / "model.gguf").exists()
    clear_unsafe(copy)
    assert (copy.status, copy.error) == (CopyStatus.NOT_DOWNLOADED, "")


def test_only_a_marked_file_can_be_cleared(tiny_llama: Path, tmp_path: Path, host: Host) -> None:
    copy = placed(tiny_llama, tmp_path, host)
    with pytest.raises(ConflictError, match=r"^tiny@aaaaaaaa is not marked unsafe on"):
        clear_unsafe(copy)

    copy.refresh_from_db()
    assert copy.status == CopyStatus.DOWNLOADED


def test_an_operators_command_clears_the_mark(tiny_llama: Path, tmp_path: Path, host: Host) -> None:
    copy = placed(tiny_llama, tmp_path, host)
    mark_unsafe(copy.path, host.name, "It crashed.")
    assert get_model_library_manager().get_model_status("tiny") == "unsafe"
    with pytest.raises(CommandError, match="not marked unsafe"):
        run("download", "clear-unsafe", "tiny", "--host", "elsewhere")

    run("download", "clear-unsafe", "tiny")

    copy.refresh_from_db()
    assert is_present(copy)
    with answer_resources().lend_chat_engine(copy.revision, ()) as engine:
        assert engine.is_available()
    engine_pool().unload(copy.path)


def test_a_plan_goes_where_the_file_is_not_unsafe(
    tiny_llama: Path, tmp_path: Path, host: Host
) -> None:
    copy = placed(tiny_llama, tmp_path, host)
    other = make_host("other")
    assert choose_host([copy.revision]) == host
    mark_unsafe(copy.path, host.name, "It crashed.")

    assert choose_host([copy.revision]) == other
    other.delete()
    with pytest.raises(UnsafeModelFileError, match="marked unsafe on every active host"):
        choose_host([copy.revision])


def test_marks_are_of_one_host_and_one_file(tiny_llama: Path, tmp_path: Path, host: Host) -> None:
    copy = placed(tiny_llama, tmp_path, host)
    far = copy_of(copy.revision, make_host("other"))
    mark_downloaded(far, Path(copy.path), copy.checksum)

    assert mark_unsafe("/elsewhere", host.name, "It crashed.") == 0
    assert mark_unsafe(copy.path, host.name, "It crashed.") == 1

    far.refresh_from_db()
    assert far.status == CopyStatus.DOWNLOADED
    copy_mark(copy, CopyStatus.MISSING, error="The file is gone.")
    assert (copy.status, copy.error) == (CopyStatus.UNSAFE, "It crashed.")


def test_who_asks_for_an_engine_that_is_unsafe_everywhere_hears_why(
    tiny_llama: Path, tmp_path: Path, host: Host, redis_client: Redis
) -> None:
    copy = placed(tiny_llama, tmp_path, host)
    wanted = WarmRequest(revision_id=copy.revision_id)
    Host.objects.update(announces=["live.warm"])
    assert hosts_for(redis_client, WARM, wanted) == [host.name]
    mark_unsafe(copy.path, host.name, "It crashed.")

    with pytest.raises(UnsafeModelFileError, match=r"is not used there: It crashed\."):
        hosts_for(redis_client, WARM, wanted)

    far = copy_of(copy.revision, make_host("other", announces=[]))
    mark_downloaded(far, Path(copy.path), copy.checksum)
    with pytest.raises(HostUnavailableError, match="No active host has tiny@aaaaaaaa"):
        hosts_for(redis_client, WARM, wanted)
