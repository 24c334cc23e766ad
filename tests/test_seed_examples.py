"""The specifications' printed examples run: as printed, with the imports that the page gives them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from shutil import copyfile
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User

from engines.models import EnginePreference, LoraAdapter
from engines.runtimes.base import ModelStatus
from engines.services.people.adapters import invalidate_adapters
from engines.specs import ModelInfo
from migrations_app.controller import MigrationController
from migrations_app.library import ModelLibraryManager
from migrations_app.models import Plan
from migrations_app.states import MigrationStatus, PlanKind
from tests.api.roles import Engines, make_default, make_engines, make_model, use_engine
from tests.runtimes.seed_engine import load_custom_model
from tests.seed_documents import blocks, example
from tests.seed_map import with_imports_of_today

Names = dict[str, Any]
API, GUIDE, MODELS = "api_reference", "developer_guide", "model_guidelines"


def run(document: str, heading: str, names: Names | None = None) -> Names:
    """Run the example below a heading on these names; returns what it leaves."""
    return run_text(example(document, heading), names)


def run_text(text: str, names: Names | None = None) -> Names:
    scope = {"MigrationStatus": MigrationStatus, "datetime": datetime, **(names or {})}
    exec(compile(with_imports_of_today(text), "<example>", "exec"), scope)  # noqa: S102 - ours
    return scope


@pytest.fixture
def engines(db: None) -> Engines:
    return make_engines()


@pytest.fixture
def person(db: None, engines: Engines) -> User:
    """The examples' own person, on the old engine."""
    user = User.objects.create_user("user123")
    use_engine(user, engines.old)
    return user


@pytest.fixture
def switched(person: User, engines: Engines) -> Names:
    """What the basic engine switch leaves; the first model it finds must be another engine."""
    engines.old.published = False
    engines.old.save()
    engines.embedder.published = False
    engines.embedder.save()
    engines.reserved.published = False
    engines.reserved.save()
    return run(API, "Basic Engine Switch")


def test_a_basic_engine_switch_starts_a_download_and_a_migration(
    switched: Names, person: User
) -> None:
    download, migration = Plan.objects.order_by("kind")

    assert switched["target_model"].model_id == "qwen-4b"
    assert switched["success"] is True
    assert (download.kind, download.status) == (PlanKind.DOWNLOAD, MigrationStatus.IN_PROGRESS)
    assert (migration.user, migration.migration_id) == (person, switched["migration_id"])
    assert migration.status is MigrationStatus.IN_PROGRESS


def test_the_progress_of_a_migration_is_printed(
    switched: Names, capsys: pytest.CaptureFixture[str]
) -> None:
    run(API, "Monitor Migration Progress", switched)
    Plan.objects.filter(kind=PlanKind.MIGRATE).update(status="failed", error_message="No room.")
    run(API, "Monitor Migration Progress", switched)

    assert capsys.readouterr().out.splitlines() == [
        "Status: in_progress",
        "Progress: 0.0%",
        "Current Step: fetch_engine",
        "Status: failed",
        "Progress: 0.0%",
        "Current Step: fetch_engine",
        "Error: No room.",
    ]


def test_the_managers_are_had_from_their_doors() -> None:
    doors = [block.text for block in blocks() if block.heading == "Global Access"]

    left = {**run_text(doors[0]), **run_text(doors[1])}

    assert type(left["manager"]) is ModelLibraryManager
    assert type(left["controller"]) is MigrationController


def test_a_custom_engine_answers_and_fails_as_printed() -> None:
    names = {"ModelStatus": ModelStatus, "List": list, "load_custom_model": load_custom_model}
    custom = run(API, "Custom Engine Implementation", names)["CustomEngine"]
    good, bad = custom("mine", "Mine", "letters"), custom("mine", "Mine", "")

    with pytest.raises(RuntimeError, match="Model not loaded"):
        good.generate("abc")
    assert (good.load_model(), bad.load_model()) == (True, False)
    assert (good.generate("abc"), len(good.embed("abc"))) == ("cba", 8)
    assert (good.get_status(), bad.get_status()) == (ModelStatus.READY, ModelStatus.ERROR)
    assert good.unload_model()
    assert (good.is_available(), good.status.value) == (False, "unavailable")


def test_errors_are_printed_and_not_raised(
    switched: Names, capsys: pytest.CaptureFixture[str]
) -> None:
    def load_model() -> bool:
        raise RuntimeError("No room.")

    engine = SimpleNamespace(load_model=load_model)
    run(
        API,
        "Common Exceptions",
        {**switched, "engine": engine, "migration_id": "unknown", "model_id": "unknown"},
    )

    assert capsys.readouterr().out.splitlines() == [
        "Model loading failed: No room.",
        "Migration failed: There is no plan unknown.",
        "Download failed: No model is called 'unknown'; list the catalog to see the names.",
    ]


