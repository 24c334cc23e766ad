from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from engines.exceptions import EngineCrashed, EngineError, InvalidRequestError
from engines.fit.process_limit import MARGIN_BYTES
from engines.runtimes.base import ModelStatus
from engines.runtimes.child import landlock
from engines.runtimes.child.process import ChildProcess
from engines.runtimes.child.readable import REPOSITORY
from engines.runtimes.child.sandbox import CLONE_NEWNET, CLONE_NEWUSER
from engines.runtimes.child.start import ChildSpec
from engines.runtimes.llama_cpp.engine import LlamaCppEngine, LlamaOptions
from tests.runtimes.child.crash_handler import facts

HANDLER = "tests.runtimes.child.crash_handler:CrashHandler"
LONG = 60.0
MIB = 1024 * 1024
MEMORY = 512 * MIB


INTERFACES = Path("/proc/net/dev")


@cache
def namespaces_allowed() -> bool:
    """Ask the kernel by ourselves: what the child says of its box is what is tested."""
    ways = f"({CLONE_NEWNET}, {CLONE_NEWUSER | CLONE_NEWNET})"
    script = f"import ctypes; print(any(ctypes.CDLL(None).unshare(way) == 0 for way in {ways}))"
    asked = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    return asked.stdout.strip() == b"True"


@pytest.fixture
def child() -> Iterator[ChildProcess]:
    child = ChildProcess(ChildSpec("boxed", HANDLER, memory_bytes=MEMORY))
    child.wait_ready()
    yield child
    child.stop()


def test_a_child_has_no_core_dumps_no_new_privileges_and_few_files(child: ChildProcess) -> None:
    limits = facts(child.request("limits", LONG))["limits"]
    status = Path(f"/proc/{child.pid}/status").read_text()

    assert limits["core"] == [0, 0]
    assert max(limits["files"]) <= 1024
    assert limits["data"] == [MEMORY, MEMORY]
    assert limits["cpu"] == [resource.RLIM_INFINITY, resource.RLIM_INFINITY]
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status


def test_a_child_says_which_limits_hold(child: ChildProcess) -> None:
    assert child.sandbox == {
        "network": "isolated" if namespaces_allowed() else "filtered",
        "files": "model only" if landlock.version() >= 1 else "open",
        "calls": "filtered",
        "no_capabilities": True,
        "no_new_privileges": True,
        "memory_bytes": MEMORY,
        "open_files": facts(child.request("limits", LONG))["limits"]["files"][0],
    }


def test_a_child_changes_no_file_of_its_model(tmp_path: Path) -> None:
    """Where the kernel has Landlock."""
    folder = Path.home() / f".sam-test-{tmp_path.name}"
    folder.mkdir()
    (folder / "file").write_text("kept")
    child = ChildProcess(ChildSpec("boxed", HANDLER, readable=(str(folder),)))
    child.wait_ready()
    done = facts(child.request("change", LONG, folder=str(folder)))["done"]
    guarded = landlock.version() >= 1
    child.stop()
    left = sorted(path.name for path in folder.iterdir())
    shutil.rmtree(folder)

    assert done == ([] if guarded else ["write", "make", "rename", "remove"])
    assert left == (["file"] if guarded else [])


def test_a_child_reads_its_model_and_nothing_beside_it(tmp_path: Path) -> None:
    for name in ("model", "other"):
        (tmp_path / name).write_text(name)
    child = ChildProcess(ChildSpec("boxed", HANDLER, readable=(str(tmp_path / "model"),)))
    child.wait_ready()
    texts = facts(child.request("read", LONG, folder=str(tmp_path)))["texts"]
    guarded = landlock.version() >= 1
    child.stop()

    assert texts == {"model": "model", "other": None if guarded else "other"}


def test_a_folder_of_links_is_read_where_they_lead(tmp_path: Path) -> None:
    """As the Hub's cache keeps a model: links to files that lie elsewhere."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "0a1b").write_text("weights")
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "model").symlink_to("../blobs/0a1b")
    child = ChildProcess(ChildSpec("boxed", HANDLER, readable=(str(tmp_path / "snapshot"),)))
    child.wait_ready()
    texts = facts(child.request("read", LONG, folder=str(tmp_path / "snapshot")))["texts"]
    child.stop()

    assert texts == {"model": "weights", "other": None}


def test_a_child_sees_no_network(child: ChildProcess) -> None:
    interfaces = facts(child.request("interfaces", LONG))["interfaces"]

    outside = [line.split(":")[0].strip() for line in INTERFACES.read_text().splitlines()[2:]]
    assert sorted(interfaces) == (["lo"] if namespaces_allowed() else sorted(outside))


WITHOUT_NAMESPACES = """
import ctypes, os, sys
sys.path.insert(0, {root!r})
from engines.runtimes.child import sandbox

