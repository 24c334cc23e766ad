"""`sam catalog add` and `sam fit` with places at the Hub as people have them at hand."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile

import pytest
from pytest_django.fixtures import Settings

from deploy.demo.hub.faults import Fault
from deploy.demo.hub.server import HubServer
from engines.models import CatalogModel
from samproject.cli.errors import CommandError
from tests.sam_command import run_sam
from tests.split_models import write_llama_in_parts
from tests.worker.plans import make_host

Q4, Q8 = "Some-Q4_K_M.gguf", "Some-Q8_0.gguf"
SPLIT = "UD-Q4_K_M/tiny-Q4_K_M-00001-of-00003.gguf"
AT = "https://huggingface.co/org/Some-GGUF"


@pytest.fixture
def hub(db: None, tmp_path: Path, settings: Settings, tiny_llama: Path) -> Iterator[HubServer]:
    make_host("small", memory_bytes=2**33)
    repository = tmp_path / "org" / "Some-GGUF"
    write_llama_in_parts(repository / "UD-Q4_K_M")
    for name in (Q4, Q8, "mmproj-F16.gguf"):
        copyfile(tiny_llama, repository / name)
    with HubServer(tmp_path) as server:
        settings.HF_ENDPOINT = server.endpoint
        yield server


def command_for(place: str) -> list[str]:
    said = run_sam("catalog", "add", place)
    return shlex.split(said.partition("To take one: sam ")[2].strip())


@pytest.mark.parametrize(
    ("place", "filename"),
    [
        (f"{AT}/blob/main/{Q4}", Q4),
        (f"{AT}/resolve/main/{Q4}?download=true", Q4),
        (f"http://www.huggingface.co/org/Some-GGUF/blob/main/{SPLIT}#files", SPLIT),
        (f"{AT}/blob/main/{SPLIT.replace('-00001-', '-00003-')}", SPLIT),
        (f"{AT}/tree/main/UD-Q4_K_M", SPLIT),
        (f"{AT}?show_file_info={SPLIT.replace('/', '%2F')}&library=x", SPLIT),
        (f"{AT}:Q4_K_M/discussions/3", Q4),
        ("hf.co/org/Some-GGUF:Q4_K_M", Q4),
        (" org/Some-GGUF:q8_0 ", Q8),
        ("org/Some-GGUF:UD-Q4_K_M", SPLIT),
        (f"hf:org/Some-GGUF/{Q8}", Q8),
        (f"huggingface.co/org/Some-GGUF/raw/main/{Q8}", Q8),
        (f"huggingface.co/org/Some-GGUF/blob/main/{Q8.replace('_', '%5F')}?download=true", Q8),
        (f"hf.co/org/Some-GGUF?show_file_info={Q4}", Q4),
        (f"{AT}/{Q8}", Q8),
        (f"hf.co/org/Some-GGUF/{SPLIT}", SPLIT),
        (f"{AT}.git", SPLIT),
        ("hf.co/org/Some-GGUF:latest", SPLIT),
        (f"huggingface.co/org/Some-GGUF/commits/main/{Q8}", SPLIT),
    ],
)
def test_an_address_names_the_file(hub: HubServer, place: str, filename: str) -> None:
    command = command_for(place)

    assert command[-4:] == ["--repo", "org/Some-GGUF", "--file", filename]


def test_an_address_of_a_revision_is_listed_and_taken_there(hub: HubServer) -> None:
    with pytest.raises(CommandError, match="name and revision"):
        run_sam("catalog", "add", f"{AT}/tree/refs%2Fpr%2F1")
    assert hub.log[-1].path.startswith("/api/models/org/Some-GGUF/tree/refs%2Fpr%2F1?")
    hub.faults.add(Fault("LIST", redirect="/api/models/org/Some-GGUF/tree/main"))

    run_sam(*command_for(f"{AT}/blob/{'a1' * 20}/{Q4}"))

    entry = CatalogModel.objects.get()
    assert (entry.filename, entry.wanted_revision) == (Q4, "a1" * 20)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("org/Some-GGUF:Q3_X", "no model whose name says Q3_X; `sam catalog add org/Some-GGUF`"),
        (f"{AT}/blob/main/gone.gguf", "has no model gone.gguf at main"),
        (f"{AT}/blob/main/mmproj-F16.gguf", "reads pictures or sound"),
        ("https://huggingface.co/datasets/org/texts", "is a data set, not a model"),
        ("https://huggingface.co/models", "organisation/name"),
        ("https://example.com/x.gguf", "'https://example.com/x.gguf' is not at the Hub"),
    ],
)
def test_an_address_of_no_model_says_so(hub: HubServer, place: str, told: str) -> None:
    with pytest.raises(CommandError, match=told):
        run_sam("catalog", "add", place)

    assert not CatalogModel.objects.exists()


def test_a_repository_that_was_renamed_is_listed_and_one_not_shown_is_explained(
    hub: HubServer,
) -> None:
    hub.faults.add(Fault("LIST", redirect="/api/models/org/Some-GGUF/tree/main"))
    assert command_for("org/Old-GGUF")[-3] == "org/Old-GGUF"

    # What the Hub answers without a token for what is not there.
    hub.faults.add(Fault("LIST", status=401))
    with pytest.raises(CommandError, match=r"no such repository, or it is private.*HF_TOKEN"):
        run_sam("catalog", "add", "org/none")
    hub.faults.add(Fault("LIST", redirect="{elsewhere}"))
    with pytest.raises(CommandError, match="redirects elsewhere"):
        run_sam("catalog", "add", "org/Old-GGUF")


def test_a_fit_is_judged_by_the_same_addresses(hub: HubServer) -> None:
    for place in (f"{AT}/blob/main/{Q4}", "hf.co/org/Some-GGUF:UD-Q4_K_M", "hf:org/Some-GGUF"):
        assert "fits into memory" in run_sam("fit", place)
    with pytest.raises(CommandError, match="no model whose name says Q3_X"):
        run_sam("fit", "hf:org/Some-GGUF:Q3_X")


def test_a_listing_in_pages_is_read_to_its_end(
    db: None, tmp_path: Path, settings: Settings
) -> None:
    repository = tmp_path / "org" / "Many-GGUF"
    repository.mkdir(parents=True)
    for number in range(7):
        (repository / f"{number}.gguf").write_bytes(b"x" * (number + 1))
    with HubServer(tmp_path, page_size=2) as hub:
        settings.HF_ENDPOINT = hub.endpoint
        assert command_for("org/Many-GGUF:6")[-1] == "6.gguf"
        listed = [entry.path for entry in hub.log]
    assert len(listed) == 4
