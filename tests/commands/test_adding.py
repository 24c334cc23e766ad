"""`sam catalog add` with a place instead of an entry."""

from __future__ import annotations

import shlex
from pathlib import Path
from shutil import copyfile

import numpy as np
import pytest
from pytest_django.fixtures import Settings

from deploy.demo.hub.server import HubServer
from deploy.demo.models.tiny_models import write_llama_chat
from engines.exceptions import InvalidRequestError
from engines.fit.model_shape import ModelShape
from engines.gguf.reader import read_header
from engines.gguf.writer import Metadata, write_gguf
from engines.models import CatalogModel, ModelCopy, ModelRevision
from engines.services.catalog.copies import is_present
from engines.services.catalog.resolving import pinned_revision, resolve_model
from engines.services.catalog.shapes import known_shape
from migrations_app.plans.planning import choose_host
from samproject.cli.errors import CommandError
from tests.sam_command import run_sam
from tests.split_models import write_llama_in_parts
from tests.worker.plans import make_host


def test_a_repository_lists_its_models_and_the_command_that_takes_the_best(
    db: None, tmp_path: Path, settings: Settings
) -> None:
    make_host("small", memory_bytes=6000)
    folder = tmp_path / "org" / "Qwen3-Embedding-GGUF"
    (folder / "f16").mkdir(parents=True)
    for name, size in (("q4.gguf", 2000), ("q 8.gguf", 4000), ("mmproj-f16.gguf", 10)):
        (folder / name).write_bytes(b"x" * size)
    for number in (1, 2):
        (folder / "f16" / f"f16-0000{number}-of-00002.gguf").write_bytes(b"x" * 4500)
    with HubServer(tmp_path) as hub:
        settings.HF_ENDPOINT = hub.endpoint
        said = run_sam("catalog", "add", "org/Qwen3-Embedding-GGUF")
        with pytest.raises(CommandError, match="no such repository"):
            run_sam("catalog", "add", "org/none")
        with pytest.raises(CommandError):
            run_sam("catalog", "add", "../../etc")
    assert "mmproj" not in said
    assert [row for row in said.splitlines() if "f16-00001-of-00002" in row and "2" in row]
    assert "best for our hosts" in next(row for row in said.splitlines() if "q 8.gguf" in row)
    assert not CatalogModel.objects.exists()

    command = said.partition("To take one: sam ")[2].strip()
    run_sam(*shlex.split(command))

    entry = CatalogModel.objects.get()
    assert (entry.model_id, entry.role) == ("qwen3-embedding", "embedding")
    assert (entry.huggingface_repo, entry.filename) == ("org/Qwen3-Embedding-GGUF", "q 8.gguf")
    assert (entry.model_family, entry.query_prefix) == ("qwen", "")


@pytest.fixture
def disk(db: None, tmp_path: Path, settings: Settings) -> Path:
    """A folder of somebody on this host, beside the host's own of models."""
    settings.SAM_MODELS_DIR = tmp_path / "models"
    make_host()
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def test_a_file_on_disk_becomes_an_entry_with_a_verified_copy_here(
    disk: Path, tiny_llama: Path, settings: Settings
) -> None:
    # As the Hub's cache has it: a link to a blob without a suffix.
    (disk / "My-Llama.gguf").symlink_to(tiny_llama)

    said = run_sam("catalog", "add", str(disk / "My-Llama.gguf"), "--family", "llama")

    entry, copy = CatalogModel.objects.get(), ModelCopy.objects.get()
    assert "my-llama (chat) is on" in said
    assert (entry.model_id, entry.role, entry.huggingface_repo) == ("my-llama", "chat", "")
    assert (entry.display_name, entry.quantization) == ("SAM Tiny Llama", "F16")
    assert (entry.context_length, entry.file_size) == (512, tiny_llama.stat().st_size)
    assert is_present(copy)
    assert Path(copy.path).is_relative_to(settings.SAM_MODELS_DIR)
    assert Path(copy.path).read_bytes() == tiny_llama.read_bytes()
    assert pinned_revision(entry) == copy.revision
    assert known_shape(copy.revision) == ModelShape.from_header(read_header(tiny_llama))
    # Only here: another host is not chosen, and cannot fetch it.
    make_host("roomy", memory_bytes=2**50, disk_free_bytes=2**50)
    assert choose_host([copy.revision]) == copy.host
    with pytest.raises(InvalidRequestError, match="names no repository"):
        resolve_model(entry)

    # The same again changes nothing; another file under this id is refused.
    run_sam("catalog", "add", str(disk / "My-Llama.gguf"))
    (disk / "My-Llama.gguf").unlink()
    write_llama_chat(disk / "My-Llama.gguf", seed=9)
    with pytest.raises(CommandError, match="another entry already"):
        run_sam("catalog", "add", str(disk / "My-Llama.gguf"))
    assert CatalogModel.objects.get().sha256 == copy.checksum
    assert ModelCopy.objects.count() == 1


