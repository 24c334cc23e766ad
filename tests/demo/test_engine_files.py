from __future__ import annotations

from pathlib import Path

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
from engines.gguf.adapters import check_adapter_fits
from engines.gguf.reader import read_header


def test_engines_are_written_where_the_hub_serves_them_and_kept_by_a_second_run(
    minilm_source: Path, tmp_path: Path
) -> None:
    root = tmp_path / "hub root"

    written = ensure_engine_files(root, minilm_source)
    times = [path.stat().st_mtime_ns for path in written]
    again = ensure_engine_files(root, minilm_source)

    assert written == again == [engine_path(root, engine) for engine in ENGINES]
    assert [path.stat().st_mtime_ns for path in again] == times
    architectures = [read_header(path).facts().architecture for path in written]
    assert architectures == ["bert", "bert", "llama", "qwen2"]
    assert read_header(engine_path(root, NEW)).facts().context_length == CONTEXT_TOKENS


def test_a_file_whose_writing_was_interrupted_is_written_again(
    minilm_source: Path, tmp_path: Path
) -> None:
    path = engine_path(tmp_path, OLD)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half a file")

    ensure_engine_files(tmp_path, minilm_source)

    assert read_header(path).facts().architecture == "llama"


def test_the_adapter_fits_the_old_engine(minilm_source: Path, tmp_path: Path) -> None:
    ensure_engine_files(tmp_path, minilm_source)

    adapter = ensure_adapter_file(tmp_path, tmp_path / "demo")

    check_adapter_fits(read_header(adapter), read_header(engine_path(tmp_path, OLD)))


def test_each_chat_engine_embeds_with_another_companion() -> None:
    assert (OLD.companion, NEW.companion) == (EMBEDDER.model_id, PERMUTED.model_id)
