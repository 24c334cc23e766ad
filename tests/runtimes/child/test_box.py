"""What hostile code in an engine's process cannot do, and could do without the box."""

from __future__ import annotations

import ctypes
import os
import platform
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engines.runtimes.child import landlock, sandbox, start
from engines.runtimes.child.process import ChildProcess
from engines.runtimes.child.start import ChildSpec
from tests.runtimes.child.crash_handler import facts

pytestmark = pytest.mark.attack

HANDLER = "tests.runtimes.child.probe_handler:ProbeHandler"
LONG = 60.0
REFUSED = {"EACCES", "EPERM"}
MEMORY_WORD = ctypes.c_uint64(7)

BY_CALLS = [
    "reach_postgresql",
    "reach_redis",
    "open_an_internet_socket",
    "open_a_local_socket",
    "open_a_pair_of_sockets",
    "open_a_kernel_socket",
    "use_io_uring",
    "read_the_workers_memory",
    "trace_the_worker",
    "signal_the_worker",
    "limit_the_worker",
    "fork",
    "become_another_program",
    "share_memory_of_the_user",
    "open_a_message_queue",
    "make_namespaces",
]
BY_LANDLOCK = [
    "read_a_secret",
    "list_the_data_folder",
    "read_system_accounts",
    "read_the_workers_environment",
    "open_the_workers_memory",
    "write_a_file",
    "write_a_temporary_file",
]
AS_ROOT = ["change_where_crashes_go", "own_a_file_of_others", "become_another_user"]
"""Nobody else may do these even without a box."""
ATTEMPTS = [*BY_CALLS, *BY_LANDLOCK, *(AS_ROOT if os.geteuid() == 0 else [])]
NOT_OPEN_EVERYWHERE = {
    *("use_io_uring", "make_namespaces", "trace_the_worker"),
    *("share_memory_of_the_user", "open_a_message_queue"),
}
"""A machine or a container may refuse these by itself."""

WITHOUT_BOX = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "import engines.runtimes.child.main as child; child.enter = lambda *_: {}; child.main(sys.argv[1:])"
)


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Servers, a secret and a folder, as the probe finds them."""
    folder = tmp_path_factory.mktemp("s")
    (folder / "secret-key").write_text("hush")
    (folder / "program").touch(0o755)
    servers = {}
    listeners = []
    for name in ("postgresql", "redis"):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folder / name))
        listener.listen()
        listeners.append(listener)
        servers[name] = str(folder / name)
    yield {
        **servers,
        "secret": str(folder / "secret-key"),
        "program": str(folder / "program"),
        "folder": str(folder),
        "address": ctypes.addressof(MEMORY_WORD),
    }
    for listener in listeners:
        listener.close()


@pytest.fixture
def boxed() -> Iterator[ChildProcess]:
    child = ChildProcess(ChildSpec("boxed", HANDLER))
    child.wait_ready()
    yield child
    child.stop()


@pytest.fixture
def unboxed(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChildProcess]:
    monkeypatch.setattr(start, "BOOT", WITHOUT_BOX)
    child = ChildProcess(ChildSpec("unboxed", HANDLER))
    child.wait_ready()
    yield child
    child.stop()


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_an_engines_process_cannot(
    attempt: str, boxed: ChildProcess, surroundings: dict[str, Any]
) -> None:
    if attempt in BY_LANDLOCK and landlock.version() < 1:
        assert any("Landlock" in sentence for sentence in sandbox.missing_parts())
        return

    refusal = facts(boxed.request("attempt", LONG, attempt=attempt, **surroundings))["refusal"]

    assert refusal in REFUSED
    assert boxed.is_alive()
    assert Path(surroundings["secret"]).stat().st_uid == os.geteuid()
    assert not Path(surroundings["folder"], "made").exists()


@pytest.mark.parametrize("attempt", [a for a in ATTEMPTS if a not in NOT_OPEN_EVERYWHERE])
def test_without_the_box_it_could(
    attempt: str, unboxed: ChildProcess, surroundings: dict[str, Any]
) -> None:
    refusal = facts(unboxed.request("attempt", LONG, attempt=attempt, **surroundings))["refusal"]
    Path(surroundings["folder"], "made").unlink(missing_ok=True)
    os.chown(surroundings["secret"], os.geteuid(), os.getegid())

    assert refusal is None


def test_a_boxed_process_has_no_capabilities(boxed: ChildProcess) -> None:
    lines = Path(f"/proc/{boxed.pid}/status").read_text().splitlines()
    facts = dict(line.split(":\t") for line in lines if ":\t" in line)

    assert {facts[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert facts["NoNewPrivs"] == "1"
    assert facts["Seccomp"] == "2"


def test_only_the_pipes_reach_a_boxed_process(boxed: ChildProcess) -> None:
    links = [entry.readlink() for entry in Path(f"/proc/{boxed.pid}/fd").iterdir()]

    assert not [link for link in links if str(link).startswith("socket:")]


@pytest.mark.parametrize(
    ("version", "machine", "words"),
    [(0, "x86_64", ["Landlock"]), (7, "mips", ["system call filter"]), (1, "aarch64", [])],
)
def test_what_a_kernel_lacks_is_said(
    version: int, machine: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landlock, "version", lambda _libc=None: version)
    monkeypatch.setattr(platform, "machine", lambda: machine)

    said = sandbox.missing_parts()

    assert [word for word, sentence in zip(words, said, strict=True) if word in sentence] == words
