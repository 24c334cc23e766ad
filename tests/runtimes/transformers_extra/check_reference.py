"""Our vectors of a real embedder's f16 weights, against transformers in float32 over the originals."""

from __future__ import annotations

import itertools
import math
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoTokenizer, BertModel

from deploy.demo.texts import MARKDOWN, OWN_MODULES, SHARED_MODULES, project_pages, python_pages
from engines.runtimes.llama_cpp.engine import LlamaCppEngine, LlamaOptions
from engines.runtimes.llama_cpp.native import LoadedModel, load_model
from engines.runtimes.offload import Offload
from engines.services.knowledge.cutting.chunking import cut_text
from engines.specs import EmbeddingSpec, EngineSpec
from tests.benchmarks.line_process import REPOSITORY
from tests.fixtures_models import ensure_minilm

pytestmark = pytest.mark.timeout(1800)
"""Several hundred texts by two libraries take minutes on a busy machine."""
GOAL = 0.999
LIMIT = 512
CHUNKS = 240
LONG = 8
Vectors = NDArray[np.float32]
OTHER_LANGUAGES = [
    "Die Brücke über den Fluss wurde im Frühjahr für Fußgänger geöffnet; größere Wagen müssen warten.",
    "L'été dernier, nous avons dîné à l'ombre d'un vieux chêne, près de la forêt de Brocéliande.",
    "El niño comió piñas y jamón en la plaza, mientras su abuela leía el periódico de ayer.",
    "Příliš žluťoučký kůň úpěl ďábelské ódy, a nikdo z vesnice mu nerozuměl ani slovo.",
    "Thuyền đánh cá rời bến lúc bình minh và trở về trước khi trời tối, chở đầy cá tươi.",
    "Ο Οδυσσέας ταξίδεψε δέκα χρόνια για να γυρίσει στην πατρίδα του, την Ιθάκη.",
    "Поезд прибывает на третий путь; просим пассажиров отойти от края платформы. Ёлка и йод.",
    "港の朝は早い。漁師たちは夜明け前に船を出し、昼には市場へ魚を運ぶ。",
    "古老的城墙环绕着小镇，每天清晨，市场里都挤满了买菜的人。",
    "서울의 겨울은 춥고 건조하지만, 봄이 오면 강가에 벚꽃이 가득 핀다.",
    "गाँव के लोग सुबह नदी के किनारे इकट्ठा होते हैं और दिन भर की बातें करते हैं।",
    "வணக்கம், இன்று வானிலை மிகவும் நன்றாக இருக்கிறது என்று செய்தி சொல்கிறது.",
    "أبحرت السفينة من الميناء عند الفجر، وعادت قبل غروب الشمس محملة بالبضائع.",
    "הספינה יצאה מן הנמל עם שחר וחזרה לפני השקיעה, עמוסה בסחורות מן המזרח.",
    "เรือออกจากท่าแต่เช้ามืด และกลับมาก่อนพระอาทิตย์ตกดิน",
    "For all x ≠ 0 and ε > 0: |f(x) − L| ≤ ε ⇒ x ∈ [a, b); prices are €5, £4½ or ¥700… 👋🏽 ok?",
    "The key is "
    + "9f86d081884c7d65" * 8
    + ", kept in /etc/keys/"
    + "a" * 120
    + ".pem since 2021.",
    "A text with\x0ca page break, a soft\u00adhyphen, a\u00a0hard space and [SEP] in the middle.",
]
"""What tokenizers are known to disagree about is among them."""


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Chunks of every length, single sentences, texts beyond the limit, other scripts."""
    pages = [*project_pages(REPOSITORY), *python_pages([*OWN_MODULES, *SHARED_MODULES])]
    chunks = [
        page.text[span.start : span.end] for page in pages for span in cut_text(page.text, MARKDOWN)
    ]
    spread = chunks[:: max(1, len(chunks) // CHUNKS)]
    sentences = [chunk.split(". ")[0] for chunk in spread[::4]]
    long = [page.text[:20_000] for page in pages if len(page.text) > 20_000][:LONG]
    return list(dict.fromkeys([*spread, *sentences, *long, *OTHER_LANGUAGES]))


@pytest.fixture(scope="module")
def original(minilm_source: Path) -> Path:
    return next(minilm_source.rglob("config.json")).parent


@pytest.fixture(scope="module")
def tokenizer(original: Path) -> Any:
    """The reference's; names of special tokens in a text are text, as with us."""
    return AutoTokenizer.from_pretrained(original, split_special_tokens=True)


