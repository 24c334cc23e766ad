from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import psutil
import pytest
from llama_cpp import Llama

from deploy.demo.models.tiny_models import write_llama_chat, write_lora_for
from engines.exceptions import (
    AdapterCrashed,
    AdapterMismatchError,
    ArtifactMissingError,
    EngineError,
    EngineKilled,
    InvalidRequestError,
    UnsafeModelFileError,
)
from engines.runtimes.base import BaseModelEngine
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.runtimes.llama_cpp.lora import MAX_ADAPTERS
from engines.specs import AdapterSpec, EmbeddingSpec, EngineSpec
from tests.runtimes.llama_cpp.adapter_children import DEADLY
from tests.runtimes.seed_engine import CustomEngine

PROMPT = "The harbour at night"
LENGTH = 32


@pytest.fixture(scope="module")
def engine(tiny_llama: Path) -> Iterator[LlamaCppEngine]:
    spec = EngineSpec(
        "shared", "Shared", str(tiny_llama), threads=1, model_sha256=sha256(tiny_llama)
    )
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        yield engine


@pytest.fixture(scope="module")
def other_lora(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lora_for(tmp_path_factory.mktemp("lora") / "other.gguf", tiny_llama, seed=9)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def said(engine: BaseModelEngine) -> tuple[int, ...]:
    answer: Any = engine
    tokens: tuple[int, ...] = answer.complete(PROMPT, temperature=0, max_tokens=LENGTH).tokens
    return tokens


def directly(model: Path, adapter: Path | None = None) -> tuple[int, ...]:
    """What llama-cpp-python says in this process, with the adapter loaded by itself."""
    lora = str(adapter) if adapter else None
    # With flash attention, as the engine: without it two logits that nearly tie change places.
    options: dict[str, Any] = {"verbose": False, "n_threads": 1, "flash_attn": True}
    direct = Llama(str(model), n_ctx=0, lora_path=lora, **options)
    prompt = direct.tokenize(PROMPT.encode(), add_bos=True, special=True)
    tokens = []
    for token in direct.generate(prompt, temp=0):
        tokens.append(token)
        if len(tokens) == LENGTH:
            break
    return tuple(tokens)


def test_two_people_with_two_adapters_share_one_base_and_each_hears_their_own(
    engine: LlamaCppEngine, tiny_llama: Path, tiny_lora: Path, other_lora: Path
) -> None:
    expected = [directly(tiny_llama, lora) for lora in (tiny_lora, other_lora, None)]
    ada, bob = (engine.with_adapters([AdapterSpec(str(path))]) for path in (tiny_lora, other_lora))
    before = engine.get_engine_info()["pid"]

    heard = [[said(voice) for voice in (ada, bob, engine)] for _ in range(2)]

    assert heard == [expected, expected]
    assert len(set(expected)) == 3
    assert {voice.get_engine_info()["pid"] for voice in (ada, bob, engine)} == {before}
    assert [child.pid for child in psutil.Process().children()].count(before) == 1


def _alike(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Tokens they begin with together."""
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))))


def test_requests_at_the_same_time_do_not_mix_adapters(
    engine: LlamaCppEngine, tiny_lora: Path, other_lora: Path
) -> None:
    voices = [
        engine.with_adapters([AdapterSpec(str(tiny_lora))]),
        engine.with_adapters([AdapterSpec(str(other_lora))]),
        engine,
    ] * 4
    alone = [said(voice) for voice in voices]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(said, voices))

    # Beside others, two words that nearly tie may change places; no voice becomes another's.
    for heard, own in zip(together, alone, strict=True):
        assert _alike(heard, own) == max(_alike(heard, voice) for voice in alone)
    assert sum(heard == own for heard, own in zip(together, alone, strict=True)) >= 6


def test_the_base_is_in_memory_once_however_many_adapters_there_are(
    tmp_path: Path,
) -> None:
    model = write_llama_chat(tmp_path / "base.gguf")
    loras = [write_lora_for(tmp_path / f"{seed}.gguf", model, seed=seed) for seed in range(3)]
    with LlamaCppEngine("shared", "Shared", str(model)) as engine:
        engine.load_model()
        for lora in loras:
            engine.with_adapters([AdapterSpec(str(lora))]).load_model()
        maps = psutil.Process(engine.get_engine_info()["pid"]).memory_maps(grouped=False)

    mapped = [entry for entry in maps if entry.path == str(model)]
    assert len(mapped) == 1
    assert mapped[0].anonymous == 0
    assert mapped[0].size < model.stat().st_size + 4096


def test_more_adapters_than_are_kept_still_answer_as_their_own(
    engine: LlamaCppEngine, tiny_llama: Path, tmp_path: Path
) -> None:
    count = MAX_ADAPTERS + 3
    loras = [
        write_lora_for(tmp_path / f"{seed}.gguf", tiny_llama, seed=seed) for seed in range(count)
    ]
    voices = [engine.with_adapters([AdapterSpec(str(lora))]) for lora in loras]
    first = [said(voice) for voice in voices]

    assert len(set(first)) == count
    assert engine.get_engine_info()["adapters"] == MAX_ADAPTERS
    assert [said(voice) for voice in reversed(voices)] == first[::-1]
    assert first[0] == directly(tiny_llama, loras[0])


class NarrowEngine(LlamaCppEngine):
    handler = "tests.runtimes.llama_cpp.adapter_children:HasLittleRoom"


def test_adapters_are_kept_within_a_limit_of_bytes_too(tiny_llama: Path, tmp_path: Path) -> None:
    loras = [write_lora_for(tmp_path / f"{seed}.gguf", tiny_llama, seed=seed) for seed in range(3)]
    assert 30_000 // loras[0].stat().st_size == 2
    with NarrowEngine("narrow", "Narrow", str(tiny_llama)) as engine:
        engine.load_model()
        voices = [engine.with_adapters([AdapterSpec(str(lora))]) for lora in loras]
        first = [said(voice) for voice in voices]
        kept = engine.get_engine_info()["adapters"]
        assert [said(voice) for voice in voices] == first
        together = engine.with_adapters([AdapterSpec(str(lora)) for lora in loras])
        assert said(together) not in first

    assert kept == 2


def test_several_adapters_at_once_add_up_and_a_scale_of_zero_takes_one_out(
    engine: LlamaCppEngine, tiny_lora: Path, other_lora: Path
) -> None:
    one, other = AdapterSpec(str(tiny_lora)), AdapterSpec(str(other_lora))
    both = said(engine.with_adapters([one, other]))

    assert both == said(engine.with_adapters([other, one]))
    assert both not in (said(engine.with_adapters([one])), said(engine.with_adapters([other])))
    assert said(engine.with_adapters([one, replace(other, scale=0.0)])) == said(
        engine.with_adapters([one])
    )


def test_vectors_are_the_bases_own(engine: LlamaCppEngine, tiny_lora: Path) -> None:
    adapted = engine.with_adapters([AdapterSpec(str(tiny_lora))])
    said(adapted)

    assert adapted.embed("Stones") == engine.embed("Stones")
    assert adapted.count_tokens("Stones") == engine.count_tokens("Stones")


def test_a_child_that_died_is_replaced_with_its_adapters(
    engine: LlamaCppEngine, tiny_lora: Path
) -> None:
    voice = engine.with_adapters([AdapterSpec(str(tiny_lora))])
    expected = said(voice)
    os.kill(engine.get_engine_info()["pid"], signal.SIGKILL)

    try:
        again = said(voice)
    except EngineKilled:
        again = said(voice)

    assert again == expected


def test_an_adapter_made_for_another_file_of_the_same_shapes_is_refused(
    engine: LlamaCppEngine, tiny_llama: Path, tiny_lora: Path, tmp_path: Path
) -> None:
    twin = write_llama_chat(tmp_path / "twin.gguf", seed=77)
    spec = AdapterSpec(str(tiny_lora), base_sha256=sha256(twin))
    pid = engine.get_engine_info()["pid"]

    with pytest.raises(AdapterMismatchError, match="was made for the model file") as refusal:
        engine.with_adapters([spec]).load_model()

    assert sha256(twin)[:12] in str(refusal.value)
    assert sha256(tiny_llama)[:12] in str(refusal.value)
    assert engine.get_engine_info()["pid"] == pid
    assert said(engine) == directly(tiny_llama)


def test_an_adapter_of_another_family_is_refused_and_the_base_goes_on(
    engine: LlamaCppEngine, tiny_llama: Path, tiny_qwen: Path, tmp_path: Path
) -> None:
    strange = write_lora_for(tmp_path / "qwen.gguf", tiny_qwen)

    with pytest.raises(AdapterMismatchError, match="for the architecture 'qwen2'"):
        said(engine.with_adapters([AdapterSpec(str(strange))]))

    assert said(engine) == directly(tiny_llama)


def test_an_adapter_file_with_other_bytes_than_were_stored_is_refused(
    engine: LlamaCppEngine, tiny_lora: Path
) -> None:
    spec = AdapterSpec(str(tiny_lora), sha256="0" * 64)

    with pytest.raises(ArtifactMissingError, match="not the one it was stored with"):
        said(engine.with_adapters([spec]))


def test_a_missing_or_broken_adapter_file_is_named(engine: LlamaCppEngine, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(40))

    with pytest.raises(ArtifactMissingError, match=r"adapter gone\.gguf cannot be read"):
        said(engine.with_adapters([AdapterSpec(str(tmp_path / "gone.gguf"))]))
    with pytest.raises(UnsafeModelFileError):
        said(engine.with_adapters([AdapterSpec(str(broken))]))


class MortalEngine(LlamaCppEngine):
    handler = "tests.runtimes.llama_cpp.adapter_children:DiesOfAnAdapter"


def test_an_adapter_that_crashes_the_child_is_blamed_and_the_others_go_on(
    tiny_llama: Path, tiny_lora: Path, tmp_path: Path
) -> None:
    deadly = write_lora_for(tmp_path / "deadly.gguf", tiny_llama, seed=5)
    deadly.chmod(0o600)
    deadly.write_bytes(deadly.read_bytes().replace(b"SAM Tiny LoRA", DEADLY))
    with MortalEngine("mortal", "Mortal", str(tiny_llama)) as engine:
        engine.load_model()
        voice = engine.with_adapters([AdapterSpec(str(tiny_lora))])
        expected = said(voice)
        with pytest.raises(AdapterCrashed, match="An adapter of mortal could not be loaded") as end:
            engine.with_adapters([AdapterSpec(str(deadly))]).load_model()
        assert said(voice) == expected

    assert str(end.value).endswith("It is not retried automatically; go on without it.")


def test_an_engine_that_embeds_takes_no_adapters(tiny_llama: Path, tiny_lora: Path) -> None:
    spec = EngineSpec("e", "E", str(tiny_llama), embedding=EmbeddingSpec(128, 256))
    with LlamaCppEngine.from_spec(spec) as engine:
        engine.load_model()
        with pytest.raises(EngineError, match="only embeds text"):
            engine.with_adapters([AdapterSpec(str(tiny_lora))]).load_model()


def test_a_runtime_without_adapters_says_so() -> None:
    engine = CustomEngine("own", "Own", "/model.gguf")

    assert engine.with_adapters([]) is engine
    with pytest.raises(InvalidRequestError, match="The runtime of own does not support adapters"):
        engine.with_adapters([AdapterSpec("/a.gguf")])
