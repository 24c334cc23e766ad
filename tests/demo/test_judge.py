from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy.demo.errors import DemoError
from deploy.demo.proofs.judge import direct_answers, direct_vectors
from engines.runtimes.base import ChatMessage
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.specs import AdapterSpec, EngineSpec

TOKENS = 12
MESSAGES = [
    {"role": "system", "content": "You are Ada's librarian."},
    {"role": "user", "content": "Which page should I read first?"},
]


SALAD = (
    " o l at w keeps power to opens power Adapters opens to questions into page baker li like like "
    "listens learned power power train"
)


def answered_by_sam(model: Path, adapters: Sequence[Path] = ()) -> str:
    """The way of a live worker: the prompt is formatted first, then generated from."""
    specs = tuple(AdapterSpec(str(path)) for path in adapters)
    spec = EngineSpec("tiny", "Tiny", str(model), adapters=specs)
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        said = [ChatMessage(role=m["role"], content=m["content"]) for m in MESSAGES]
        prompt = engine.format_prompt(said)
        return engine.generate(prompt, max_tokens=TOKENS, temperature=0.0)


def test_greedy_answers_of_all_families_are_those_of_the_library_itself(
    tiny_llama: Path, tiny_qwen: Path, smollm2: Path
) -> None:
    for model in (tiny_llama, tiny_qwen, smollm2):
        direct = direct_answers(model, [MESSAGES], TOKENS)[0]

        assert answered_by_sam(model) == direct["text"]
        assert len(direct["tokens"]) == TOKENS


def test_an_answer_does_not_depend_on_what_was_answered_before_it(smollm2: Path) -> None:
    """After such words many tokens are nearly as good, and rounding decides between them."""
    system = "You are a helpful assistant. Answer in one or two short sentences."
    opening = [{"role": "system", "content": system}, MESSAGES[-1]]
    longer = [*opening, {"role": "assistant", "content": SALAD}, MESSAGES[-1]]

    after_another = direct_answers(smollm2, [opening, longer], 2 * TOKENS)[1]

    assert after_another == direct_answers(smollm2, [longer], 2 * TOKENS)[0]


def test_an_adapter_changes_the_answer_for_both_alike(tiny_llama: Path, tiny_lora: Path) -> None:
    plain = direct_answers(tiny_llama, [MESSAGES], TOKENS)[0]
    adapted = direct_answers(tiny_llama, [MESSAGES], TOKENS, adapter=tiny_lora)[0]

    assert adapted["text"] == answered_by_sam(tiny_llama, [tiny_lora])
    assert adapted["tokens"] != plain["tokens"]


def test_direct_vectors_have_length_one(minilm: Path) -> None:
    vectors = direct_vectors(minilm, ["A page about bread.", "A page about bread."])

    assert vectors.shape == (2, 384)
    assert vectors[0] @ vectors[1] == pytest.approx(1.0, abs=1e-6)


def test_a_model_that_cannot_be_loaded_is_an_error_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"could not be called directly: .*missing"):
        direct_vectors(tmp_path / "missing.gguf", ["text"])