@pytest.fixture(scope="module")
def expected(texts: list[str], original: Path, tokenizer: Any) -> Vectors:
    """One text at a time, so that no padding is computed: the mean over its tokens, of length 1."""
    model, report = BertModel.from_pretrained(
        original, dtype=torch.float32, add_pooling_layer=False, output_loading_info=True
    )
    assert not report["missing_keys"]
    model.eval()
    return np.array([_reference(model, tokenizer, text) for text in texts])


def _reference(model: Any, tokenizer: Any, text: str) -> Vectors:
    """A text that is longer than is read: the mean of its windows' vectors, weighted by their tokens."""
    windows = _windows(tokenizer, text)
    return _to_unit(sum(len(tokens) * _embed_window(model, tokens) for tokens in windows))


def _windows(tokenizer: Any, text: str) -> list[list[int]]:
    """As docs/decisions/passages-are-cut-by-tokens-where-they-are-embedded.md says: of equal length."""
    body = tokenizer(text, add_special_tokens=False)["input_ids"]
    room = LIMIT - tokenizer.num_special_tokens_to_add()
    count = max(math.ceil(len(body) / room), 1)
    edges = [len(body) * number // count for number in range(count + 1)]
    return [
        [tokenizer.cls_token_id, *body[first:last], tokenizer.sep_token_id]
        for first, last in itertools.pairwise(edges)
    ]


def _embed_window(model: Any, tokens: list[int]) -> Vectors:
    with torch.no_grad():
        states = model(input_ids=torch.tensor([tokens])).last_hidden_state[0]
    return _to_unit(states.mean(0).numpy())


def _to_unit(vector: Any) -> Vectors:
    unit: Vectors = vector / np.linalg.norm(vector)
    return unit


@pytest.fixture(scope="module")
def native() -> LoadedModel:
    return load_model(str(ensure_minilm()), Offload.of(EngineSpec("e", "E", "", device="cpu")))


def _engine(options: LlamaOptions | None = None) -> LlamaCppEngine:
    spec = EngineSpec("minilm", "MiniLM", str(ensure_minilm()), embedding=EmbeddingSpec(384, LIMIT))
    return LlamaCppEngine.from_spec(spec, options)


def _one_by_one(texts: Sequence[str]) -> Vectors:
    with _engine() as engine:
        engine.load_model()
        return np.array([engine.embed(text) for text in texts], np.float32)


def _whole_list(texts: Sequence[str]) -> Vectors:
    with _engine() as engine:
        engine.load_model()
        return engine.embed_many(texts)


def _in_packs(texts: Sequence[str]) -> Vectors:
    with _engine(LlamaOptions(embedding_lanes=2, pack_tokens=256)) as engine:
        engine.load_model()
        return engine.embed_many(texts)


@pytest.mark.parametrize("way", [_one_by_one, _whole_list, _in_packs])
def test_vectors_of_real_text_are_those_of_the_reference(
    way: Any,
    texts: list[str],
    expected: Vectors,
    tokenizer: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = way(texts)

    cosines = (found * expected).sum(axis=1)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{way.__name__}: {len(texts)} texts, lowest cosine {cosines.min():.6f} "
        )
    assert len(texts) >= CHUNKS
    assert any(len(_windows(tokenizer, text)) > 1 for text in texts)
    assert [text for text, cosine in zip(texts, cosines, strict=True) if cosine < GOAL] == []


def test_tokens_of_real_text_are_those_of_the_reference(
    texts: list[str], tokenizer: Any, native: LoadedModel
) -> None:
    for text in texts:
        assert _ours(native, text) == tokenizer(text)["input_ids"]


def test_characters_of_all_scripts_are_read_as_the_reference_reads_them(
    tokenizer: Any, native: LoadedModel
) -> None:
    """But for those that newer editions of Unicode than the reference's classify."""
    different = [
        sign for sign in _characters() if _ours(native, f"ab{sign}cd") != _theirs(tokenizer, sign)
    ]

    kinds = {unicodedata.category(sign)[0] for sign in different}
    assert len(different) < 300
    assert kinds <= {"M", "P", "C", "S"}
    assert not [sign for sign in different if ord(sign) < 0x500]


def _characters() -> Iterator[str]:
    """All of the alphabets and symbols, some of the ideographs, syllables and rarer scripts."""
    numbers = [*range(1, 0x3400), *range(0x3400, sys.maxunicode + 1, 41)]
    return (chr(number) for number in numbers if not 0xD800 <= number < 0xE000)


def _theirs(tokenizer: Any, sign: str) -> list[int]:
    ids: list[int] = tokenizer(f"ab{sign}cd")["input_ids"]
    return ids


def _ours(native: LoadedModel, text: str) -> list[int]:
    return native.tokenize(text, add_special=True, parse_special=False)
