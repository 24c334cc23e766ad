"""The contract every runtime passes, over the transformers runtime."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.runtimes.hugging_face.engine import HuggingFaceEngine
from tests.runtimes import test_contract
from tests.runtimes.conftest import Maker
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
    test_only_the_four_methods_of_the_specification_are_abstract,
    test_prompt_holds_every_turn_and_asks_for_the_next,
    test_stream_joins_to_what_generate_answers,
    test_tokens_are_counted,
    test_unloaded_engine_refuses_and_can_be_loaded_again,
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
    "test_only_the_four_methods_of_the_specification_are_abstract",
    "test_prompt_holds_every_turn_and_asks_for_the_next",
    "test_stream_joins_to_what_generate_answers",
    "test_tokens_are_counted",
    "test_unloaded_engine_refuses_and_can_be_loaded_again",
]


@pytest.fixture(scope="module", params=["hugging_face_engine"])
def make(llama_folder: Path) -> Maker:
    return lambda: HuggingFaceEngine("engine-1", "Tiny", str(llama_folder))


def test_nothing_of_the_contract_is_left_out() -> None:
    suite = {name for name in vars(test_contract) if name.startswith("test_")}

    assert suite <= set(__all__)
