"""A model in several files is one: found, counted, fetched, verified, loaded and deleted together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.conf import settings
from pytest_django.fixtures import Settings

from deploy.demo.hub.faults import Fault
from deploy.demo.hub.server import HubServer
from engines.exceptions import NotFoundError
from engines.fit.model_shape import ModelShape
from engines.gguf.reader import read_header
from engines.models import CatalogModel, CopyStatus, Host, ModelRevision
from engines.runtimes.registry import EngineRegistry
from engines.services.catalog.copies import copy_of, engine_spec, is_present
from engines.services.catalog.fit import shape_of
from engines.services.catalog.resolving import pinned_revision, resolve_model
from engines.sharing.links import disk_bytes
from engines.specs import EngineSpec
from engines.transfer.remote_file import DownloadOptions
from migrations_app.models import Plan, Step
from migrations_app.states import PlanKind, StepStatus
from migrations_app.steps import fetch
from tests.split_models import write_llama_in_parts
from tests.worker.plans import first_step, make_host, make_plan
from worker.steps.runner import StepFailedError, run_step

pytestmark = pytest.mark.django_db(transaction=True)

REPO, FIRST = "org/tiny-GGUF", "Q4_K_M/tiny-Q4_K_M-00001-of-00003.gguf"


@pytest.fixture
def published(tmp_path: Path) -> list[Path]:
    return write_llama_in_parts(tmp_path / "hub" / REPO / "Q4_K_M")


@pytest.fixture
def hub(tmp_path: Path, published: list[Path]) -> Iterator[HubServer]:
    with HubServer(tmp_path / "hub") as server:
        yield server


@pytest.fixture
def host(settings: Settings, tmp_path: Path) -> Host:
    settings.SAM_MODELS_DIR = tmp_path / "models"
    settings.HF_HUB_CACHE = tmp_path / "hf"
    settings.OLLAMA_MODELS = tmp_path / "ollama"
    return make_host()


@pytest.fixture
def entry(hub: HubServer, host: Host) -> CatalogModel:
    return CatalogModel.objects.create(
        model_id="tiny-split",
        display_name="Tiny, in parts",
        model_family="llama",
        huggingface_repo=REPO,
        filename=FIRST,
        hub_endpoint=hub.endpoint,
    )


def run(kind: PlanKind, revision: ModelRevision, host: Host) -> Step:
    plan = make_plan(kind, host)
    Plan.objects.filter(pk=plan.pk).update(to_revision=revision)
    with suppress(StepFailedError):
        run_step(first_step(plan).pk)
    return first_step(plan)


def answer_of(spec: EngineSpec) -> str:
    with EngineRegistry().create(spec) as engine:
        engine.load_model()
        return engine.generate("What is a roof?", max_tokens=8, temperature=0)


def test_a_model_in_parts_is_fetched_loaded_and_deleted_as_one(
    hub: HubServer, host: Host, entry: CatalogModel, published: list[Path], tiny_llama: Path
) -> None:
    revision = resolve_model(entry)
    size = sum(path.stat().st_size for path in published)
    whole = ModelShape.from_header(read_header(tiny_llama))
    assert (revision.file_size, len(revision.files)) == (size, 3)
    assert shape_of(entry).weights_bytes == whole.weights_bytes
    assert pinned_revision(entry) == revision

    # The third part breaks off and goes on; the second is refused for now.
    hub.faults.add(Fault(cut_after=20_000), Fault(), Fault(status=403))
    seen = len(hub.log)
    assert run(PlanKind.DOWNLOAD, revision, host).status == StepStatus.FAILED
    copy, folder = copy_of(revision, host), settings.SAM_MODELS_DIR / revision.sha256
    assert copy.status == CopyStatus.NOT_DOWNLOADED
    assert [entry.range for entry in hub.log[seen:]][:2] == [None, "bytes=20000-"]
    assert [file.name for file in folder.glob("*.gguf")] == [published[2].name]

    done = run(PlanKind.DOWNLOAD, revision, host)
    copy.refresh_from_db()
    there = sorted(folder.glob("*.gguf"))
    assert (copy.status, copy.path, copy.file_size) == ("downloaded", str(there[0]), size)
    assert done.result == {"bytes_fetched": {"tiny-split": size - published[2].stat().st_size}}
    assert [file.read_bytes() for file in there] == [file.read_bytes() for file in published]
    assert answer_of(engine_spec(revision, copy.path)) == answer_of(
        EngineSpec("whole", "Whole", str(tiny_llama), family="llama")
    )

    taken = disk_bytes(there)
    assert run(PlanKind.DELETE, revision, host).result == {"bytes_freed": taken}
    assert list(folder.glob("*.gguf")) == []


def test_each_part_is_verified_and_none_may_be_gone(
    host: Host, entry: CatalogModel, published: list[Path]
) -> None:
    revision = resolve_model(entry)
    run(PlanKind.DOWNLOAD, revision, host)
    copy = copy_of(revision, host)
    second = Path(copy.path).with_name(published[1].name)

    assert is_present(copy)
    assert "is intact" in run(PlanKind.VERIFY, revision, host).detail
    damage(second)
    assert second.name in run(PlanKind.VERIFY, revision, host).detail
    copy.refresh_from_db()
    assert copy.status == CopyStatus.CORRUPTED
    second.unlink()
    assert not is_present(copy)
    assert "missing" in run(PlanKind.VERIFY, revision, host).detail
    copy.refresh_from_db()
    assert copy.status == CopyStatus.MISSING


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def test_a_part_that_is_not_at_the_hub_or_has_no_room_stops_it_before_a_byte(
    hub: HubServer,
    host: Host,
    entry: CatalogModel,
    published: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    revision = resolve_model(entry)
    room = revision.file_size - 1
    options = DownloadOptions(reserve_bytes=0, free_bytes=lambda _: room)
    monkeypatch.setattr(fetch, "DEFAULT_OPTIONS", options)
    seen = len(hub.log)
    run(PlanKind.DOWNLOAD, revision, host)
    assert "is full" in copy_of(revision, host).error
    assert hub.log[seen:] == []

    published[1].unlink()
    with pytest.raises(NotFoundError, match="one of the 3 parts of tiny-split"):
        resolve_model(entry)
    assert list(ModelRevision.objects.filter(model=entry)) == [revision]


def test_an_entry_that_was_pinned_to_its_first_part_alone_is_found_whole(
    hub: HubServer, entry: CatalogModel, published: list[Path]
) -> None:
    """What a data folder of an earlier version holds."""
    found = resolve_model(entry)
    ModelRevision.objects.filter(pk=found.pk).update(
        parts=[], sha256="a" * 64, file_size=published[0].stat().st_size
    )

    again = pinned_revision(CatalogModel.objects.get(pk=entry.pk))

    assert (again.pk, again.sha256, again.parts) == (found.pk, found.sha256, found.parts)
