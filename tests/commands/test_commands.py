from __future__ import annotations

import json
from pathlib import Path

import pytest
from redis import Redis

from engines.models import (
    ApiToken,
    CatalogModel,
    Chunk,
    Document,
    EnginePreference,
    KnowledgeBase,
    LoraAdapter,
)
from engines.services.people.tokens import find_owner
from migrations_app.api.views import knowledge
from migrations_app.models import Plan, Step
from migrations_app.serving.protocol import SearchReply
from migrations_app.states import PlanStatus, StepStatus
from samproject.cli.errors import CommandError
from tests.api.roles import Engines, People, make_plan, use_engine
from tests.reading.made import docx, paragraph
from tests.sam_command import run_sam, try_sam
from tests.worker.plans import make_host


def test_the_catalog_goes_out_and_in_again(engines: Engines, tmp_path: Path) -> None:
    file = tmp_path / "catalog.json"
    run_sam("catalog", "export", str(file))
    exported = json.loads(file.read_text())["models"]
    CatalogModel.objects.filter(model_id="qwen-4b").update(display_name="changed")

    said = run_sam("catalog", "import", str(file))
    assert "qwen-4b: It differs in display_name and was left as curated" in said
    assert "4 unchanged, 1 left as curated." in said
    assert CatalogModel.objects.get(model_id="qwen-4b").display_name == "changed"

    said = run_sam("catalog", "import", str(file), "--overwrite")
    assert "qwen-4b: updated (display_name)." in said
    assert CatalogModel.objects.get(model_id="qwen-4b").display_name == "QWEN-4B"
    assert json.loads(run_sam("catalog", "export"))["models"] == exported
    assert "qwen-4b" in run_sam("catalog", "list")


def test_a_bad_entry_is_told_and_the_others_are_written(db: None, tmp_path: Path) -> None:
    good = {
        "model_id": "good",
        "display_name": "Good",
        "model_family": "llama",
        "huggingface_repo": "org/good",
        "filename": "good.gguf",
    }
    file = tmp_path / "catalog.json"
    file.write_text(json.dumps({"models": [good, {"model_id": "bad"}]}))

    with pytest.raises(CommandError, match="1 entries were refused"):
        run_sam("catalog", "import", str(file))

    assert [model.model_id for model in CatalogModel.objects.all()] == ["good"]


@pytest.mark.parametrize("content", ["", "{", "[]", "[" * 100_000, '{"models": 7}'])
def test_a_file_that_is_no_catalog_is_a_sentence(db: None, tmp_path: Path, content: str) -> None:
    file = tmp_path / "catalog.json"
    file.write_text(content)

    with pytest.raises(CommandError):
        run_sam("catalog", "import", str(file))
    with pytest.raises(CommandError, match="cannot be read"):
        run_sam("catalog", "import", str(tmp_path / "none.json"))

    assert not CatalogModel.objects.exists()


def test_an_entry_is_added(engines: Engines) -> None:
    arguments = ["--name", "Gemma", "--family", "gemma", "--repo", "google/gemma"]
    run_sam(
        "catalog", "add", "gemma-2b", *arguments, "--file", "g.gguf", "--embedding-model", "minilm"
    )

    assert CatalogModel.objects.get(model_id="gemma-2b").embedding_model == engines.embedder


@pytest.mark.parametrize(
    "command",
    [
        ["token", "nobody"],
        ["search", "roof", "--user", "nobody"],
        ["plan", "create", "qwen-4b", "--user", "nobody"],
    ],
)
def test_an_unknown_person_is_a_sentence(engines: Engines, command: list[str]) -> None:
    with pytest.raises(CommandError, match="There is no active user 'nobody'"):
        run_sam(*command)

    assert not Plan.objects.exists()
    assert not ApiToken.objects.exists()


