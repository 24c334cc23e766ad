"""One contract for every runtime."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.runtimes.base import BaseModelEngine, ModelStatus
from tests.runtimes.conftest import Maker
from tests.runtimes.contract_table import column_of, documented, measured

KINDS = [
    *("llama_engine", "qwen_engine", "openai_engine", "ollama_engine", "custom_engine"),
    "llama_server_engine",
]
TEXTS = ["The tower leans to the south.", "Bread needs salt.", "The tower leans to the south."]


@pytest.fixture(scope="module", params=KINDS)
def make(request: pytest.FixtureRequest) -> Maker:
    maker: Maker = request.getfixturevalue(request.param)
    return maker


@pytest.fixture
def engine(make: Maker) -> Iterator[BaseModelEngine]:
    with make() as engine:
        yield engine


@pytest.fixture(scope="module")
def loaded(make: Maker) -> Iterator[BaseModelEngine]:
    with make() as engine:
        assert engine.load_model() is True
        yield engine


def test_new_engine_is_unavailable_and_names_itself(engine: BaseModelEngine) -> None:
    assert engine.status is ModelStatus.UNAVAILABLE
    assert str(engine.status) == "unavailable"
    assert engine.is_loaded is False
    assert engine.is_available() is False
    assert (engine.engine_id, engine.model_name) == ("engine-1", "Tiny")
    assert Path(engine.model_path).exists()


def test_engine_that_is_not_loaded_refuses_with_a_runtime_error(engine: BaseModelEngine) -> None:
    for use in (engine.generate, engine.embed):
        with pytest.raises(RuntimeError, match="not loaded"):
            use("hello")
    assert engine.is_loaded is False


def test_loaded_engine_is_ready(loaded: BaseModelEngine) -> None:
    assert loaded.get_status() is ModelStatus.READY
    assert loaded.is_loaded is True
    assert loaded.is_available() is True


def test_stream_joins_to_what_generate_answers(loaded: BaseModelEngine) -> None:
    answer = loaded.generate("Once upon", temperature=0, max_tokens=12)

    assert answer
    assert "".join(loaded.stream("Once upon", temperature=0, max_tokens=12)) == answer


def test_embedding_one_many_and_queries_agree(loaded: BaseModelEngine) -> None:
    many = loaded.embed_many(TEXTS)

    assert many.dtype == np.float32
    assert many.shape == (3, len(loaded.embed(TEXTS[0])))
    np.testing.assert_array_equal(many[0], many[2])
    assert not np.allclose(many[0], many[1])
    np.testing.assert_allclose(many[1], loaded.embed(TEXTS[1]), atol=1e-6)
    np.testing.assert_allclose(many[1], loaded.embed_query(TEXTS[1]), atol=1e-6)


def test_no_texts_give_no_rows(loaded: BaseModelEngine) -> None:
    assert loaded.embed_many([]).shape[0] == 0
    assert loaded.embed_documents([]).errors == {}


def test_tokens_are_counted(loaded: BaseModelEngine) -> None:
    assert loaded.count_tokens("") == 0
    assert 0 < loaded.count_tokens("one two") < loaded.count_tokens("one two three four five six")


def test_prompt_holds_every_turn_and_asks_for_the_next(loaded: BaseModelEngine) -> None:
    prompt = loaded.format_prompt(
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    )

    assert prompt.index("Be brief.") < prompt.index("Why?") < prompt.lower().rindex("assistant")


def test_info_is_ready_for_json_and_tells_the_state(loaded: BaseModelEngine) -> None:
    info = json.loads(json.dumps(loaded.get_engine_info()))

    assert info["engine_id"] == "engine-1"
    assert info["runtime"] == type(loaded).__name__
    assert info["status"] == "ready"
    assert info["is_loaded"] is True


def test_unloaded_engine_refuses_and_can_be_loaded_again(engine: BaseModelEngine) -> None:
    assert engine.load_model() is True
    assert engine.unload_model() is True

    assert engine.get_status() is ModelStatus.UNAVAILABLE
    assert engine.is_loaded is False
    with pytest.raises(RuntimeError, match="not loaded"):
        engine.generate("hello")
    assert engine.load_model() is True
    assert engine.generate("Once upon", temperature=0, max_tokens=3)


def test_documentation_says_what_each_method_does_in_this_runtime(engine: BaseModelEngine) -> None:
    engine.load_model()

    assert documented(column_of(engine)) == measured(engine)


def test_only_the_four_methods_of_the_specification_are_abstract() -> None:
    assert BaseModelEngine.__abstractmethods__ == {
        "load_model",
        "generate",
        "embed",
        "unload_model",
    }
