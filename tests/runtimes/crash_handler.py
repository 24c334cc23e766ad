"""A handler whose child misbehaves on request; runs in a child process."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
import threading
from typing import Any

from engines.exceptions import InvalidRequestError
from engines.runtimes.child_main import Job
from engines.runtimes.frames import Frame


class CrashHandler:
    def handle(self, job: Job) -> Frame:
        operation: str = job.request.header["op"]
        answer: Frame = getattr(self, f"do_{operation}")(job, job.request.header["parameters"])
        return answer

    def do_echo(self, job: Job, given: dict[str, Any]) -> Frame:
        return Frame({"given": given}, str(given).encode())

    def do_pieces(self, job: Job, given: dict[str, Any]) -> Frame:
        for number in range(given["count"]):
            if job.cancelled.is_set():
                return Frame({"sent": number})
            job.emit(number)
        return Frame({"sent": given["count"]})

    def do_abort(self, job: Job, given: dict[str, Any]) -> Frame:
        sys.stderr.write("noise\n" * given["noise"] + "GGML_ASSERT(block) \x1b[31mfailed\n")
        sys.stderr.flush()
        os.abort()

    def do_exit(self, job: Job, given: dict[str, Any]) -> Frame:
        os._exit(given["code"])

    def do_hang(self, job: Job, given: dict[str, Any]) -> Frame:
        threading.Event().wait()
        return Frame({})

    def do_refuse(self, job: Job, given: dict[str, Any]) -> Frame:
        raise InvalidRequestError("This is not possible.")

    def do_fail(self, job: Job, given: dict[str, Any]) -> Frame:
        return Frame({"value": 1 // given["zero"]})

    def do_print(self, job: Job, given: dict[str, Any]) -> Frame:
        ctypes.CDLL(None).puts(b"native code prints to stdout")
        ctypes.CDLL(None).fflush(None)
        return Frame({})

    def do_limits(self, job: Job, given: dict[str, Any]) -> Frame:
        kinds = {"core": resource.RLIMIT_CORE, "files": resource.RLIMIT_NOFILE}
        limits = {name: list(resource.getrlimit(kind)) for name, kind in kinds.items()}
        return Frame({"limits": limits, "interfaces": [name for _, name in socket.if_nameindex()]})

    def do_garbage(self, job: Job, given: dict[str, Any]) -> Frame:
        for number in range(3, 64):
            try:
                os.write(number, b"\xff" * 64)
            except OSError:
                continue
        signal.pause()
        return Frame({})
