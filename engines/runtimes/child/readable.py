"""What an engine's process must be able to read besides its model: interpreter, libraries, devices."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
"""The folder of SAM's packages."""
SYSTEM = (
    *("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib"),
    *("/nix/store", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d"),
    # The clock of a chat template, and the C library's own tables.
    *("/etc/localtime", "/usr/share/zoneinfo", "/usr/share/locale", "/usr/share/i18n"),
    # How many cores and how much memory there are, as libraries ask before they compute.
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/sys/vm", "/sys/devices/system"),
    *("/dev/zero", "/dev/random", "/dev/urandom"),
)
LOADERS = (
    *("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"),
    *("/lib/ld-musl-x86_64.so.1", "/lib/ld-musl-aarch64.so.1"),
)
"""Of a program's libraries, by the names that programs call them."""
GPU_DEVICES = (
    *("nvidia*", "nvidia-caps/*", "dri/*", "kfd", "dxg", "mali*", "udmabuf"),
    *("dma_heap/*", "accel/*"),
)
"""Below ``/dev``."""
GPU_FILES = (
    *("/proc/driver/nvidia", "/proc/driver/nvidia-uvm", "/proc/devices", "/proc/modules"),
    *("/sys/bus/pci", "/sys/class/drm", "/sys/class/kfd", "/sys/dev/char", "/sys/devices"),
    *("/sys/module/nvidia", "/sys/module/nvidia_uvm", "/sys/module/amdgpu"),
    *("/etc/OpenCL", "/etc/vulkan", "/usr/share/vulkan", "/usr/share/nvidia", "/usr/share/glvnd"),
    *("/usr/share/drirc.d", "/usr/share/libdrm", "/opt/rocm", "/opt/amdgpu", "/run/nvidia"),
    *("/usr/local/nvidia", "/usr/local/cuda"),
)
"""Drivers and their descriptions, where a device of theirs is."""


def code_of(package: str) -> Iterator[str]:
    """Yield where the interpreter, the installed packages, SAM's code and a handler's package lie.

    The folder that SAM's packages lie in is left out: a checkout may hold more than code.
    """
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    yield from (sysconfig.get_path(name) for name in names)
    yield str(Path(sys.base_prefix, "lib"))
    yield from (entry for entry in sys.path if entry and Path(entry) != REPOSITORY)
    yield from (str(REPOSITORY / name) for name in {"engines", package})


def libraries_of(program: str) -> Iterator[str]:
    """Yield where a program and the libraries that came with it lie."""
    real = Path(program).resolve()
    yield str(real)
    # A release of llama.cpp has its libraries beside the program and looks for them in that folder.
    if any(real.parent.glob("libggml*")):
        yield str(real.parent)
    if real.parent.name == "bin":
        yield str(real.parent.parent / "lib")


def gpu_devices() -> list[str]:
    """Return the device files of this machine's GPUs."""
    return [str(path) for pattern in GPU_DEVICES for path in Path("/dev").glob(pattern)]


def driver_files(library_path: str, devices: Iterable[str]) -> list[str]:
    """Return what the drivers of ``devices`` read; nothing without a device."""
    if not any(devices):
        return []
    return [*GPU_FILES, *_real_folders(library_path)]


def _real_folders(library_path: str) -> Iterator[str]:
    """``LD_LIBRARY_PATH``'s; an empty part would mean the working folder, and ``/`` everything."""
    for part in library_path.split(":"):
        if part.startswith("/") and Path(part).resolve() != Path("/"):
            yield part


def model_files(paths: Iterable[str]) -> Iterator[str]:
    """Yield the paths of a model, and what links in its folders lead to, as the Hub's cache has them."""
    for path in map(Path, paths):
        yield str(path)
        if path.is_dir():
            yield from (str(entry.resolve()) for entry in path.rglob("*") if entry.is_symlink())