def test_a_download_is_started_looked_at_and_cancelled(engines: Engines) -> None:
    assert "to gpu-1" in run_sam("download", "start", "qwen-4b", "--host", "gpu-1")
    assert "0.0 % on gpu-1" in run_sam("download", "status", "qwen-4b")
    run_sam("download", "cancel", "qwen-4b")

    assert Plan.objects.get().status == PlanStatus.CANCELLED
    with pytest.raises(CommandError, match="nothing to do"):
        run_sam("download", "cancel", "qwen-4b")
    with pytest.raises(CommandError, match="No model is called"):
        run_sam("download", "start", "none")


def test_a_plan_is_made_previewed_started_shown_and_cancelled(
    people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.old)
    plan_id = run_sam("plan", "create", "qwen-4b", "--user", "alice", "--no-re-embed").strip()

    assert not Plan.objects.get(pk=plan_id).re_embed_knowledge
    assert json.loads(run_sam("plan", "preview", plan_id))["to_engine"] == "qwen-4b"
    run_sam("plan", "execute", plan_id)
    status = run_sam("plan", "status", plan_id)
    assert "in_progress" in status
    assert "fetch_engine" in status
    assert plan_id in run_sam("plan", "list", "--user", "alice")
    assert plan_id not in run_sam("plan", "list", "--user", "bob")
    run_sam("plan", "cancel", plan_id)
    assert Plan.objects.get(pk=plan_id).status == PlanStatus.CANCELLED


def test_waiting_shows_the_end_or_says_what_an_operator_must_do(
    people: People, engines: Engines
) -> None:
    plan = make_plan(people.alice, engines)
    run_sam("plan", "execute", str(plan.pk))
    Step.objects.filter(plan=plan, position=0).update(
        status=StepStatus.NEEDS_OPERATOR, error="The disk is full."
    )

    with pytest.raises(CommandError, match=r"The disk is full. Run `sam plan retry"):
        run_sam("plan", "execute", str(plan.pk), "--wait")

    assert "What can be done: cancel, retry, abandon, move." in run_sam(
        "plan", "status", str(plan.pk)
    )
    run_sam("plan", "abandon", str(plan.pk))
    plan.refresh_from_db()
    assert plan.status == PlanStatus.CANCELLED
    assert "What can be done: nothing any more." in run_sam("plan", "status", str(plan.pk))


def test_a_switched_plan_is_moved_and_abandoned_and_says_what_was_left_out(
    people: People, engines: Engines
) -> None:
    plan = make_plan(people.alice, engines)
    run_sam("plan", "execute", str(plan.pk))
    plan.steps.filter(position__lt=5).update(status="completed")
    make_host("gpu-2")

    assert run_sam("plan", "move", str(plan.pk), "--host", "gpu-2") == "Moved to gpu-2.\n"
    assert run_sam("plan", "abandon", str(plan.pk)).startswith("Abandoned. What follows the switch")
    assert "What follows the switch was abandoned" in run_sam("plan", "status", str(plan.pk))


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "execute", "none"),
        ("plan", "status", "none"),
        ("plan", "roll-back", "00000000-0000-0000-0000-000000000000"),
        ("plan", "create", "none", "--user", "alice"),
        ("plan", "create", "qwen-4b", "--user", "nobody"),
        ("plan", "fly"),
        ("preference", "choose", "draft-1b", "--user", "alice"),
        ("documents", "delete", "99", "--user", "alice"),
        ("search", " ", "--user", "alice"),
        ("search", "x", "--user", "alice", "-k", "0"),
    ],
)
def test_what_cannot_be_is_a_sentence(
    people: People, engines: Engines, arguments: tuple[str, ...]
) -> None:
    with pytest.raises(CommandError):
        run_sam(*arguments)

    assert not Plan.objects.exists()


def test_a_person_chooses_an_engine_and_edits_prompts(people: People, engines: Engines) -> None:
    assert "qwen-4b answers you now" in run_sam(
        "preference", "choose", "qwen-4b", "--user", "alice"
    )

    assert json.loads(run_sam("preference", "show", "--user", "alice"))["version"] == 2
    assert EnginePreference.objects.get().engine == engines.new
    shown = run_sam(
        "preference", "prompts", "qwen", "--user", "alice", "--system-prompt", "Be brief."
    )
    assert json.loads(shown)["system_prompt"] == "Be brief."