library = ctypes.CDLL
class NoNamespaces:
    def __init__(self):
        self.libc = library(None, use_errno=True)
    def unshare(self, flags):
        return -1

    def __getattr__(self, name):
        return getattr(self.libc, name)

sandbox.ctypes.CDLL = lambda *_, **__: NoNamespaces()
box = sandbox.Sandbox(os.getppid())
print(sandbox.enter(box, sandbox.Surroundings((os.path.dirname(os.__file__),)))["network"])
import socket
try:
    socket.socket(socket.AF_INET)
except PermissionError:
    print("refused")
"""


def test_where_namespaces_are_forbidden_the_filter_alone_holds() -> None:
    """A container's rule, played by a system library whose ``unshare`` fails."""
    script = WITHOUT_NAMESPACES.format(root=str(REPOSITORY))

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)

    assert done.stdout.split() == [b"filtered", b"refused"]


def test_memory_beyond_the_limit_is_refused_and_the_child_goes_on(child: ChildProcess) -> None:
    with pytest.raises(EngineError, match="MemoryError"):
        child.request("reserve", LONG, bytes=MEMORY)

    assert facts(child.request("reserve", LONG, bytes=16 * MIB))["bytes"] == 16 * MIB


def test_mapped_weights_do_not_count_against_the_memory(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    with weights.open("wb") as file:
        file.truncate(4 * MEMORY)

    spec = ChildSpec("boxed", HANDLER, memory_bytes=MEMORY, readable=(str(weights),))
    child = ChildProcess(spec)
    child.wait_ready()
    mapped = facts(child.request("map", LONG, path=str(weights)))
    child.stop()

    assert (mapped["bytes"], mapped["last"]) == (4 * MEMORY, 0)


def test_a_block_that_costs_too_much_cpu_ends_the_child(child: ChildProcess) -> None:
    with pytest.raises(EngineCrashed, match="was ended by signal SIGXCPU"):
        child.request("compute", LONG, limit=1, forever=True)

    assert not child.is_alive()


def test_the_cpu_limit_is_lifted_after_its_block(child: ChildProcess) -> None:
    child.request("compute", LONG, limit=1, forever=False)

    assert facts(child.request("burn", LONG, seconds=1.5))["end"] is True


def test_other_threads_and_earlier_work_do_not_count(child: ChildProcess) -> None:
    """A template of a moment was ended because vectors were computed beside it."""
    child.request("burn", LONG, seconds=1.5)

    assert facts(child.request("compute", LONG, limit=1, forever=False))["end"] is True
    reply = facts(child.request("compute_while", LONG, limit=1, beside=1.5))
    assert reply["beside"] >= 1.5


def test_endless_python_code_is_interrupted_and_the_child_goes_on(child: ChildProcess) -> None:
    with pytest.raises(InvalidRequestError, match=r"^This took too long\.$"):
        child.request("interrupt", LONG, seconds=0.1, forever=True)

    assert facts(child.request("interrupt", LONG, seconds=0.1, forever=False))["end"] is True
    assert facts(child.request("echo", LONG, n=1))["given"] == {"n": 1}


def test_an_engine_tells_its_limits(tiny_llama: Path) -> None:
    options = LlamaOptions(memory_bytes=2 * 1024 * MIB)
    with LlamaCppEngine("boxed", "Boxed", str(tiny_llama), options=options) as engine:
        engine.load_model()
        told = engine.get_engine_info()["sandbox"]

    assert told["memory_bytes"] == 2 * 1024 * MIB
    assert told["network"] in {"isolated", "filtered"}


def test_an_engine_that_needs_more_memory_than_allowed_is_a_clear_error(tiny_llama: Path) -> None:
    options = LlamaOptions(memory_bytes=24 * MIB)
    engine = LlamaCppEngine("small", "Small", str(tiny_llama), options=options)

    with pytest.raises(EngineError, match=r"small|cannot"):
        engine.load_model()

    assert engine.get_status() is ModelStatus.ERROR


def test_without_a_limit_given_the_memory_is_what_is_counted_and_a_margin(tiny_llama: Path) -> None:
    """A file of a megabyte once took four gigabytes: most of the machine was the limit."""
    with LlamaCppEngine("counted", "Counted", str(tiny_llama)) as engine:
        engine.load_model()
        limit = engine.get_engine_info()["sandbox"]["memory_bytes"]

    assert MARGIN_BYTES < limit < 8 * MARGIN_BYTES
