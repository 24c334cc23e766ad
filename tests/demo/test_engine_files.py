from __future__ import annotations

from pathlib import Path

import pytest

from deploy.demo.models.engine_files import (
    CONTEXT_TOKENS,
    EMBEDDER,
    ENGINES,
    NEW,
    OLD,
    PERMUTED,
    engine_path,
    ensure_adapter_file,
    ensure_engine_files,
)
from engines.exceptions import AdapterMismatchError
from engines.gguf.adapters import check_adapter_fits
from engines.gguf.reader import read_header


def test_engines_are_written_where_the_hub_serves_them_and_kept_by_a_second_run(
    fetched: Path, tmp_path: Path
) -> None:
    root = tmp_path / "hub root"

    written = ensure_engine_files(root, fetched)
    times = [path.stat().st_mtime_ns for path in written]
    again = ensure_engine_files(root, fetched)

    assert written == again == [engine_path(root, engine) for engine in ENGINES]
    assert [path.stat().st_mtime_ns for path in again] == times
    architectures = [read_header(path).facts().architecture for path in written]
    assert architectures == ["bert", "bert", "llama", "llama"]
    assert read_header(engine_path(root, OLD)).facts().context_length == CONTEXT_TOKENS


def test_a_file_whose_writing_was_interrupted_is_written_again(
    fetched: Path, tmp_path: Path
) -> None:
    path = engine_path(tmp_path, OLD)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half a file")

    ensure_engine_files(tmp_path, fetched)

    assert read_header(path).facts().architecture == "llama"


def test_the_new_engine_is_one_copy_of_the_weights_that_were_fetched(
    fetched: Path, smollm2: Path, tmp_path: Path
) -> None:
    ensure_engine_files(tmp_path, fetched)

    assert engine_path(tmp_path, NEW).read_bytes() == smollm2.read_bytes()


def test_the_adapter_fits_the_old_engine_and_not_the_new_one(fetched: Path, tmp_path: Path) -> None:
    ensure_engine_files(tmp_path, fetched)

    adapter = ensure_adapter_file(tmp_path, tmp_path / "demo")

    check_adapter_fits(read_header(adapter), read_header(engine_path(tmp_path, OLD)))
    with pytest.raises(AdapterMismatchError):
        check_adapter_fits(read_header(adapter), read_header(engine_path(tmp_path, NEW)))


def test_each_chat_engine_embeds_with_another_companion() -> None:
    assert (OLD.companion, NEW.companion) == (EMBEDDER.model_id, PERMUTED.model_id)
