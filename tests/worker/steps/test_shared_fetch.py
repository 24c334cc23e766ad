"""The download step and other programs' weights: linked where they are, offered when asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile

import pytest
from django.conf import settings
from django.utils import timezone
from huggingface_hub import hf_hub_download, scan_cache_dir
from pytest_django.fixtures import Settings

from deploy.demo.hub.server import HubServer
from engines.models import CatalogModel, CopyStatus, Host, ModelCopy, ModelRevision
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.services.catalog.copies import copy_mark, copy_of, copy_path
from engines.services.catalog.resolving import resolve_model
from engines.sharing.links import disk_bytes, file_use
from engines.sharing.ollama import blob_path
from engines.specs import EngineSpec
from engines.transfer.part import claim_part
from migrations_app.models import Plan, Step
from migrations_app.states import PlanKind
from tests.worker.plans import first_step, make_host, make_plan
from tests.world.people import hub_folder
from worker.steps.runner import run_step

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hub(tmp_path: Path, tiny_llama: Path, tiny_qwen: Path) -> Iterator[HubServer]:
    with HubServer(hub_folder(tmp_path / "hub", tiny_llama, tiny_qwen)) as server:
        yield server


@pytest.fixture
def host(db: None) -> Host:
    return make_host()


@pytest.fixture(autouse=True)
def folders(settings: Settings, tmp_path: Path) -> None:
    settings.SAM_MODELS_DIR = tmp_path / "models"
    settings.HF_HUB_CACHE = tmp_path / "hf"
    settings.OLLAMA_MODELS = tmp_path / "ollama"
    settings.SAM_SHARE_MODELS = False


def resolved(hub: HubServer, model_id: str = "tiny-llama") -> ModelRevision:
    return resolve_model(
        CatalogModel.objects.create(
            model_id=model_id,
            display_name=model_id,
            model_family="llama",
            huggingface_repo="demo/tiny-llama",
            filename="model.gguf",
            hub_endpoint=hub.endpoint,
        )
    )


def run(kind: PlanKind, revision: ModelRevision, host: Host) -> Step:
    plan = make_plan(kind, host)
    Plan.objects.filter(pk=plan.pk).update(to_revision=revision)
    run_step(first_step(plan).pk)
    return first_step(plan)


def sent_by(hub: HubServer) -> int:
    """Bytes of files that the Hub sent so far."""
    return sum(entry.bytes_sent for entry in hub.log if "/resolve/" in entry.path)


def put(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True)
    copyfile(source, target)
    return target


def places_of(revision: ModelRevision) -> dict[str, Path]:
    return {
        "hugging face": settings.HF_HUB_CACHE / "models--a--b" / "blobs" / revision.sha256,
        "ollama": blob_path(settings.OLLAMA_MODELS, revision.sha256),
    }


@pytest.mark.parametrize("owner", ["hugging face", "ollama"])
def test_weights_that_another_program_has_cost_no_byte_at_the_hub(
    hub: HubServer, host: Host, tiny_llama: Path, owner: str
) -> None:
    revision = resolved(hub)
    theirs = put(tiny_llama, places_of(revision)[owner])
    before = len(hub.log)

    step = run(PlanKind.DOWNLOAD, revision, host)

    copy = copy_of(revision, host)
    assert len(hub.log) == before
    assert step.result == {"bytes_fetched": {"tiny-llama": 0}}
    assert step.detail == (f"Fetched tiny-llama: 0.0 MiB. {revision} is one file with {theirs}.")
    assert (copy.status, copy.checksum) == (CopyStatus.DOWNLOADED, revision.sha256)
    assert file_use(Path(copy.path)).inode == file_use(theirs).inode
    assert disk_bytes([Path(copy.path), theirs]) == disk_bytes([theirs])


def test_a_damaged_file_of_another_program_is_not_used(
    hub: HubServer, host: Host, tiny_llama: Path
) -> None:
    revision = resolved(hub)
    theirs = put(tiny_llama, places_of(revision)["ollama"])
    with theirs.open("r+b") as file:
        file.seek(100_000)
        file.write(b"damage")

    step = run(PlanKind.DOWNLOAD, revision, host)

    assert step.result == {"bytes_fetched": {"tiny-llama": revision.file_size}}
    assert file_use(Path(copy_of(revision, host).path)).names == 1


def test_what_is_fetched_is_offered_only_when_asked_for(
    hub: HubServer, host: Host, settings: Settings
) -> None:
    settings.HF_HUB_CACHE.mkdir()
    settings.OLLAMA_MODELS.mkdir()
    revision = resolved(hub)
    before = sent_by(hub)
    run(PlanKind.DOWNLOAD, revision, host)
    copy = copy_of(revision, host)
    assert file_use(Path(copy.path)).names == 1
    run(PlanKind.DELETE, revision, host)

    settings.SAM_SHARE_MODELS = True
    run(PlanKind.DOWNLOAD, revision, host)

    copy.refresh_from_db()
    found = Path(
        hf_hub_download(
            "demo/tiny-llama", "model.gguf", cache_dir=settings.HF_HUB_CACHE, local_files_only=True
        )
    )
    names = [Path(copy.path), found, places_of(revision)["ollama"]]
    assert {file_use(name).inode for name in names} == {Path(copy.path).stat().st_ino}
    assert disk_bytes(names) == disk_bytes(names[:1])
    assert sent_by(hub) - before == 2 * revision.file_size


def test_deleting_keeps_what_hugging_face_still_uses_and_it_comes_back_for_nothing(
    hub: HubServer, host: Host, settings: Settings
) -> None:
    settings.HF_HUB_CACHE.mkdir()
    settings.SAM_SHARE_MODELS = True
    revision = resolved(hub)
    before = sent_by(hub)
    run(PlanKind.DOWNLOAD, revision, host)

    deleted = run(PlanKind.DELETE, revision, host)
    (repo,) = scan_cache_dir(settings.HF_HUB_CACHE).repos
    again = run(PlanKind.DOWNLOAD, revision, host)

    assert deleted.result == {"bytes_freed": 0}
    assert repo.size_on_disk == revision.file_size
    assert again.result == {"bytes_fetched": {"tiny-llama": 0}}
    assert sent_by(hub) - before == revision.file_size


def test_deleting_the_last_name_frees_the_disk(hub: HubServer, host: Host) -> None:
    revision = resolved(hub)
    run(PlanKind.DOWNLOAD, revision, host)
    size = disk_bytes([copy_path(settings.SAM_MODELS_DIR, revision)])

    deleted = run(PlanKind.DELETE, revision, host)

    assert deleted.result == {"bytes_freed": size}
    assert size >= revision.file_size


def test_deleting_one_of_two_models_with_the_same_file_keeps_the_other(
    hub: HubServer, host: Host
) -> None:
    first, second = resolved(hub, "one"), resolved(hub, "two")
    run(PlanKind.DOWNLOAD, first, host)
    assert run(PlanKind.DOWNLOAD, second, host).result == {"bytes_fetched": {"two": 0}}

    run(PlanKind.DELETE, first, host)

    kept = copy_of(second, host)
    assert Path(kept.path).stat().st_size == second.file_size
    assert ModelCopy.objects.get(revision=first).status == CopyStatus.NOT_DOWNLOADED
    assert run(PlanKind.DELETE, second, host).result["bytes_freed"] > 0
    assert not Path(kept.path).exists()


def mapped_inodes(engine: LlamaCppEngine) -> set[int]:
    lines = Path(f"/proc/{engine.get_engine_info()['pid']}/maps").read_text().splitlines()
    return {int(line.split()[4]) for line in lines if "sha256-" in line or ".gguf" in line}


def test_two_engines_under_two_names_run_from_one_inode(
    hub: HubServer, host: Host, settings: Settings
) -> None:
    settings.OLLAMA_MODELS.mkdir()
    settings.SAM_SHARE_MODELS = True
    revision = resolved(hub)
    run(PlanKind.DOWNLOAD, revision, host)
    names = [copy_of(revision, host).path, str(places_of(revision)["ollama"])]
    specs = [EngineSpec("tiny", "Tiny", name, threads=1) for name in names]

    with LlamaCppEngine.from_spec(specs[0]) as ours, LlamaCppEngine.from_spec(specs[1]) as theirs:
        ours.load_model()
        theirs.load_model()
        inodes = mapped_inodes(ours) | mapped_inodes(theirs)
        answers = {
            engine.generate("Stones", temperature=0, max_tokens=8) for engine in (ours, theirs)
        }

    assert names[0] != names[1]
    assert inodes == {file_use(Path(names[0])).inode}
    assert len(answers) == 1


def test_a_second_plan_for_a_file_waits_and_leaves_its_row_alone(
    hub: HubServer, host: Host
) -> None:
    revision = resolved(hub)
    copy = copy_of(revision, host)
    copy_mark(copy, CopyStatus.DOWNLOADING)
    target = copy_path(settings.SAM_MODELS_DIR, revision)
    target.parent.mkdir(parents=True)

    with claim_part(target, revision.sha256, revision.file_size):
        waiting = run(PlanKind.DOWNLOAD, revision, host)
        copy.refresh_from_db()
        assert (waiting.status, waiting.failures) == ("pending", 0)
        assert (copy.status, copy.error) == (CopyStatus.DOWNLOADING, "")

    Step.objects.filter(pk=waiting.pk).update(ready_at=timezone.now())
    run_step(waiting.pk)
    copy.refresh_from_db()
    assert copy.status == CopyStatus.DOWNLOADED
