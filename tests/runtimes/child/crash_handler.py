"""A handler whose child misbehaves on request; runs in a child process."""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from engines.exceptions import InvalidRequestError
from engines.runtimes.child.cpu_time import cpu_limit, interrupt_after
from engines.runtimes.child.frames import Frame
from engines.runtimes.child.main import Job


def reply(facts: dict[str, Any], payload: bytes = b"") -> Frame:
    """An answer with keys of this handler's own."""
    return Frame(cast("Any", facts), payload)


def facts(answer: Frame) -> Any:
    """What such an answer says."""
    return answer.header


class CrashHandler:
    def handle(self, job: Job) -> Frame | None:
        job.begin()
        operation: str = job.request.header["op"]
        answer: Frame = getattr(self, f"do_{operation}")(job, job.request.header["parameters"])
        return answer

    def proceed(self) -> bool:
        return False

    def do_echo(self, job: Job, given: dict[str, Any]) -> Frame:
        return reply({"given": given}, str(given).encode())

    def do_pieces(self, job: Job, given: dict[str, Any]) -> Frame:
        for number in range(given["count"]):
            if job.cancelled.is_set():
                return reply({"sent": number})
            job.emit(str(number))
        return reply({"sent": given["count"]})

    def do_abort(self, job: Job, given: dict[str, Any]) -> Frame:
        sys.stderr.write("noise\n" * given["noise"] + "GGML_ASSERT(block) \x1b[31mfailed\n")
        sys.stderr.flush()
        os.abort()

    def do_exit(self, job: Job, given: dict[str, Any]) -> Frame:
        os._exit(given["code"])

    def do_hang(self, job: Job, given: dict[str, Any]) -> Frame:
        threading.Event().wait()
        return reply({})

    def do_refuse(self, job: Job, given: dict[str, Any]) -> Frame:
        raise InvalidRequestError("This is not possible.")

    def do_fail(self, job: Job, given: dict[str, Any]) -> Frame:
        return reply({"value": 1 // given["zero"]})

    def do_print(self, job: Job, given: dict[str, Any]) -> Frame:
        ctypes.CDLL(None).puts(b"native code prints to stdout")
        ctypes.CDLL(None).fflush(None)
        return reply({})

    def do_limits(self, job: Job, given: dict[str, Any]) -> Frame:
        kinds = {
            "core": resource.RLIMIT_CORE,
            "files": resource.RLIMIT_NOFILE,
            "data": resource.RLIMIT_DATA,
            "cpu": resource.RLIMIT_CPU,
        }
        limits = {name: list(resource.getrlimit(kind)) for name, kind in kinds.items()}
        return reply({"limits": limits})

    def do_interfaces(self, job: Job, given: dict[str, Any]) -> Frame:
        """What the kernel shows this process of the network."""
        lines = Path("/proc/self/net/dev").read_text().splitlines()[2:]
        return reply({"interfaces": [line.split(":")[0].strip() for line in lines]})

    def do_read(self, job: Job, given: dict[str, Any]) -> Frame:
        """The texts of two files; ``None`` for one that cannot be read."""
        folder = Path(given["folder"])
        return reply({"texts": {name: _text(folder / name) for name in ("model", "other")}})

    def do_change(self, job: Job, given: dict[str, Any]) -> Frame:
        """Which changes to a folder succeed."""
        file = Path(given["folder"]) / "file"
        changes: dict[str, Callable[[], object]] = {
            "write": lambda: file.write_text("changed"),
            "make": (file.parent / "new").mkdir,
            "rename": lambda: file.rename(file.parent / "new" / "other"),
            "remove": lambda: shutil.rmtree(file.parent / "new"),
        }
        return reply({"done": [name for name, change in changes.items() if _succeeds(change)]})

    def do_reserve(self, job: Job, given: dict[str, Any]) -> Frame:
        return reply({"bytes": len(bytearray(given["bytes"]))})

    def do_map(self, job: Job, given: dict[str, Any]) -> Frame:
        with Path(given["path"]).open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return reply({"bytes": len(mapped), "last": mapped[-1]})

    def do_compute(self, job: Job, given: dict[str, Any]) -> Frame:
        number = 0
        with cpu_limit(given["limit"]):
            while given["forever"] or number < 1000:
                number += 1
        return Frame({})

    def do_burn(self, job: Job, given: dict[str, Any]) -> Frame:
        _burn(given["seconds"])
        return Frame({})

    def do_compute_while(self, job: Job, given: dict[str, Any]) -> Frame:
        """Wait within the limit while another thread computes."""
        used: list[float] = []
        other = threading.Thread(target=lambda: used.append(_burn(given["beside"])))
        with cpu_limit(given["limit"]):
            other.start()
            other.join()
        return reply({"beside": used[0]})

    def do_interrupt(self, job: Job, given: dict[str, Any]) -> Frame:
        with interrupt_after(given["seconds"], InvalidRequestError("This took too long.")):
            while given["forever"]:
                continue
        return reply({})

    def do_garbage(self, job: Job, given: dict[str, Any]) -> Frame:
        for number in range(3, 64):
            try:
                os.write(number, b"\xff" * 64)
            except OSError:
                continue
        signal.pause()
        return reply({})


def _succeeds(change: Callable[[], object]) -> bool:
    try:
        change()
    except OSError:
        return False
    return True


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


def _burn(seconds: float) -> float:
    """Use CPU time in this thread; how much it was."""
    start = time.thread_time()
    while time.thread_time() - start < seconds:
        continue
    return time.thread_time() - start
