"""What this machine has: cores, memory, GPUs and disk, within the limits of its container."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")
NVIDIA_GPUS = Path("/proc/driver/nvidia/gpus")


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def memory_bytes() -> int:
    """Return the machine's memory, or the container's limit when that is lower."""
    physical = os.sysconf("SC_PHYS_PAGES") * PAGE_SIZE
    try:
        limit = CGROUP_MEMORY.read_text().strip()
    except OSError:
        return physical
    return min(physical, int(limit)) if limit.isdigit() else physical


def gpus() -> list[str]:
    """Return the models of the NVIDIA GPUs that the driver names; none without the driver."""
    return [_model(path) for path in sorted(NVIDIA_GPUS.glob("*/information"))]


def _model(information: Path) -> str:
    fields = dict(
        line.split(":", 1) for line in information.read_text().splitlines() if ":" in line
    )
    return fields.get("Model", "NVIDIA GPU").strip()


def disk_bytes(folder: Path) -> tuple[int, int]:
    """Return size and free space of the disk that ``folder`` is on; the folder is created."""
    folder.mkdir(parents=True, exist_ok=True)
    usage = shutil.disk_usage(folder)
    return usage.total, usage.free