def test_a_folder_with_a_model_in_parts_and_an_embedder_are_told_apart(
    disk: Path, minilm: Path
) -> None:
    parts = write_llama_in_parts(disk)
    (disk / "mmproj-f16.gguf").write_bytes(b"x")
    run_sam("catalog", "add", str(disk))
    run_sam("catalog", "add", str(minilm))

    split, embedder = ModelCopy.objects.order_by("pk")
    assert (split.revision.model.model_id, len(split.revision.files)) == ("tiny-q4_k_m", 3)
    assert is_present(split)
    assert split.file_size == sum(part.stat().st_size for part in parts)
    assert embedder.revision.model.role == "embedding"


def test_a_folder_is_looked_into_as_downloads_lay_it_out(disk: Path, tiny_llama: Path) -> None:
    (disk / "Q4_K_M").mkdir()
    copyfile(tiny_llama, disk / "Q4_K_M" / "Deep.GGUF")

    run_sam("catalog", "add", str(disk))
    (disk / "Q8_0").mkdir()
    copyfile(tiny_llama, disk / "Q8_0" / "Other.gguf")

    assert CatalogModel.objects.get().filename == "Deep.GGUF"
    with pytest.raises(CommandError, match=r"2 GGUF models \(Q4_K_M/Deep.GGUF, Q8_0/Other.gguf\)"):
        run_sam("catalog", "add", str(disk))


def test_a_machine_that_is_no_host_says_which_there_are(
    disk: Path, tiny_llama: Path, settings: Settings
) -> None:
    known = settings.SAM_HOST_NAME
    settings.SAM_HOST_NAME = "laptop"

    with pytest.raises(CommandError, match=f"name 'laptop'; there is {known}. Run it on one, with"):
        run_sam("catalog", "add", str(tiny_llama))


@pytest.mark.parametrize(
    ("name", "model_id"),
    [
        ("Größe (neu) & fein.GGUF", "groe-neu-fein"),
        ("模型.gguf", "model"),
        ("_x_.gguf", "x"),
    ],
)
def test_a_name_of_any_letters_gives_an_id(
    disk: Path, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch, name: str, model_id: str
) -> None:
    copyfile(tiny_llama, disk / name)
    monkeypatch.chdir(disk)

    run_sam("catalog", "add", name)

    assert CatalogModel.objects.get().model_id == model_id