def add(folder: Path, *options: str) -> str:
    return run_sam("documents", "add", str(folder), *options, "--user", "alice")


@pytest.fixture
def notes(people: People, tmp_path: Path) -> Path:
    """A folder that was added once."""
    folder = tmp_path / "notes"
    (folder / "deep").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "x.md").write_text("not this")
    (folder / "deep" / "a.md").write_text("# Whales\n\nThey sing.")
    (folder / "b\u00a0\u3000c.txt").write_text("Fish swim.")
    (folder / "report.docx").write_bytes(docx(paragraph("A report.")))
    assert "0 unchanged, 0 updated, 3 new in Documents." in add(folder)
    return folder


def keys() -> dict[str, int]:
    return dict(Document.objects.values_list("path", "pk"))


def test_a_folder_is_added_with_its_paths(people: People, notes: Path) -> None:
    assert KnowledgeBase.objects.get().owner == people.alice
    assert set(keys()) == {"notes/deep/a.md", "notes/b\u00a0\u3000c.txt", "notes/report.docx"}
    assert "notes/deep/a.md" in run_sam("documents", "list", "--user", "alice")


def test_a_list_of_documents_says_what_was_not_read_of_their_files(
    people: People, tmp_path: Path
) -> None:
    old = tmp_path / "old.txt"
    old.write_bytes("Die Prüfung der Geräte.".encode("cp1252"))

    add(old)

    said = "old.txt: It does not say its encoding; it was read as windows-1252."
    assert said in run_sam("documents", "list", "--user", "alice")


def test_a_file_that_is_refused_hides_no_other(notes: Path) -> None:
    (notes / "c.bin").write_bytes(b"\x00\x01\xff")
    (notes / "d.md").write_text("new")

    command = ("documents", "add", str(notes), "--user", "alice")
    said, error = try_sam(*command)
    again, refusal = try_sam(*command, "--json")

    assert "3 unchanged, 0 updated, 1 new, 1 refused in Documents." in said
    assert "refused  notes/c.bin (It is none of the kinds" in " ".join(said.split(" "))
    assert (
        "They are searched by words alone until an engine is chosen; `sam plan create` chooses one."
        in said
    )
    told = (
        "1 file was refused and all others that hold a text are in the base: notes/c.bin. "
        "Their lines say why."
    )
    assert (str(error), str(refusal)) == (told, told)
    assert {line["path"]: line["outcome"] for line in json.loads(again)}["notes/c.bin"] == "refused"


def test_a_folder_again_changes_what_changed(notes: Path) -> None:
    before, seq = keys(), KnowledgeBase.objects.get().write_seq
    (notes / "deep" / "a.md").write_text("# Whales\n\nThey sing softly.")
    (notes / "report.docx").rename(notes / "deep" / "final.docx")

    said = add(notes)

    assert "1 unchanged, 1 updated, 0 new, 1 moved in Documents." in said
    after = keys()
    assert after["notes/deep/final.docx"] == before["notes/report.docx"]
    assert after["notes/deep/a.md"] == before["notes/deep/a.md"]
    assert Document.objects.get(path="notes/deep/final.docx").title == "notes/deep/final.docx"
    assert Chunk.objects.filter(deleted_seq__isnull=True, text__contains="They sing").count() == 1
    assert KnowledgeBase.objects.get().write_seq == seq + 1


def test_files_that_are_gone_are_deleted_when_asked(notes: Path) -> None:
    (notes / "report.docx").unlink()

    assert "2 unchanged, 0 updated, 0 new, 1 missing in Documents." in add(notes)
    assert Document.objects.count() == 3
    assert "1 deleted" in add(notes, "--delete-missing")
    assert "notes/report.docx" not in keys()
    assert Document.objects.count() == 2