def test_a_corrupted_model_is_deleted_and_downloaded_again(engines: Engines) -> None:
    assert engines.new.current_revision is not None
    copy = engines.new.current_revision.copies.create(
        host=engines.host, path="/models/x", status="corrupted"
    )

    names = {"library_manager": ModelLibraryManager(), "model_id": "qwen-4b"}
    left = run(API, "Status Checking", names)

    assert left["status"] == "corrupted"
    kinds = Plan.objects.filter(host=copy.host, user=None).values_list("kind", flat=True)
    assert sorted(kinds) == [PlanKind.DELETE, PlanKind.DOWNLOAD]


def test_the_configuration_is_read(engines: Engines) -> None:
    make_default(engines.old)

    left = run(API, "Engine Configuration")

    read = ("active_engine", "engine_name", "engine_family", "last_upgrade", "model_path")
    assert [left[name] for name in read] == ["llama-8b", "LLAMA-8B", "llama", None, None]


def test_the_configuration_of_a_person_is_written(person: User) -> None:
    """As the page says: with the person's name in the brackets, and an engine that there is."""
    make_model("new-engine-id", family="new_family")
    text = example(API, "SAM Configuration Integration")
    assert text.count("get_config_manager()") == 1

    run_text(text.replace("get_config_manager()", "get_config_manager(user)"), {"user": person})

    stored = EnginePreference.objects.get(user=person)
    assert stored.engine_upgrade["active_engine_id"] == "new-engine-id"
    assert stored.engine_upgrade["engine_family"] == "new_family"
    assert stored.last_upgrade is not None
    assert stored.local_model_path == ""


def test_the_configuration_of_nobody_is_refused_and_nothing_is_changed(engines: Engines) -> None:
    make_model("new-engine-id")
    make_default(engines.old)

    with pytest.raises(Exception, match=r"Name whose configuration is saved"):
        run(API, "SAM Configuration Integration")

    assert run(API, "Engine Configuration")["active_engine"] == "llama-8b"
    assert not EnginePreference.objects.exists()


def test_an_adapter_that_a_migration_left_behind_is_told(
    person: User, engines: Engines, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engines.old.current_revision is not None
    assert engines.new.current_revision is not None
    for number, base in enumerate((engines.old.current_revision, engines.new.current_revision)):
        LoraAdapter.objects.create(
            user=person,
            name=f"style-{number}",
            base_revision=base,
            artifact_key=f"adapters/{number}",
            sha256=f"{number}" * 64,
            file_size=1,
        )
    run(API, "LoRA Adapter Integration", {"user_id": "user123"})
    assert capsys.readouterr().out == ""
    invalidate_adapters(
        person.pk, keep=engines.new.current_revision, plan_id="plan-7", from_engine="llama-8b"
    )

    run(API, "LoRA Adapter Integration", {"user_id": "user123"})

    assert capsys.readouterr().out == "Model style-0 needs retraining\n"


@pytest.mark.parametrize("chosen", [True, False])
def test_a_component_shows_the_engine(engines: Engines, chosen: bool) -> None:
    if chosen:
        make_default(engines.old)
    shown: list[str] = []
    screen = SimpleNamespace(info=shown.append)

    run(GUIDE, "Adding Engine Awareness", {"st": screen})["render_my_component"]()

    assert shown == [f"Current Engine: {'LLAMA-8B' if chosen else None}"]


def test_a_catalog_entry_is_written_as_printed() -> None:
    text = example(GUIDE, "Step 2: Add to Model Catalog")

    info = run_text(f"info = {text}", {"ModelInfo": ModelInfo})["info"]

    assert (info.model_id, info.file_size, info.tags) == (
        "new-model-8b-q4",
        4_800_000_000,
        ["new", "efficient"],
    )


@pytest.fixture
def qwen_folder(tmp_path: Path, tiny_qwen: Path) -> Path:
    """A tiny file under the name of the real one, which is larger than a test may fetch."""
    copyfile(tiny_qwen, tmp_path / "Qwen3-1.7B-Q4_K_M.gguf")
    return tmp_path


def of_today(text: str, folder: Path) -> str:
    """The example for the runtime that is installed everywhere, with a folder to look in."""
    printed = 'model_type="huggingface",'
    assert text.count(printed) == 1
    return text.replace(
        printed, f'model_type="gguf", cache_dir={str(folder)!r}, context_length=512, threads=1,'
    )


def test_a_model_manager_answers_streams_and_embeds(
    qwen_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    basic = of_today(example(MODELS, "Basic Usage"), qwen_folder)
    short = "max_tokens=500"
    names = run_text(basic.replace(short, "max_tokens=8"))
    try:
        assert capsys.readouterr().out.strip() == names["response"].strip() != ""
        run_text(example(MODELS, "Streaming Responses").replace(short, "max_tokens=8"), names)
        assert capsys.readouterr().out != ""
        left = run(MODELS, "Embeddings", names)
    finally:
        names["manager"].close()

    assert len(left["batch_embeddings"]) == 3
    assert {len(vector) for vector in left["batch_embeddings"]} == {len(left["embeddings"])}


def test_sharing_with_ollama_is_asked_for_as_printed() -> None:
    manager = run(MODELS, "Model Sharing")["manager"]

    assert manager.options.share_with_ollama is True
    assert manager.model_id() == "Qwen/Qwen3-1.7B"