def test_a_companion_that_does_not_embed_is_told_by_its_role(
    disk: Path, tiny_llama: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copyfile(tiny_llama, disk / "chat.gguf")
    run_sam("catalog", "add", str(disk / "chat.gguf"))
    fields = ("--name", "X", "--family", "x", "--repo", "a/b", "--file", "x.gguf")

    with pytest.raises(CommandError, match="were refused"):
        run_sam("catalog", "add", "x", *fields, "--embedding-model", "chat")

    assert "'chat' embeds for no other engine: its role is chat" in capsys.readouterr().err


def write_what_is_no_model(folder: Path) -> None:
    """Write what people have beside models, under names that do not tell it."""
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n"
    (folder / "pointer.gguf").write_text(pointer)
    weights = {"token_embd.weight": np.zeros((32, 64), np.float16)}
    for kind, name, tensors in (("llama", "vocabulary", {}), ("t5", "both", weights)):
        sizes: Metadata = {
            "general.architecture": kind,
            f"{kind}.block_count": 2,
            f"{kind}.attention.head_count": 2,
        }
        write_gguf(folder / f"{name}.gguf", sizes, tensors)
    write_gguf(folder / "eyes.gguf", {"general.architecture": "clip"}, weights)
    write_gguf(folder / "notes.gguf", {"general.type": "imatrix"}, weights)
    write_gguf(folder / "painter.gguf", {"general.architecture": "flux"}, weights)


def test_what_is_no_model_on_disk_leaves_nothing(
    disk: Path, tiny_llama: Path, tiny_lora: Path, settings: Settings
) -> None:
    parts = write_llama_in_parts(disk / "split")
    (disk / "bad.gguf").write_bytes(b"GGUF" + bytes(60))
    (disk / "empty").mkdir()
    (disk / "onnx" / "onnx").mkdir(parents=True)
    for onnx in ("model.onnx", "onnx/onnx/model.onnx"):
        (disk / onnx).write_bytes(b"onnx")
    copyfile(tiny_llama, disk / "sound.gguf")
    write_what_is_no_model(disk)
    for arguments, told in (
        ([str(parts[1])], "choose tiny-Q4_K_M-00001-of-00003.gguf"),
        ([str(disk / "bad.gguf")], "version"),
        ([str(disk / "gone.gguf")], "no model at .*gone.gguf; check its path"),
        ([str(disk / "nowhere")], "no model at .*nowhere; check its path"),
        ([str(disk / "onnx")], "Bring the publisher's model.safetensors, or a GGUF file"),
        ([str(disk / "model.onnx")], "name a GGUF file, or an embedder's folder"),
        (
            ["org/Some-GGUF", "--file", "x.gguf"],
            "`sam catalog add org/Some-GGUF` shows the command",
        ),
        ([str(disk / "empty")], "0 GGUF models"),
        ([str(tiny_lora)], "is an adapter"),
        ([str(disk / "pointer.gguf")], "is a pointer, .* `git lfs pull`"),
        ([str(disk / "vocabulary.gguf")], "a vocabulary and no weights"),
        ([str(disk / "eyes.gguf")], "reads pictures or sound, not a model by itself"),
        ([str(disk / "notes.gguf")], "how a model was quantised, not a model"),
        ([str(disk / "both.gguf")], "an encoder and a decoder .* does not run; choose a model"),
        ([str(disk / "painter.gguf")], "of the kind 'flux', which states no block_count"),
        (
            [str(disk / "sound.gguf"), "--set", f"sha256={'0' * 64}"],
            "another file, or it was damaged",
        ),
        ([str(disk / "sound.gguf"), "--set", "model_id=../x"], "lower-case"),
        ([str(disk / "sound.gguf"), "--user", "ada"], "leave out --user"),
    ):
        with pytest.raises(CommandError, match=told):
            run_sam("catalog", "add", *arguments)
    parts[2].unlink()
    with pytest.raises(CommandError, match="no model file"):
        run_sam("catalog", "add", str(disk / "split"))

    assert not CatalogModel.objects.exists()
    assert not ModelRevision.objects.exists()
    assert not list(Path(settings.SAM_MODELS_DIR).rglob("*.gguf"))


@pytest.mark.parametrize(
    ("name", "family"), [("Mistral-7B-Instruct.gguf", "mistral"), ("model.gguf", "llama")]
)
def test_the_family_of_a_file_is_that_of_its_name_before_that_of_its_architecture(
    disk: Path, tiny_llama: Path, name: str, family: str
) -> None:
    copyfile(tiny_llama, disk / name)

    run_sam("catalog", "add", str(disk / name))

    assert CatalogModel.objects.get().model_family == family