def test_documents_are_deleted_by_their_numbers(people: People, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Whales.")
    add(tmp_path / "a.md")
    first = Document.objects.get(title="a.md")

    with pytest.raises(CommandError, match="You have no document"):
        run_sam("documents", "delete", str(first.pk), "--user", "bob")
    run_sam("documents", "delete", str(first.pk), "--user", "alice")

    assert not Document.objects.exists()


@pytest.mark.parametrize("given", ["nonsense", "cf880c18"])
def test_what_is_no_plans_id_is_said_to_be_none(people: People, given: str) -> None:
    with pytest.raises(CommandError, match=f"{given} is no plan's id"):
        run_sam("plan", "roll-back", given)


def test_tokens_are_made_listed_and_ended(people: People) -> None:
    first = run_sam("token", "alice").strip()
    second = run_sam("token", "alice", "--name", "cron", "--days", "1").strip()
    assert find_owner(first) == find_owner(second) == people.alice

    listed = run_sam("tokens", "--user", "alice")
    assert "cron" in listed
    assert not [key for key in (first, second) if key in listed]

    cron = ApiToken.objects.get(name="cron")
    with pytest.raises(CommandError, match="There is no token"):
        run_sam("tokens", "--user", "bob", "--end", str(cron.pk))
    run_sam("tokens", "--user", "alice", "--end", str(cron.pk))
    assert [find_owner(key) for key in (first, second)] == [people.alice, None]

    run_sam("tokens", "--user", "alice", "--end", "all")
    assert find_owner(first) is None


def test_adapters_templates_and_bases_are_kept_by_command(people: People, engines: Engines) -> None:
    base = engines.old.current_revision
    assert base is not None
    adapter = LoraAdapter.objects.create(
        user=people.alice,
        name="tone",
        base_revision=base,
        artifact_key="k",
        sha256="a",
        file_size=1,
    )
    assert "tone" in run_sam("adapter", "list", "--user", "alice")
    assert run_sam("adapter", "disable", str(adapter.pk), "--user", "alice") == "Disabled.\n"
    assert run_sam("adapter", "enable", str(adapter.pk), "--user", "alice") == "Enabled.\n"
    with pytest.raises(CommandError):
        run_sam("adapter", "delete", str(adapter.pk), "--user", "bob")
    run_sam("adapter", "delete", str(adapter.pk), "--user", "alice")
    assert not LoraAdapter.objects.exists()

    run_sam("template", "set", "qwen", "--system-prompt", "Be brief.")
    run_sam("template", "set", "qwen", "--reasoning-prompt", "Think.")
    assert "Be brief." in run_sam("template", "list")
    run_sam("template", "delete", "qwen")

    made = json.loads(run_sam("base", "create", "Notes", "--user", "alice", "--json"))
    run_sam("base", "rename", str(made["id"]), "Thoughts", "--user", "alice")
    assert "Thoughts" in run_sam("base", "list", "--user", "alice")
    run_sam("base", "delete", str(made["id"]), "--user", "alice")
    assert not KnowledgeBase.objects.exists()


def test_what_is_a_persons_own_asks_for_the_person(engines: Engines) -> None:
    with pytest.raises(CommandError, match="say who with --user"):
        run_sam("adapter", "list")


def test_searching_without_a_host_says_so(people: People, redis_client: Redis) -> None:
    with pytest.raises(CommandError, match="No active host"):
        run_sam("search", "whales", "--user", "alice")


@pytest.mark.parametrize(
    ("engine_id", "said"),
    [("qwen-4b", "Nothing was found.\n"), (None, "Nothing was found. No engine is chosen yet, ")],
)
def test_why_a_search_finds_nothing_is_told(
    people: People, monkeypatch: pytest.MonkeyPatch, engine_id: str | None, said: str
) -> None:
    found = SearchReply(hits=[], engine_id=engine_id)
    monkeypatch.setattr(knowledge, "answer_search", lambda *_: found)

    assert run_sam("search", "whales", "--user", "alice").startswith(said)


def test_where_there_is_nothing_to_add_no_base_is_made(people: People, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is no file in it"):
        add(tmp_path)
    with pytest.raises(CommandError, match="no such file"):
        add(tmp_path / "nothing")
    assert not KnowledgeBase.objects.exists()
    (tmp_path / "empty.md").write_text(" \u200b\n")

    with pytest.raises(CommandError, match="No file could be added"):
        add(tmp_path)

    assert not Document.objects.exists()
