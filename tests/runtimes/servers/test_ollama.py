from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from deploy.demo.models.tiny_models import write_llama_chat
from engines.exceptions import (
    ArtifactMissingError,
    EngineError,
    HostUnavailableError,
    InvalidRequestError,
    UnsafeModelFileError,
)
from engines.runtimes.base import ChatMessage, ModelStatus
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.runtimes.servers.ollama import OllamaEngine, OllamaOptions
from engines.specs import AdapterSpec, EmbeddingSpec, EngineSpec
from tests.runtimes.servers.ollama_server import OllamaStore, ollama_server
from tests.runtimes.servers.openai_server import free_port

CHAT: list[ChatMessage] = [
    {"role": "system", "content": "Answer briefly."},
    {"role": "user", "content": "Where does the river end?"},
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[OllamaStore]:
    with ollama_server(tmp_path) as store:
        yield store


def _engine(store: OllamaStore, model: str, *, pull: bool = False, **fields: Any) -> OllamaEngine:
    spec = EngineSpec("remote", "Remote", model, endpoint=store.endpoint, threads=1, **fields)
    return OllamaEngine.from_spec(spec, OllamaOptions(pull=pull))


def test_greedy_answers_and_vectors_equal_those_of_the_same_weights_here(
    store: OllamaStore, tiny_llama: Path
) -> None:
    texts = ["The tower leans to the south.", "Bread needs salt."]
    with (
        _engine(store, str(tiny_llama)) as remote,
        LlamaCppEngine("local", "Local", str(tiny_llama)) as local,
    ):
        remote.load_model()
        local.load_model()
        for prompt in ("The harbour at night", "Grüße 👋", CHAT):
            theirs = remote.complete(prompt, temperature=0, max_tokens=40)
            ours = local.complete(prompt, temperature=0, max_tokens=40)

            assert theirs.text == ours.text
            assert theirs.completion_tokens == 40
            assert (theirs.prompt_tokens, theirs.finish_reason) == (ours.prompt_tokens, "length")
        np.testing.assert_allclose(remote.embed_many(texts), local.embed_many(texts), atol=1e-6)
        assert remote.get_engine_info()["context_length"] == 512


def test_file_is_given_once_and_its_model_named_by_its_digest(
    store: OllamaStore, tiny_llama: Path
) -> None:
    digest = hashlib.sha256(tiny_llama.read_bytes()).hexdigest()
    for _ in range(2):
        with _engine(store, str(tiny_llama)) as engine:
            engine.load_model()

    uploads = [path for path, _ in store.requests if path.startswith("/api/blobs/")]
    assert uploads == [f"/api/blobs/sha256:{digest}"]
    assert store.posted("/api/create") == [
        {
            "model": f"sam-{digest[:16]}:latest",
            "stream": False,
            "files": {tiny_llama.name: f"sha256:{digest}"},
        }
    ]


def test_bytes_the_blob_store_shares_are_not_sent(store: OllamaStore, tiny_llama: Path) -> None:
    digest = hashlib.sha256(tiny_llama.read_bytes()).hexdigest()
    store.blob(f"sha256:{digest}").hardlink_to(tiny_llama)

    with _engine(store, str(tiny_llama)) as engine:
        engine.load_model()
        assert engine.generate("Once upon", temperature=0, max_tokens=3)

    assert [path for path, _ in store.requests if path.startswith("/api/blobs/")] == []
    (model,) = store.models.values()
    assert model.stat().st_ino == tiny_llama.stat().st_ino


def test_malformed_or_missing_file_is_never_sent(store: OllamaStore, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(60))

    with pytest.raises(UnsafeModelFileError):
        _engine(store, str(broken)).load_model()
    with pytest.raises(ArtifactMissingError, match=r"gone\.gguf is not on this host"):
        _engine(store, str(tmp_path / "gone.gguf")).load_model()
    assert store.requests == []


def test_model_is_pulled_only_when_that_is_allowed(store: OllamaStore, tiny_llama: Path) -> None:
    store.library["tiny:latest"] = tiny_llama

    with pytest.raises(EngineError, match="has no model 'tiny:latest'; it has none"):
        _engine(store, "tiny").load_model()
    assert store.models == {}
    with _engine(store, "tiny", pull=True) as engine:
        engine.load_model()
        assert engine.generate(CHAT, temperature=0, max_tokens=3)
    assert OllamaEngine.list_models(store.endpoint) == ["tiny:latest"]


def test_pull_reports_its_bytes_and_the_servers_reason(
    store: OllamaStore, tiny_llama: Path
) -> None:
    store.library["tiny:latest"] = tiny_llama
    size = tiny_llama.stat().st_size
    seen: list[tuple[int, int]] = []
    engine = _engine(store, "tiny")

    engine.pull("tiny:latest", lambda done, total: seen.append((done, total)))

    assert seen == [(size // 2, size), (size, size)]
    with pytest.raises(EngineError, match="file does not exist"):
        engine.pull("nowhere:latest")


def test_unloading_frees_the_servers_memory(store: OllamaStore, tiny_llama: Path) -> None:
    engine = _engine(store, str(tiny_llama))
    engine.load_model()
    assert len(store.loaded) == 1

    assert engine.unload_model() is True

    assert store.loaded == {}
    assert engine.status is ModelStatus.UNAVAILABLE


def test_options_are_sent_in_ollamas_words(store: OllamaStore, tiny_llama: Path) -> None:
    with _engine(store, str(tiny_llama), context_length=256, device="cpu") as engine:
        engine.load_model()
        engine.generate("Once", temperature=0, max_tokens=3, seed=5, stop=["x"])
    sent = store.posted("/api/generate")

    load = {"num_ctx": 256, "num_thread": 1, "num_gpu": 0}
    assert sent[0]["options"] == load
    assert sent[1]["options"] == load | {
        "temperature": 0,
        "top_p": 0.95,
        "top_k": 40,
        "min_p": 0.05,
        "repeat_penalty": 1.0,
        "frequency_penalty": 0.0,
        "presence_penalty": 0.0,
        "seed": 5,
        "stop": ["x"],
        "num_predict": 3,
    }
    assert sent[2]["keep_alive"] == 0


def test_ollama_is_asked_to_think_for_a_family_with_a_switch_only(
    store: OllamaStore, tiny_llama: Path
) -> None:
    for family in ("llama", "llama-nemotron", "qwen"):
        with _engine(store, str(tiny_llama), family=family) as engine:
            engine.load_model()
            engine.generate(CHAT, max_tokens=1, thinking=False)

    asked = [body for body in store.posted("/api/chat") if body["messages"]]
    assert [body.get("think") for body in asked] == [None, None, False]
    assert asked[1]["messages"][0]["content"].endswith("detailed thinking off")


def test_ollama_is_told_how_much_to_think_where_its_model_takes_a_level(
    store: OllamaStore, tiny_llama: Path
) -> None:
    for architecture in ("llama", "gptoss"):
        store.architecture = architecture
        with _engine(store, str(tiny_llama)) as engine:
            engine.load_model()
            engine.generate(CHAT, max_tokens=1, effort="xhigh")
            engine.generate(CHAT, max_tokens=1, thinking=False)
            assert engine.get_engine_info()["takes_effort"] is (architecture == "gptoss")

    asked = [body for body in store.posted("/api/chat") if body["messages"]]
    assert [body.get("think") for body in asked] == [None, None, "high", "low"]


def test_cpu_although_a_gpu_was_asked_for_is_an_error(store: OllamaStore, tiny_llama: Path) -> None:
    engine = _engine(store, str(tiny_llama), device="gpu")

    with pytest.raises(EngineError, match="on its CPU although a GPU was asked for"):
        engine.load_model()
    assert engine.is_loaded is False


def test_another_model_embeds_when_the_entry_names_one(
    store: OllamaStore, tiny_llama: Path, tiny_qwen: Path
) -> None:
    store.models |= {"chat:latest": tiny_llama, "embedder:latest": tiny_qwen}
    embedding = EmbeddingSpec(dimension=160, max_tokens=512)

    with _engine(store, "chat", embedding_model="embedder", embedding=embedding) as engine:
        engine.load_model()
        assert engine.embed_many(["Bread."]).shape == (1, 160)


def test_adapters_are_refused(store: OllamaStore, tiny_llama: Path) -> None:
    with pytest.raises(InvalidRequestError, match="does not support adapters"):
        _engine(store, str(tiny_llama), adapters=(AdapterSpec("/a.gguf"),))


@pytest.mark.parametrize(("key", "sent"), [("", None), ("mine", "Bearer mine")])
def test_only_the_key_for_this_server_is_sent(
    store: OllamaStore,
    tiny_llama: Path,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    sent: str | None,
) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "of-another-server")
    spec = EngineSpec("e", "E", str(tiny_llama), endpoint=store.endpoint)

    with OllamaEngine.from_spec(spec, OllamaOptions(api_key=key)) as engine:
        engine.load_model()
        assert engine.is_available()

    assert store.keys == {sent}


def test_server_that_is_not_there_is_unavailable() -> None:
    spec = EngineSpec("e", "E", "tiny", endpoint=f"http://127.0.0.1:{free_port()}")
    engine = OllamaEngine.from_spec(spec)

    with pytest.raises(HostUnavailableError, match="cannot be reached"):
        engine.load_model()
    assert engine.status is ModelStatus.ERROR


def test_server_that_is_gone_is_noticed(tmp_path: Path, tiny_llama: Path) -> None:
    with ollama_server(tmp_path) as store:
        engine = _engine(store, str(tiny_llama))
        engine.load_model()
        assert engine.is_available() is True

    assert engine.is_available() is False
    with pytest.raises(HostUnavailableError):
        engine.generate("hello")
    assert engine.unload_model() is True


@pytest.mark.slow
def test_closing_a_stream_stops_the_servers_computing(store: OllamaStore, tmp_path: Path) -> None:
    lengthy = write_llama_chat(tmp_path / "lengthy.gguf", context_length=100_000)
    with _engine(store, str(lengthy)) as engine:
        engine.load_model()
        stream = engine.stream(CHAT, temperature=0)
        assert next(stream)
        stream.close()

        (served,) = store.loaded.values()
        pid = served.get_engine_info()["pid"]
        _until(lambda: _idle(pid))


def _idle(pid: int) -> bool:
    before = psutil.Process(pid).cpu_times().user
    time.sleep(1)
    return psutil.Process(pid).cpu_times().user - before < 0.1


def _until(true: Callable[[], bool]) -> None:
    while not true():
        continue
