"""What this machine has, within the limits of its container: cores, memory, GPUs, disk, surroundings."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")
NVIDIA_GPUS = Path("/proc/driver/nvidia/gpus")
MEMORY_INFORMATION = Path("/proc/meminfo")
CPU_INFORMATION = Path("/proc/cpuinfo")
KERNEL_RELEASE = Path("/proc/sys/kernel/osrelease")
CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))
CONTROL_GROUPS = Path("/proc/1/cgroup")
CONTAINER_NAMES = ("docker", "kubepods", "containerd", "libpod", "lxc")
CPU_FEATURES = frozenset(
    {
        "amx_int8",
        "asimddp",
        "avx",
        "avx2",
        "avx512f",
        "avx512_bf16",
        "avx512_vnni",
        "avx_vnni",
        "f16c",
        "fma",
        "i8mm",
        "ssse3",
        "sve",
    }
)
"""The instruction sets that llama.cpp computes faster with."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU; ``vram_bytes`` is 0 where the driver does not say."""

    name: str
    vram_bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """What engines can use; bytes."""

    cores: int
    memory_bytes: int
    gpus: tuple[Gpu, ...] = ()
    disk_free_bytes: int = 0

    @property
    def vram_bytes(self) -> int:
        return sum(gpu.vram_bytes for gpu in self.gpus)


def measure(models_folder: Path) -> Machine:
    """Return what this machine has; the folder is created."""
    return Machine(cores(), memory_bytes(), tuple(gpus()), disk_bytes(models_folder)[1])


def cores() -> int:
    """Return how many cores this process may use."""
    # Not os.cpu_count(): a container may have been given fewer.
    return len(os.sched_getaffinity(0))


def memory_bytes() -> int:
    """Return the machine's memory, or the container's limit when that is lower."""
    physical = os.sysconf("SC_PHYS_PAGES") * PAGE_SIZE
    try:
        limit = CGROUP_MEMORY.read_text().strip()
    except OSError:
        return physical
    # "max" means no limit.
    return min(physical, int(limit)) if limit.isdigit() else physical


def memory_used_bytes() -> int:
    """Return how much memory is taken, as the kernel counts what programs could still get."""
    fields = dict(
        line.split(":", 1) for line in _text(MEMORY_INFORMATION).splitlines() if ":" in line
    )
    kib = {name: int(fields.get(name, "0 kB").split()[0]) for name in ("MemTotal", "MemAvailable")}
    return max(kib["MemTotal"] - kib["MemAvailable"], 0) * 1024


def load() -> float:
    """Return how many processes ran or waited to, averaged over the last minute."""
    return os.getloadavg()[0]


def gpus() -> list[Gpu]:
    """Return the NVIDIA GPUs with their memory; without nvidia-ml-py, what the driver names."""
    return _measured_gpus() or [
        Gpu(_model(path), 0) for path in sorted(NVIDIA_GPUS.glob("*/information"))
    ]


def _measured_gpus() -> list[Gpu]:
    """Ask the NVIDIA management library, where the package and a driver are installed."""
    if find_spec("pynvml") is None:
        return []
    # Imported here and not above: only hosts with an NVIDIA driver have any use for it.
    nvml = import_module("pynvml")
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return []
    try:
        handles = map(nvml.nvmlDeviceGetHandleByIndex, range(nvml.nvmlDeviceGetCount()))
        return [
            Gpu(nvml.nvmlDeviceGetName(handle), int(nvml.nvmlDeviceGetMemoryInfo(handle).total))
            for handle in handles
        ]
    finally:
        nvml.nvmlShutdown()


def _model(information: Path) -> str:
    fields = dict(
        line.split(":", 1) for line in information.read_text().splitlines() if ":" in line
    )
    return fields.get("Model", "NVIDIA GPU").strip()


def disk_bytes(folder: Path) -> tuple[int, int]:
    """Return size and free space of the disk that ``folder`` is on; the folder is created."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    usage = shutil.disk_usage(folder)
    return usage.total, usage.free


def environment() -> dict[str, object]:
    """Return facts for JSON: container or not, WSL or not, processor and its features, GPUs."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "container": in_container(),
        "wsl": in_wsl(),
        "cpu": cpu_name(),
        "cpu_features": cpu_features(),
        "cores": cores(),
        "memory_bytes": memory_bytes(),
        "gpus": [asdict(gpu) for gpu in gpus()],
    }


def in_container() -> bool:
    """Whether this process runs in a container (Docker, Podman, Kubernetes, LXC)."""
    if any(mark.exists() for mark in CONTAINER_MARKS):
        return True
    return any(name in _text(CONTROL_GROUPS) for name in CONTAINER_NAMES)


def in_wsl() -> bool:
    """Whether this is the Windows Subsystem for Linux; its kernel says so in its release."""
    return "microsoft" in _text(KERNEL_RELEASE).lower()


def cpu_name() -> str:
    """Return the processor's name, or its architecture where the system gives no name."""
    return _cpu_fields().get("model name", platform.machine())


def cpu_features() -> list[str]:
    """Return the instruction sets of this processor that matter to engines, sorted."""
    fields = _cpu_fields()
    named = fields.get("flags", fields.get("Features", "")).split()
    return sorted(CPU_FEATURES.intersection(named))


def _cpu_fields() -> dict[str, str]:
    """The first processor's fields."""
    pairs = (line.partition(":") for line in _text(CPU_INFORMATION).splitlines() if ":" in line)
    fields: dict[str, str] = {}
    for name, _, value in pairs:
        fields.setdefault(name.strip(), value.strip())
    return fields


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
