from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.exceptions import EngineCrashed, EngineError, InvalidRequestError
from engines.runtimes.child.process import ChildProcess
from engines.runtimes.child.readable import REPOSITORY
from engines.runtimes.child.start import ChildSpec
from engines.runtimes.hugging_face.engine import HuggingFaceEngine
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from tests.runtimes.child.crash_handler import facts

HANDLER = "tests.runtimes.child.crash_handler:CrashHandler"
LONG = 60.0


@pytest.fixture
def child() -> Iterator[ChildProcess]:
    child = ChildProcess(ChildSpec("bold", HANDLER, threads=3))
    child.wait_ready()
    yield child
    child.stop()


def _has_ended(pid: int) -> bool:
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


def _wait_for_end(pid: int) -> None:
    pause = threading.Event()
    while not _has_ended(pid):
        pause.wait(0.02)


def test_header_and_bytes_come_back(child: ChildProcess) -> None:
    reply = child.request("echo", LONG, text="grün 👋\x00", many=list(range(5000)))

    assert facts(reply)["given"]["text"] == "grün 👋\x00"
    assert reply.payload == str(facts(reply)["given"]).encode()


def test_pieces_arrive_in_order_and_the_stream_ends_with_the_answer(child: ChildProcess) -> None:
    stream = child.stream("pieces", LONG, count=500)
    pieces = []
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as end:
            answer = end.value
            break

    assert pieces == [str(number) for number in range(500)]
    assert facts(answer)["sent"] == 500


def test_closed_stream_stops_the_child_and_leaves_a_clean_pipe(child: ChildProcess) -> None:
    stream = child.stream("pieces", LONG, count=10**9)
    assert next(stream) == "0"
    stream.close()

    assert facts(child.request("echo", LONG, n=1))["given"] == {"n": 1}


def test_abort_in_native_code_is_a_sentence_with_engine_signal_and_last_words(
    child: ChildProcess,
) -> None:
    with pytest.raises(EngineCrashed) as caught:
        child.request("abort", LONG, noise=100_000)

    assert str(caught.value) == (
        "The process of engine bold was ended by signal SIGABRT (last words: GGML_ASSERT(block) "
        " [31mfailed). The next request starts it again."
    )
    assert not child.is_alive()
    with pytest.raises(EngineCrashed):
        child.request("echo", LONG)


def test_exit_code_is_named(child: ChildProcess) -> None:
    with pytest.raises(
        EngineCrashed, match=r"^The process of engine bold ended with exit code 7\."
    ):
        child.request("exit", LONG, code=7)


def test_child_that_does_not_answer_is_ended(child: ChildProcess) -> None:
    with pytest.raises(EngineCrashed, match="did not answer in time"):
        child.request("hang", 0.2)

    assert not child.is_alive()


def test_stopped_child_does_not_block_a_large_request(child: ChildProcess) -> None:
    os.kill(child.pid, signal.SIGSTOP)

    with pytest.raises(EngineCrashed, match="did not answer in time"):
        child.request("echo", 0.3, text="x" * 5_000_000)

    assert not child.is_alive()


def test_errors_of_the_child_keep_their_kind_and_the_child_goes_on(child: ChildProcess) -> None:
    with pytest.raises(InvalidRequestError, match=r"^This is not possible\.$"):
        child.request("refuse", LONG)
    with pytest.raises(EngineError, match="ZeroDivisionError"):
        child.request("fail", LONG, zero=0)

    assert facts(child.request("echo", LONG, n=2))["given"] == {"n": 2}


def test_what_native_code_prints_does_not_reach_the_protocol(child: ChildProcess) -> None:
    child.request("print", LONG)

    assert facts(child.request("echo", LONG, n=3))["given"] == {"n": 3}


def test_message_that_cannot_be_read_ends_the_child(child: ChildProcess) -> None:
    with pytest.raises(EngineCrashed, match="cannot be read"):
        child.request("garbage", LONG)

    assert not child.is_alive()


def test_request_over_the_limit_is_refused_before_anything_is_sent(child: ChildProcess) -> None:
    with pytest.raises(InvalidRequestError, match="more than the pipe carries"):
        child.request("echo", LONG, text="x" * (33 * 1024 * 1024))

    assert facts(child.request("echo", LONG, n=4))["given"] == {"n": 4}


def test_child_sees_no_environment_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    monkeypatch.delenv("NVIDIA_VISIBLE_DEVICES", raising=False)
    child = ChildProcess(ChildSpec("bold", HANDLER, threads=3))
    child.wait_ready()

    environment = Path(f"/proc/{child.pid}/environ").read_bytes()
    command = Path(f"/proc/{child.pid}/cmdline").read_bytes()
    child.stop()

    assert set(environment.strip(b"\0").split(b"\0")) == {
        b"CUDA_VISIBLE_DEVICES=0",
        b"GGML_NO_BACKTRACE=1",
        b"GOMP_SPINCOUNT=7",
        b"OMP_NUM_THREADS=3",
    }
    assert b"hf_secret" not in command


def test_a_runtimes_own_variables_reach_its_child_only() -> None:
    own = HuggingFaceEngine.environment
    child = ChildProcess(ChildSpec("torch", HANDLER, environment=own))
    child.wait_ready()

    environment = Path(f"/proc/{child.pid}/environ").read_bytes()
    child.stop()

    assert b"TORCHINDUCTOR_CACHE_DIR=/" in environment.split(b"\0")
    assert LlamaCppEngine.environment == ()


def test_threads_of_a_child_do_not_wait_actively(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    child = ChildProcess(ChildSpec("patient", HANDLER))
    child.wait_ready()

    environment = Path(f"/proc/{child.pid}/environ").read_bytes()
    child.stop()

    assert b"GOMP_SPINCOUNT=1000" in environment.split(b"\0")


def test_child_outlives_the_thread_that_asked_for_it() -> None:
    made: list[ChildProcess] = []
    thread = threading.Thread(target=lambda: made.append(ChildProcess(ChildSpec("b", HANDLER))))
    thread.start()
    thread.join()
    child = made[0]
    child.wait_ready()

    assert facts(child.request("echo", LONG, n=5))["given"] == {"n": 5}
    child.stop()
    assert not child.is_alive()


def test_stopping_ends_the_child_and_can_be_repeated(child: ChildProcess) -> None:
    child.stop()
    child.stop()

    assert not child.is_alive()
    with pytest.raises(EngineCrashed):
        child.request("echo", LONG)


PARENT = """
import sys
sys.path.insert(0, {root!r})
from engines.runtimes.child.process import ChildProcess
from engines.runtimes.child.start import ChildSpec
from engines.runtimes.hugging_face.engine import HuggingFaceEngine
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
child = ChildProcess(ChildSpec("orphan", {handler!r}))
child.wait_ready()
print(child.pid, flush=True)
{then}
"""


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "computing"])
def test_child_dies_with_a_parent_that_is_killed(busy: bool) -> None:
    then = 'child.request("hang", 600)' if busy else "import signal; signal.pause()"
    script = PARENT.format(root=str(REPOSITORY), handler=HANDLER, then=then)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(re.findall(rb"\d+", parent.stdout.readline())[0])
        assert not _has_ended(pid)

        parent.kill()
        parent.wait()

    _wait_for_end(pid)
    assert _has_ended(pid)
