"""What the contract asks of every runtime, over folders of embedders, which write nothing."""

from __future__ import annotations

import pytest

from engines.runtimes.openvino.engine import OpenVinoEngine
from tests.runtimes.conftest import Maker
from tests.runtimes.openvino.tiny_folders import write_folder
from tests.runtimes.test_contract import (
    engine,
    loaded,
    test_documentation_says_what_each_method_does_in_this_runtime,
    test_embedding_one_many_and_queries_agree,
    test_engine_that_is_not_loaded_refuses_with_a_runtime_error,
    test_info_is_ready_for_json_and_tells_the_state,
    test_loaded_engine_is_ready,
    test_new_engine_is_unavailable_and_names_itself,
    test_no_texts_give_no_rows,
    test_tokens_are_counted,
)

__all__ = [
    "engine",
    "loaded",
    "test_documentation_says_what_each_method_does_in_this_runtime",
    "test_embedding_one_many_and_queries_agree",
    "test_engine_that_is_not_loaded_refuses_with_a_runtime_error",
    "test_info_is_ready_for_json_and_tells_the_state",
    "test_loaded_engine_is_ready",
    "test_new_engine_is_unavailable_and_names_itself",
    "test_no_texts_give_no_rows",
    "test_tokens_are_counted",
]


@pytest.fixture(scope="module", params=["openvino_engine"])
def make(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    folder = write_folder(tmp_path_factory.mktemp("models") / "tiny", "bert")
    return lambda: OpenVinoEngine("engine-1", "Tiny", str(folder))
