"""Embedders in folders of safetensors: the vectors of the written rules, and what is refused before loading."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from engines.exceptions import (
    ArtifactMissingError,
    EngineError,
    InvalidRequestError,
    SamError,
    UnsafeModelFileError,
)
from engines.runtimes.openvino import precision
from engines.runtimes.openvino.engine import OpenVinoEngine, OpenVinoOptions
from engines.runtimes.openvino.folder import folder_facts, read_folder
from engines.runtimes.openvino.network import Network
from engines.runtimes.openvino.tokenizer import TextTokenizer
from engines.specs import EmbeddingSpec, EngineSpec
from tests.runtimes.openvino.tiny_embedders import WORDS
from tests.runtimes.openvino.tiny_folders import (
    CLOSE,
    CONTROL,
    KINDS,
    OPEN,
    PLACES,
    VOCABULARY,
    WIDTH,
    make_tensors,
    write_folder,
    write_json,
    write_rules,
)
from tests.runtimes.openvino.written_rules import WrittenNetwork

SAME = 0.99999
SPEC = EmbeddingSpec(WIDTH, PLACES, pooling="cls", query_prefix=f"{WORDS[0]} {WORDS[1]} ")


def _tokens(text: str) -> list[int]:
    return [OPEN, *(len(CONTROL) + WORDS.index(word) for word in text.split()), CLOSE]


def _texts() -> list[str]:
    dice = np.random.default_rng(1)
    return [" ".join(dice.choice(WORDS, size)) for size in (1, 2, 7, 20, PLACES - 2)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_has_the_vectors_of_the_written_rules(tmp_path: Path, kind: str) -> None:
    folder = read_folder(write_folder(tmp_path / "tiny", kind))
    tokens = [_tokens(text) for text in _texts()]
    written = [WrittenNetwork(kind, make_tensors(kind)).rows(each) for each in tokens]

    for pooling in ("mean", "cls"):
        network = Network(folder, "f32", pooling, threads=1)
        found = network.vectors(tokens)

        wanted = np.array([rows.mean(axis=0) if pooling == "mean" else rows[0] for rows in written])
        np.testing.assert_allclose(found, wanted, atol=2e-5)
        # The order of words counts: a network that forgot positions would not notice.
        turned = network.vectors([tokens[2][::-1]])
        assert np.abs(turned[0] - wanted[2]).max() > 1e-3


@pytest.mark.parametrize("dtype", [np.float16, "bfloat16"])
def test_weights_of_half_the_size_are_read(tmp_path: Path, dtype: object) -> None:
    path = write_folder(tmp_path / "tiny", "new")
    exact = read_folder(path).floats("blk.1.ffn_up.weight")
    if dtype == "bfloat16":
        _write_bfloat16(path / "model.safetensors")
    else:
        halves = {name: each.astype(np.float16) for name, each in make_tensors("new").items()}
        save_file(halves, path / "model.safetensors")

    found = read_folder(path).floats("blk.1.ffn_up.weight")

    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact, rtol=2**-7, atol=1e-6)


def _write_bfloat16(path: Path) -> None:
    """As ``save_file`` writes it; NumPy has no such numbers."""
    header, body = {}, b""
    for name, tensor in make_tensors("new").items():
        upper = (tensor.view(np.uint32) >> 16).astype("<u2").tobytes()
        places = [len(body), len(body) + len(upper)]
        header[name] = {"dtype": "BF16", "shape": tensor.shape, "data_offsets": places}
        body += upper
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


@pytest.fixture(scope="module")
def rules_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_folder(tmp_path_factory.mktemp("models") / "tiny", "xlm-roberta")
    write_rules(path, "cls_token", limit=32, query="ask: ", passage="read: ", other="x: ")
    return path


@pytest.fixture(scope="module")
def engine(rules_folder: Path) -> Iterator[OpenVinoEngine]:
    spec = EngineSpec("tiny", "Tiny", str(rules_folder), threads=1, embedding=SPEC)
    with OpenVinoEngine.from_spec(spec, OpenVinoOptions(precision="f32")) as engine:
        engine.load_model()
        yield engine


def test_an_engine_embeds_in_its_box_by_the_rules_of_its_folder(engine: OpenVinoEngine) -> None:
    network = WrittenNetwork("xlm-roberta", make_tensors("xlm-roberta"))

    def written(text: str) -> np.ndarray:
        row = network.rows(_tokens(text))[0]
        return np.asarray(row / np.linalg.norm(row))

    text = " ".join(WORDS[5:20])
    document, question = np.array(engine.embed(text)), np.array(engine.embed_query(text))
    info = engine.get_engine_info()

    assert document @ written(text) >= SAME
    assert question @ written(f"{WORDS[0]} {WORDS[1]} {text}") >= SAME
    assert question @ document < SAME
    assert (info["openvino"], info["embedding_limit"], info["pooling"]) == ("f32", 32, "cls")
    if os.uname().sysname == "Linux":
        assert info["sandbox"]["network"] == "isolated"
        assert info["sandbox"]["memory_bytes"] > 0


def test_texts_of_all_kinds_are_read_as_texts(engine: OpenVinoEngine) -> None:
    long = " ".join([WORDS[3], WORDS[4]] * 40)
    texts = [long, "", "<s> </s> <pad>", f"half \ud83d {WORDS[2]}", " \n", WORDS[2]]

    batch = engine.embed_documents(texts)
    read = engine.read_documents(texts)

    assert set(batch.errors) == {1, 4}
    assert batch.cut == {0}
    assert np.isfinite(batch.vectors[[0, 2, 3, 5]]).all()
    assert read is not None
    # Neither cut nor filled up, whatever the file says; marks are pieces that nobody knows.
    assert (read[0].tokens, read[0].beyond) == (82, 50)
    assert read[2].unknown == read[2].tokens - read[2].framing > 0
    assert engine.count_tokens(f"{WORDS[2]} {WORDS[3]}") == 2
    # The same list gives the same bits.
    np.testing.assert_array_equal(engine.embed_documents(texts).vectors, batch.vectors)


def test_an_embedder_writes_nothing_and_says_so(engine: OpenVinoEngine) -> None:
    for ask in (engine.generate, lambda text: list(engine.stream(text))):
        with pytest.raises(EngineError, match="only embeds text"):
            ask("hello")
    assert engine.is_available()


def test_facts_of_a_folder_are_what_its_files_say(rules_folder: Path, tmp_path: Path) -> None:
    assert folder_facts(rules_folder) == {
        "architecture": "bert",
        "context_length": 32,
        "embedding_length": WIDTH,
        "resident_bytes": read_folder(rules_folder).resident_bytes,
        "pooling": "cls",
        "query_prompt": "ask: ",
        "document_prompt": "read: ",
    }
    bare = folder_facts(write_folder(tmp_path / "bare", "bert"))
    assert (bare["context_length"], bare["embedding_length"]) == (PLACES, WIDTH)
    assert not {"pooling", "query_prompt", "document_prompt"} & bare.keys()
    assert OpenVinoEngine.list_models(str(tmp_path)) == [str(tmp_path / "bare")]


class _Compiled:
    """As a network that was compiled in a precision, whose vectors are a little off in another one than f32."""

    off = 0.0

    def __init__(self, _weights: object, precision: str, _pooling: str, *, threads: int) -> None:
        self._off = 0.0 if precision == "f32" else self.off
        self._pause = 0.02 if precision == "f32" else 0.0

    def vectors(self, texts: list[list[int]]) -> np.ndarray:
        begun = time.process_time()
        while time.process_time() < begun + self._pause:
            pass
        return np.array([[1.0, self._off] for _ in texts], np.float32)


@pytest.mark.parametrize(
    ("wanted", "off", "found"),
    [
        *(("f32", 0.0, "f32"), ("", 0.005, "bf16"), ("", 0.02, "f32"), ("bf16", 0.02, "f32")),
        *(("", float("nan"), "f32"), ("bf16", 0.005, "bf16")),
    ],
)
def test_a_faster_precision_is_taken_only_where_its_vectors_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, off: float, found: str
) -> None:
    folder = read_folder(write_folder(tmp_path / "tiny", "bert"))
    monkeypatch.setattr(precision, "Network", _Compiled)
    monkeypatch.setattr(precision, "usable_precisions", lambda: ["f32", "bf16"])
    monkeypatch.setattr(_Compiled, "off", off)

    made = precision.make_fastest(folder, "mean", precision=wanted, limit=PLACES, threads=1)

    assert made[1] == found


def _config(**values: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        config = json.loads((path / "config.json").read_bytes())
        write_json(path / "config.json", {**config, **values})

    return change


def _beside(name: str, value: object) -> Callable[[Path], None]:
    return lambda path: write_json(path / name, value)


def _saved(**changed: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        tensors = {**make_tensors("new"), **changed}
        kept = {name: each for name, each in tensors.items() if each is not None}
        save_file(kept, path / "model.safetensors")  # type: ignore[arg-type]

    return change


def _with_modules(*kinds: str, path: str = "") -> list[dict[str, object]]:
    return [{"type": f"sentence_transformers.models.{kind}", "path": path} for kind in kinds]


_ONES = np.ones((4, 4), np.float32)
OF_ANOTHER = json.dumps(
    {"version": "1.0", "model": {"type": "WordLevel", "vocab": {"x": VOCABULARY}, "unk_token": "x"}}
)
REFUSED: dict[str, tuple[Callable[[Path], None], type[SamError], str]] = {
    "no tokenizer": (lambda p: (p / "tokenizer.json").unlink(), ArtifactMissingError, "no tokeni"),
    "no weights": (lambda p: (p / "model.safetensors").unlink(), ArtifactMissingError, "no model"),
    "no object": (_beside("config.json", []), UnsafeModelFileError, "config.json"),
    "another model": (_config(model_type="llama"), InvalidRequestError, "model_type is 'llama'"),
    "a list as type": (_config(model_type=["new"]), InvalidRequestError, "model_type"),
    "another gate": (_config(hidden_act="relu"), InvalidRequestError, "hidden_act is 'relu'"),
    "looks back": (_config(is_decoder=True), InvalidRequestError, "is_decoder"),
    "scaled attention": (_config(logn_attention_scale=True), InvalidRequestError, "logn_attention"),
    "other stretching": (
        _config(rope_scaling={"type": "yarn", "factor": 4.0}),
        InvalidRequestError,
        "stretched by 'yarn'",
    ),
    "mixed stretching": (
        _config(rope_scaling={"type": "ntk", "factor": 4.0, "mixed_b": 0.6}),
        InvalidRequestError,
        "stretched by 'ntk'",
    ),
    "stretching of no kind": (_config(rope_scaling=[2]), InvalidRequestError, "unknown way"),
    "a factor of text": (
        _config(rope_scaling={"type": "ntk", "factor": "8"}),
        InvalidRequestError,
        "no number",
    ),
    "endless angles": (_config(rope_theta=1e300), InvalidRequestError, "no usable angle"),
    "no angles": (_config(rope_theta=None), InvalidRequestError, "no number"),
    "half a layer": (_config(num_hidden_layers=1.5), InvalidRequestError, "no number of anything"),
    "truth as number": (_config(num_hidden_layers=True), InvalidRequestError, "no number of any"),
    "a layer more": (
        _config(num_hidden_layers=3),
        InvalidRequestError,
        "no tensor encoder.layer.2",
    ),
    "a layer less": (_config(num_hidden_layers=1), InvalidRequestError, "what its tensor"),
    "many layers": (_config(num_hidden_layers=10**9), InvalidRequestError, "sizes that no such"),
    "many positions": (_config(max_position_embeddings=10**9), InvalidRequestError, "positions"),
    "other width": (_config(hidden_size=WIDTH * 2), InvalidRequestError, "another shape"),
    "heads": (_config(num_attention_heads=5), InvalidRequestError, "among its heads"),
    "types": (_config(type_vocab_size=2), InvalidRequestError, "no tensor embeddings.token_type"),
    "no epsilon": (_config(layer_norm_eps="1"), InvalidRequestError, "epsilon"),
    "one tensor more": (_saved(extra=_ONES), InvalidRequestError, "its tensor 'extra' is for"),
    "one tensor less": (
        _saved(**{"encoder.layer.1.mlp_ln.bias": None}),
        InvalidRequestError,
        "no tensor encoder.layer.1.mlp_ln.bias",
    ),
    "whole numbers": (
        _saved(**{"encoder.layer.1.mlp_ln.bias": np.ones(WIDTH, np.int64)}),
        InvalidRequestError,
        "holds no fractions",
    ),
    "small numbers": (
        _saved(**{"encoder.layer.1.mlp_ln.bias": np.ones(WIDTH, np.int8)}),
        UnsafeModelFileError,
        "holds 'I8'.*Save the model again",
    ),
    "cut short": (
        lambda p: os.truncate(p / "model.safetensors", 5000),
        UnsafeModelFileError,
        "Save the model again",
    ),
    "weights elsewhere": (
        _beside("modules.json", _with_modules("Transformer", "Pooling", path="0_T")),
        InvalidRequestError,
        "another folder",
    ),
    "another step": (
        _beside("modules.json", _with_modules("Transformer", "Pooling", "Dense")),
        InvalidRequestError,
        "names 'Transformer, Pooling, Dense'",
    ),
    "no list of steps": (_beside("modules.json", {}), UnsafeModelFileError, "modules.json"),
    "lower case": (
        _beside("sentence_bert_config.json", {"do_lower_case": True}),
        InvalidRequestError,
        "lower case",
    ),
    "prompts of no kind": (
        _beside("config_sentence_transformers.json", {"prompts": {"query": 3}}),
        InvalidRequestError,
        "not texts",
    ),
    "an endless prompt": (
        _beside("config_sentence_transformers.json", {"prompts": {"query": "x" * 201}}),
        InvalidRequestError,
        "more than 200",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_refused_before_a_process_starts(
    tmp_path: Path, name: str
) -> None:
    change, kind, why = REFUSED[name]
    path = write_folder(tmp_path / "tiny", "new")
    change(path)
    engine = OpenVinoEngine("tiny", "Tiny", str(path))

    with pytest.raises(kind, match=why):
        engine.check()
    assert not engine.is_loaded


@pytest.mark.parametrize(
    ("pooling", "config", "why"),
    [
        ("max_tokens", {}, "pools by 'max_tokens'"),
        ("lasttoken", {}, "pools by 'lasttoken'"),
        ("mean_tokens", {"pooling_mode_cls_token": True}, "pools by"),
        ("mean_tokens", {"word_embedding_dimension": 7}, "another width"),
        ("mean_tokens", {"include_prompt": False}, "leaves the prompt out"),
        ("mean_tokens", {"pooling_mode": "max"}, "pools by 'max'"),
    ],
)
def test_a_pooling_that_is_not_computed_is_refused(
    tmp_path: Path, pooling: str, config: dict[str, object], why: str
) -> None:
    path = write_folder(tmp_path / "tiny", "bert")
    write_rules(path, pooling)
    stated = json.loads((path / "1_Pooling" / "config.json").read_bytes())
    write_json(path / "1_Pooling" / "config.json", {**stated, **config})

    with pytest.raises(InvalidRequestError, match=why):
        read_folder(path)


def test_an_entry_or_a_host_that_does_not_go_with_it_is_refused(rules_folder: Path) -> None:
    last = EngineSpec("t", "T", str(rules_folder), embedding=EmbeddingSpec(WIDTH, 8, "last"))
    with pytest.raises(InvalidRequestError, match="is to pool by last"):
        OpenVinoEngine.from_spec(last).check()
    off = OpenVinoOptions(precision="never")
    with pytest.raises(InvalidRequestError, match="switched off here"):
        OpenVinoEngine("t", "T", str(rules_folder), options=off).check()
    wide = EngineSpec("t", "T", str(rules_folder), embedding=EmbeddingSpec(WIDTH + 1, 8))
    with pytest.raises(InvalidRequestError, match="its catalog entry says"):
        OpenVinoEngine.from_spec(wide).check()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"model": 7}', "tokenizer.json cannot be read"),
        ("", "tokenizer.json cannot be read"),
        (OF_ANOTHER, "tokens that the model does not have"),
    ],
)
def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "tokenizer.json").write_text(text)

    with pytest.raises(EngineError, match=why):
        TextTokenizer(tmp_path / "tokenizer.json", vocabulary=VOCABULARY)
