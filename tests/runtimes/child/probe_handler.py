"""A handler that does what hostile code would try; each attempt that is refused says how."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines.runtimes.child.call_filter import IO_URING_SETUP
from engines.runtimes.child.frames import Frame
from engines.runtimes.child.main import Job
from tests.runtimes.child.crash_handler import reply

PTRACE_SEIZE = 0x4206
PROCESS_VM_READV = {"x86_64": 310, "aarch64": 270}[platform.machine()]
MQ_OPEN = {"x86_64": 240, "aarch64": 180}[platform.machine()]
IPC_PRIVATE, IPC_RMID = 0, 0
CLONE_NEWUSER = 0x10000000
CLONE_NEWNS = 0x00020000


class ProbeHandler:
    def handle(self, job: Job) -> Frame | None:
        job.begin()
        given = job.request.header["parameters"]
        attempt: Callable[[dict[str, Any]], object] = getattr(self, f"do_{given['attempt']}")
        try:
            attempt(given)
        except OSError as error:
            return reply({"refusal": errno.errorcode[error.errno or 0]})
        return reply({"refusal": None})

    def proceed(self) -> bool:
        return False

    def do_reach_postgresql(self, given: dict[str, Any]) -> None:
        _connect(given["postgresql"])

    def do_reach_redis(self, given: dict[str, Any]) -> None:
        _connect(given["redis"])

    def do_open_an_internet_socket(self, given: dict[str, Any]) -> None:
        socket.socket(socket.AF_INET).close()

    def do_open_a_local_socket(self, given: dict[str, Any]) -> None:
        socket.socket(socket.AF_UNIX).close()

    def do_open_a_pair_of_sockets(self, given: dict[str, Any]) -> None:
        for end in socket.socketpair():
            end.close()

    def do_open_a_kernel_socket(self, given: dict[str, Any]) -> None:
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()

    def do_use_io_uring(self, given: dict[str, Any]) -> None:
        parameters = ctypes.create_string_buffer(120)
        os.close(_call(IO_URING_SETUP, 1, parameters))

    def do_read_a_secret(self, given: dict[str, Any]) -> None:
        Path(given["secret"]).read_text()

    def do_list_the_data_folder(self, given: dict[str, Any]) -> None:
        list(Path(given["secret"]).parent.iterdir())

    def do_read_system_accounts(self, given: dict[str, Any]) -> None:
        Path("/etc/passwd").read_text()

    def do_read_the_workers_environment(self, given: dict[str, Any]) -> None:
        Path(f"/proc/{os.getppid()}/environ").read_bytes()

    def do_open_the_workers_memory(self, given: dict[str, Any]) -> None:
        os.close(os.open(f"/proc/{os.getppid()}/mem", os.O_RDWR))

    def do_read_the_workers_memory(self, given: dict[str, Any]) -> None:
        here = ctypes.create_string_buffer(8)
        local = (ctypes.c_size_t * 2)(ctypes.addressof(here), 8)
        there = (ctypes.c_size_t * 2)(given["address"], 8)
        _call(PROCESS_VM_READV, os.getppid(), local, 1, there, 1, 0)

    def do_trace_the_worker(self, given: dict[str, Any]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.ptrace(PTRACE_SEIZE, os.getppid(), None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def do_signal_the_worker(self, given: dict[str, Any]) -> None:
        os.kill(os.getppid(), 0)

    def do_limit_the_worker(self, given: dict[str, Any]) -> None:
        resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)

    def do_fork(self, given: dict[str, Any]) -> None:
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

    def do_become_another_program(self, given: dict[str, Any]) -> None:
        # An empty file that may be run: without the box the kernel says only that it is no program.
        try:
            os.execv(given["program"], ["program"])  # noqa: S606
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise

    def do_share_memory_of_the_user(self, given: dict[str, Any]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        found = libc.shmget(IPC_PRIVATE, 4096, 0o600)
        if found < 0:
            raise OSError(ctypes.get_errno(), "shmget")
        libc.shmctl(found, IPC_RMID, None)

    def do_open_a_message_queue(self, given: dict[str, Any]) -> None:
        os.close(_call(MQ_OPEN, f"sam-{os.getpid()}".encode(), os.O_CREAT | os.O_RDWR, 0o600, None))

    def do_write_a_file(self, given: dict[str, Any]) -> None:
        Path(given["folder"], "made").write_text("made")

    def do_write_a_temporary_file(self, given: dict[str, Any]) -> None:
        path = Path("/tmp", f"sam-probe-{os.getpid()}")
        path.write_text("made")
        path.unlink()

    def do_make_namespaces(self, given: dict[str, Any]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), "unshare")

    def do_change_where_crashes_go(self, given: dict[str, Any]) -> None:
        os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))

    def do_own_a_file_of_others(self, given: dict[str, Any]) -> None:
        os.chown(given["secret"], 65534, 65534)

    def do_become_another_user(self, given: dict[str, Any]) -> None:
        os.setresuid(65534, 65534, 65534)


def _connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def _call(number: int, *arguments: Any) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    # A bare int would fill only half of the kernel's argument.
    wide = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = int(libc.syscall(ctypes.c_long(number), *wide))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return result
