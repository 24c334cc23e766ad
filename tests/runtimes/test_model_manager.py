"""The manager runs real engines, and is chosen by type, size and domain."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.exceptions import ArtifactMissingError, InvalidRequestError, NotFoundError
from engines.fit.memory import Load, estimate
from engines.fit.qwen3 import qwen3_model
from engines.model_manager import ModelManager
from tests.fit.shapes import QWEN3_8B

GREEDY = {"temperature": 0.0, "max_tokens": 8}


@pytest.fixture(scope="module")
def manager(tiny_llama: Path, minilm: Path) -> Iterator[ModelManager]:
    with ModelManager(
        model_id=str(tiny_llama), embedding_model_id=str(minilm), context_length=256, threads=1
    ) as opened:
        yield opened


def test_a_stream_is_the_whole_answer_in_pieces(manager: ModelManager) -> None:
    whole = manager.generate_response("The sea", **GREEDY)

    assert whole
    assert "".join(manager.generate_stream("The sea", **GREEDY)) == whole


def test_a_batch_gives_each_texts_own_vector(manager: ModelManager) -> None:
    one = manager.generate_embeddings("A cat on a mat.")
    both = manager.generate_batch_embeddings(["A cat on a mat.", "Shares fell."])

    assert (len(one), len(both), len(both[1])) == (384, 2, 384)
    assert np.dot(one, both[0]) > 0.9999
    assert np.dot(one, both[1]) < 0.9


def test_a_model_embeds_by_itself_where_no_other_is_named(tiny_llama: Path) -> None:
    with ModelManager(model_id=str(tiny_llama), context_length=256, threads=1) as manager:
        assert len(manager.generate_embeddings("A text.")) == len(
            manager.generate_batch_embeddings(["A text."])[0]
        )


def test_it_describes_model_and_surroundings_for_json(manager: ModelManager) -> None:
    manager.generate_response("Warm up", **GREEDY)
    model = json.loads(json.dumps(manager.get_model_info()))
    surroundings = json.loads(json.dumps(manager.get_environment_info()))

    assert (model["runtime"], model["size"]) == ("llama_cpp", None)
    assert model["engine"]["is_loaded"] is True
    assert {"container", "wsl", "cpu_features", "gpus", "cores"} <= surroundings.keys()
    assert surroundings["runtimes"]["llama_cpp"] == "usable"


def test_a_closed_manager_loads_again_when_it_is_used(tiny_llama: Path) -> None:
    manager = ModelManager(model_id=str(tiny_llama), context_length=256, threads=1)
    first = manager.generate_response("The sea", **GREEDY)
    manager.close()
    manager.close()

    with manager:
        assert manager.generate_response("The sea", **GREEDY) == first


def test_a_domain_is_heard_and_sets_the_temperature(tiny_llama: Path) -> None:
    options: dict[str, Any] = {
        "model_id": str(tiny_llama),
        "context_length": 256,
        "threads": 1,
    }
    with ModelManager(**options) as plain, ModelManager(domain="code", **options) as coder:
        system = {"role": "system", "content": coder.domain.system}
        asked: Any = [system, {"role": "user", "content": "Sort a list"}]

        answer = coder.generate_response("Sort a list", **GREEDY)
        assert answer == plain._engine().generate(asked, **GREEDY)
        assert answer != plain.generate_response("Sort a list", **GREEDY)
        assert coder._sampling({}) == {"temperature": 0.2}
        assert coder._sampling({"temperature": 0.7}) == {"temperature": 0.7}


@pytest.mark.parametrize(
    ("model_type", "size", "domain", "model"),
    [
        ("huggingface", "qwen3_medium", "", "Qwen/Qwen3-1.7B"),
        ("ollama", "qwen3_medium", "", "qwen3:1.7b"),
        ("huggingface", "qwen3_medium", "code", "Qwen/Qwen3-1.7B"),
        ("huggingface", "qwen3_moe_small", "code", "Qwen/Qwen3-Coder-30B-A3B-Instruct"),
        ("ollama", "qwen3_moe_small", "code", "qwen3-coder:30b"),
    ],
)
def test_type_size_and_domain_name_the_model(
    model_type: str, size: str, domain: str, model: str
) -> None:
    manager = ModelManager(model_type, size, domain)

    assert manager.model_id() == model
    assert manager._spec().family == "qwen"


def test_a_file_of_the_wanted_size_is_found_in_the_folder(tmp_path: Path) -> None:
    manager = ModelManager(model_size="qwen3_xl", cache_dir=str(tmp_path))
    with pytest.raises(ArtifactMissingError, match="sam download start qwen3-8b"):
        manager.generate_response("Hello")

    (tmp_path / "org").mkdir()
    path = tmp_path / "org" / "Qwen_Qwen3-8B-Q4_K_M.gguf"
    path.touch()
    (tmp_path / "Qwen3-14B-Q4_K_M.gguf").touch()
    assert manager.model_id() == str(path)


def test_a_size_is_judged_before_there_is_a_file(tmp_path: Path) -> None:
    shape = qwen3_model("qwen3_xl").shape()
    manager = ModelManager(model_size="qwen3_xl", cache_dir=str(tmp_path))

    assert manager.fit().estimate == estimate(shape, Load(8192))
    assert manager.fit(Load(512)).estimate == estimate(shape, Load(512))


def test_a_file_is_judged_by_its_own_header(tmp_path: Path) -> None:
    path = QWEN3_8B.write(tmp_path)
    manager = ModelManager(model_id=str(path), cache_dir=str(tmp_path))

    assert manager.fit(Load(8192)).estimate.kv_cache == 36 * 2 * 8 * 128 * 2 * 8192


@pytest.mark.parametrize(
    ("wrong", "error", "reason"),
    [
        ({"model_type": "magic"}, InvalidRequestError, "there are gguf, huggingface"),
        ({"model_size": "qwen3_giant"}, NotFoundError, "qwen3_small"),
        ({"domain": "cooking"}, InvalidRequestError, "there are code, general, math, writing"),
        ({"gpu": 1}, InvalidRequestError, "no option 'gpu'"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(
    wrong: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        ModelManager(**wrong)


def test_without_a_model_nothing_can_be_asked() -> None:
    manager = ModelManager()

    with pytest.raises(InvalidRequestError, match="model_id or a model_size"):
        manager.generate_response("Hello")
    with pytest.raises(InvalidRequestError, match="can be judged"):
        manager.fit()


def test_one_copy_of_the_weights_serves_ollama_too(tiny_llama: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(tiny_llama, tmp_path / "model.gguf"))
    store = tmp_path / "ollama"
    with ModelManager(
        model_id=str(path),
        context_length=256,
        threads=1,
        share_with_ollama=True,
        ollama_models=str(store),
    ) as manager:
        assert manager.generate_response("The sea", **GREEDY)
        blob = manager.share_with_ollama()

    digest = hashlib.sha256(tiny_llama.read_bytes()).hexdigest()
    assert blob == store / "blobs" / f"sha256-{digest}"
    assert blob.samefile(path)
    assert [file.name for file in store.rglob("*") if file.is_file()] == [blob.name]


def test_only_files_are_shared(tmp_path: Path) -> None:
    manager = ModelManager("huggingface", "qwen3_small", ollama_models=str(tmp_path))

    with pytest.raises(InvalidRequestError, match="Only GGUF files"):
        manager.share_with_ollama()
    assert list(tmp_path.iterdir()) == []
