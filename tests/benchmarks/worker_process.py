"""SAM's worker without Celery: runs the steps it is told, in a process whose memory is its own.

``python -m tests.benchmarks.worker_process`` reads ``{"step": id}`` lines; SAM_DATA_DIR says which servers.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import time
from pathlib import Path

import django
import psutil

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()


def main() -> None:
    """Answer steps until standard input ends, then end the engines."""
    from worker.host.engine_pool import engine_pool  # noqa: PLC0415 - only after setup
    from worker.steps.runner import run_step  # noqa: PLC0415

    for line in sys.stdin:
        before = _settled_kib()
        begun = time.perf_counter()
        sentence = run_step(json.loads(line)["step"])
        seconds = time.perf_counter() - begun
        peaks = {pid: _kib(pid, "VmHWM") for pid in _own_processes()}
        grown = {pid: peaks[pid] - before.get(pid, 0) for pid in peaks}
        answer = {
            "seconds": seconds,
            "sentence": sentence,
            "worker_kib": before[os.getpid()],
            "worker_grown_kib": grown.pop(os.getpid()),
            "engine_kib": sum(peaks[pid] - more for pid, more in grown.items()),
            "engine_grown_kib": sum(grown.values()),
        }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    engine_pool().unload_idle(0)


def _own_processes() -> list[int]:
    """This process and its engines."""
    return [os.getpid(), *(child.pid for child in psutil.Process().children())]


def _settled_kib() -> dict[int, int]:
    """Resident memory of each process before a step; from here its peak is counted anew.

    Importing leaves megabytes of free heap behind, in which a step's memory would go unseen: it is given
    back first. Writing 5 to clear_refs resets ``VmHWM`` (proc(5)).
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    for pid in _own_processes():
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    return {pid: _kib(pid, "VmRSS") for pid in _own_processes()}


def _kib(pid: int, name: str) -> int:
    """A line of /proc/PID/status, KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0])


if __name__ == "__main__":
    main()
