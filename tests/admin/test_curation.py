"""Curation in the admin: fields of one runtime, import, the Hub's search, files on hosts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from deploy.demo.hub.server import HubServer
from engines.models import CatalogModel, Host
from migrations_app.models import Plan
from tests.admin.test_admin import CATALOG, act, curator, engines, operator, people, queries
from tests.admin.test_catalog_form import SERVED
from tests.api.roles import GIB, Engines

__all__ = ["curator", "engines", "operator", "people"]

ADD = f"{CATALOG}add/"


def fields_of(client: Client, address: str) -> set[str]:
    return set(client.get(address).context["adminform"].form.fields)


def upload(client: Client, document: object, **options: Any) -> Any:
    file = SimpleUploadedFile("catalog.json", json.dumps(document).encode())
    return client.post(f"{CATALOG}import/", {"document": file, **options})


def test_the_form_shows_the_fields_of_its_runtime(curator: Client, engines: Engines) -> None:
    file, served = (fields_of(curator, f"{ADD}?runtime={name}") for name in ("llama_cpp", "openai"))

    assert {"huggingface_repo", "filename", "gpu_layers"} <= file
    assert not file & {"endpoint", "remote_name", "folder", "load_quantization"}
    assert {"endpoint", "remote_name"} <= served
    assert not served & {"filename", "sha256", "gpu_layers", "folder"}
    assert fields_of(curator, f"{CATALOG}{engines.old.pk}/change/") == {*file, "confirm"}


def test_what_only_another_runtime_reads_is_forgotten_with_it(curator: Client) -> None:
    entry = CatalogModel.objects.create(
        model_id="qwen-served",
        display_name="Qwen",
        model_family="qwen",
        huggingface_repo="org/qwen",
        filename="qwen.gguf",
        gpu_layers=12,
    )

    answer = curator.post(f"{CATALOG}{entry.pk}/change/", SERVED)

    assert answer.status_code == 302, answer.context["adminform"].form.errors
    entry.refresh_from_db()
    assert (entry.runtime, entry.filename, entry.gpu_layers) == ("openai", "", -1)


def test_families_and_licences_are_offered_and_others_may_be_typed(
    curator: Client, engines: Engines
) -> None:
    page = curator.get(ADD).content.decode()

    assert '<datalist id="known-model_family">' in page
    assert '<option value="qwen">' in page
    assert '<option value="apache-2.0">' in page


def test_an_entry_says_who_uses_it_and_where_it_fits(curator: Client, engines: Engines) -> None:
    Host.objects.filter(pk=engines.host.pk).update(memory_bytes=GIB)
    assert engines.old.current_revision is not None
    engines.old.current_revision.file_size = 40 * GIB
    engines.old.current_revision.save()

    lines = curator.get(f"{CATALOG}{engines.old.pk}/change/").context
    assert [line.judgement.fits for line in lines["host_lines"]] == [False]
    assert lines["usage"] == "Nobody uses it."


def test_a_curator_moves_files_through_plans(curator: Client, engines: Engines) -> None:
    page = f"{CATALOG}{engines.old.pk}/"

    curator.post(f"{page}files/download/", {"host": "gpu-1"})
    nothing = curator.post(f"{page}files/verify/", follow=True)

    plan = Plan.objects.get()
    assert (plan.kind, plan.to_engine, plan.created_by) == (
        "download",
        engines.old,
        plan.created_by,
    )
    assert "No host has a file of llama-8b." in nothing.content.decode()
    assert curator.post(f"{page}files/burn/").status_code == 404
    assert curator.get(f"{page}files/download/").status_code == 403
    assert "No host has a file of qwen-4b." in act(curator, CATALOG, "delete_files", [engines.new])
    assert Plan.objects.count() == 1


def test_an_import_tells_of_each_entry_what_became_of_it(curator: Client, engines: Engines) -> None:
    good = {"name": "New", "model_family": "qwen", "huggingface_repo": "o/n", "filename": "n.gguf"}
    document = {"models": {"new-1b": {**good, "display_name": "New"}, "../etc": good}}

    report = upload(curator, document).context["report"]

    assert (report.created, list(report.refused)) == (["new-1b"], ["../etc"])
    assert not CatalogModel.objects.filter(model_id="../etc").exists()


@pytest.mark.parametrize("content", [b"no json", b"[1, 2]", b'"text"'])
def test_what_is_no_catalog_is_refused_with_a_sentence(curator: Client, content: bytes) -> None:
    before = CatalogModel.objects.count()

    answer = curator.post(f"{CATALOG}import/", {"document": SimpleUploadedFile("c.json", content)})

    assert answer.context["form"].errors["document"]
    assert CatalogModel.objects.count() == before


def test_an_operator_reads_and_does_not_curate(operator: Client, engines: Engines) -> None:
    assert upload(operator, {"models": {}}).status_code == 403
    assert operator.get(f"{CATALOG}hub/").status_code == 403
    assert operator.get(ADD).status_code == 403


def test_the_hub_is_searched_and_the_best_file_for_our_hosts_marked(
    curator: Client, engines: Engines, tmp_path: Path, settings: Any
) -> None:
    folder = tmp_path / "org" / "Qwen-GGUF"
    folder.mkdir(parents=True)
    for name, size in (("q4.gguf", 2000), ("q8.gguf", 4000), ("f16.gguf", 9000)):
        (folder / name).write_bytes(b"x" * size)
    (folder / "README.md").write_text("read me")
    (folder / "mmproj-f16.gguf").write_bytes(b"x")
    (folder / "BF16").mkdir()
    for number in (1, 2):
        (folder / "BF16" / f"bf16-0000{number}-of-00002.gguf").write_bytes(b"x" * 5000)
    (folder / "lost-00001-of-00002.gguf").write_bytes(b"x")
    Host.objects.filter(pk=engines.host.pk).update(memory_bytes=6000)
    with HubServer(tmp_path) as hub:
        settings.HF_ENDPOINT = hub.endpoint
        found = curator.get(f"{CATALOG}hub/?q=qwen").context["found"]
        page = curator.get(f"{CATALOG}hub/?repo=org/Qwen-GGUF")
        files = page.context["files"]
        pasted = curator.get(f"{CATALOG}hub/?q=https://huggingface.co/org/Qwen-GGUF/tree/main")
        unknown = curator.get(f"{CATALOG}hub/?repo=org/other").context["problem"]
        wrong = curator.get(f"{CATALOG}hub/?repo=../../x").context["problem"]

    assert [model.id for model in found] == ["org/Qwen-GGUF"]
    assert [(file.name, file.fits, file.is_best) for file in files] == [
        ("q4.gguf", True, False),
        ("q8.gguf", True, True),
        ("f16.gguf", False, False),
        ("BF16/bf16-00001-of-00002.gguf", False, False),
    ]
    assert files[-1].size == 10_000
    assert pasted.context["files"] == files
    assert "huggingface_repo=org/Qwen-GGUF&amp;wanted_revision=main" in pasted.content.decode()
    assert "2 files" in page.content.decode()
    assert "no such repository" in unknown
    assert wrong
    assert "does not answer" in curator.get(f"{CATALOG}hub/?q=qwen").context["problem"]


def test_an_entry_asks_as_often_on_many_hosts_as_on_one(curator: Client, engines: Engines) -> None:
    page = f"{CATALOG}{engines.old.pk}/change/"
    few = queries(curator, page)

    for number in range(5):
        Host.objects.create(name=f"cpu-{number}", status="active")

    assert queries(curator, page) == few
