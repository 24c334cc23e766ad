"""`sam catalog add FILE` where the file is there and cannot be taken: what is wrong, and what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from pytest_django.fixtures import Settings

from deploy.demo.hub.server import HubServer
from engines.exceptions import ArtifactMissingError, InvalidRequestError
from engines.gguf.reader import read_header
from engines.gguf.writer import Metadata, write_gguf
from engines.models import CatalogModel
from engines.services.catalog.fit import shape_of
from engines.services.catalog.local_files import add_local_model
from engines.services.catalog.resolving import pinned_revision
from samproject.cli.errors import CommandError
from samproject.cli.library.adding import is_on_disk
from tests.sam_command import run_sam
from tests.worker.plans import make_host

NOBODY = 65534


@pytest.fixture
def disk(db: None, tmp_path: Path, settings: Settings, tiny_llama: Path) -> Path:
    """A folder of somebody on this host, with a model in it."""
    settings.SAM_MODELS_DIR = tmp_path / "models"
    make_host()
    (tmp_path / "mine").mkdir()
    copyfile(tiny_llama, tmp_path / "mine" / "sound.gguf")
    return tmp_path / "mine"


@contextmanager
def somebody_else() -> Iterator[None]:
    """Look at the disk as a user who may not read what is the tests'; only root can change into one."""
    user = os.geteuid()
    if user != 0:
        pytest.skip("only root can be somebody else")
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


@contextmanager
def closed_folder() -> Iterator[Path]:
    """Give a folder that others may enter and not list, as many people's homes are."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


def write_of_architecture(path: Path, name: str) -> None:
    sizes: Metadata = {
        "general.architecture": name,
        f"{name}.block_count": 1,
        f"{name}.embedding_length": 64,
        f"{name}.context_length": 128,
        f"{name}.attention.head_count": 2,
    }
    write_gguf(path, sizes, {"token_embd.weight": np.zeros((32, 64), np.float16)})


def test_what_may_not_be_read_is_not_called_missing_or_damaged(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = make_host()
    monkeypatch.chdir("/")
    with closed_folder() as closed, somebody_else():
        for place in (closed, disk, disk / "sound.gguf"):
            with pytest.raises(InvalidRequestError, match=r"cannot be read \(Permission denied\)"):
                add_local_model(place, {}, host)
        with pytest.raises(ArtifactMissingError, match="Let the user who runs SAM read the file"):
            read_header(disk / "sound.gguf")
        assert not is_on_disk(os.path.relpath(disk / "model", "/"))
    assert not CatalogModel.objects.exists()


def test_a_file_that_is_still_coming_is_not_taken(disk: Path) -> None:
    (disk / "sound.gguf.aria2").write_bytes(b"")
    with pytest.raises(CommandError, match=r"still being downloaded: aria2 keeps sound.gguf.aria2"):
        run_sam("catalog", "add", str(disk))
    (disk / "sound.gguf.aria2").unlink()
    os.truncate(disk / "sound.gguf", (disk / "sound.gguf").stat().st_size - 1)
    with pytest.raises(CommandError, match="still being written, or its download broke off"):
        run_sam("catalog", "add", str(disk))
    assert not CatalogModel.objects.exists()


def test_what_cannot_be_true_of_a_file_here_is_refused(disk: Path) -> None:
    with pytest.raises(CommandError, match="org/other would be where hosts fetch it: leave out"):
        run_sam("catalog", "add", str(disk / "sound.gguf"), "--repo", "org/other")
    with pytest.raises(CommandError, match="home of a user who is not on this machine"):
        run_sam("catalog", "add", "~nobody-of-this-name/x.gguf")
    assert not CatalogModel.objects.exists()


def test_an_architecture_that_our_library_does_not_know_is_refused_before_it_is_loaded(
    disk: Path, tmp_path: Path, settings: Settings
) -> None:
    published = tmp_path / "hub" / "org" / "New-GGUF" / "new.gguf"
    published.parent.mkdir(parents=True)
    for path in (disk / "new.gguf", published):
        write_of_architecture(path, "llama-9")
    told = "'llama-9', which the llama.cpp of this SAM does not know"

    with pytest.raises(CommandError, match=told):
        run_sam("catalog", "add", str(disk / "new.gguf"))
    assert not CatalogModel.objects.exists()

    with HubServer(tmp_path / "hub") as hub:
        settings.HF_ENDPOINT = hub.endpoint
        entry = CatalogModel.objects.create(
            model_id="new",
            display_name="New",
            model_family="llama",
            huggingface_repo="org/New-GGUF",
            filename="new.gguf",
        )
        for ask in (pinned_revision, pinned_revision, shape_of):
            with pytest.raises(InvalidRequestError, match=told):
                ask(entry)
        entry.runtime = "llama_server"
        assert pinned_revision(entry).filename == "new.gguf"
