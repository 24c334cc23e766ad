from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.exceptions import EngineCrashed, EngineError, UnsafeModelFileError
from engines.runtimes.base import ModelStatus
from engines.runtimes.child.process import ChildProcess
from engines.runtimes.child.start import ChildSpec
from engines.runtimes.llama_cpp.engine import HANDLER, LlamaCppEngine

SPEAKS_AFTER_ITS_LOG_IS_GONE = """
import gc
from engines.runtimes.llama_cpp.native import NativeLog, api

NativeLog()
gc.collect()
api.llama_model_load_from_file(b"/nowhere", api.llama_model_default_params())
print("lived")
"""


@pytest.fixture
def engine(tiny_llama: Path) -> Iterator[LlamaCppEngine]:
    with LlamaCppEngine("steady", "Steady", str(tiny_llama)) as engine:
        engine.load_model()
        yield engine


def _kill(engine: LlamaCppEngine) -> int:
    pid: int = engine.get_engine_info()["pid"]
    os.kill(pid, signal.SIGKILL)
    pause = threading.Event()
    while Path(f"/proc/{pid}").exists():
        pause.wait(0.01)
    return pid


def _replace(path: Path, target: Path, old: bytes, new: bytes) -> Path:
    data = path.read_bytes()
    assert data.count(old) == 1
    target.write_bytes(data.replace(old, new))
    return target


def test_child_killed_during_an_answer_is_a_sentence_and_the_next_request_works(
    engine: LlamaCppEngine,
) -> None:
    expected = engine.generate("Stones", temperature=0, max_tokens=20)
    stream = engine.stream("Stones", temperature=0, max_tokens=400)
    next(stream)
    dead = _kill(engine)

    with pytest.raises(
        EngineCrashed, match=r"^The process of engine steady was ended by signal SIGKILL.*again\.$"
    ):
        list(stream)

    assert engine.get_status() is ModelStatus.ERROR
    assert engine.is_available() is False
    assert engine.generate("Stones", temperature=0, max_tokens=20) == expected
    assert engine.get_status() is ModelStatus.READY
    assert engine.get_engine_info()["pid"] != dead


def test_child_killed_while_idle_costs_nothing_but_time(engine: LlamaCppEngine) -> None:
    expected = engine.embed("stone")
    dead = _kill(engine)

    assert engine.get_status() is ModelStatus.ERROR
    assert engine.embed("stone") == expected
    assert engine.get_engine_info()["pid"] != dead


def test_killed_child_of_an_unloaded_engine_stays_dead(engine: LlamaCppEngine) -> None:
    _kill(engine)
    engine.unload_model()

    with pytest.raises(EngineError, match="not loaded"):
        engine.generate("Stones")
    assert engine.get_status() is ModelStatus.UNAVAILABLE


@pytest.mark.parametrize("keep", [0, 3, 100, 3000, -1])
def test_truncated_file_is_refused_before_a_child_is_started(
    tiny_llama: Path, tmp_path: Path, keep: int
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(tiny_llama.read_bytes()[:keep])
    engine = LlamaCppEngine("broken", "Broken", str(broken))

    with pytest.raises(UnsafeModelFileError):
        engine.load_model()

    assert engine.get_status() is ModelStatus.ERROR
    assert "pid" not in engine.get_engine_info()


def test_file_that_llama_cpp_refuses_is_an_error_and_the_engine_can_be_mended(
    tiny_llama: Path, tmp_path: Path
) -> None:
    path = _replace(
        tiny_llama, tmp_path / "model.gguf", b"blk.0.attn_q.weight", b"blk.0.attn_x.weight"
    )
    engine = LlamaCppEngine("mended", "Mended", str(path))
    with pytest.raises(EngineError, match=r"llama\.cpp cannot load this model file"):
        engine.load_model()
    assert engine.get_status() is ModelStatus.ERROR

    path.unlink()
    path.write_bytes(tiny_llama.read_bytes())

    assert engine.load_model() is True
    engine.close()


def test_malformed_file_that_aborts_native_code_costs_only_the_child(
    tiny_llama: Path, tmp_path: Path
) -> None:
    """Past the gate on purpose: this is what the child is for."""
    key = b"llama.block_count" + struct.pack("<I", 4)
    start = tiny_llama.read_bytes().index(key) + len(key)
    data = bytearray(tiny_llama.read_bytes())
    data[start : start + 4] = struct.pack("<I", 100_000)
    broken = tmp_path / "aborts.gguf"
    broken.write_bytes(data)
    child = ChildProcess(ChildSpec("hostile", HANDLER, readable=(str(broken),)))
    child.wait_ready()

    with pytest.raises(EngineCrashed, match="engine hostile was ended by signal SIGABRT"):
        child.request(
            "load",
            60,
            path=str(broken),
            adapters=[],
            cpu_seconds=60,
            family="",
            offload={"device": "cpu"},
            flash_attention=True,
            context_length=0,
            embedding=None,
            layout={"threads": 1, "lanes": 1, "pack_tokens": 0},
        )

    assert not child.is_alive()
    child.stop()


def test_native_code_may_speak_although_nobody_holds_its_log() -> None:
    told = subprocess.run(
        [sys.executable, "-c", SPEAKS_AFTER_ITS_LOG_IS_GONE],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (told.returncode, told.stdout) == (0, "lived\n"), told.stderr
