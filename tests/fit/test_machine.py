"""What the machine says about itself agrees with what the system says."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from engines import machine


def test_a_machine_measures_itself(tmp_path: Path) -> None:
    found = machine.measure(tmp_path / "models")

    assert found.cores == len(os.sched_getaffinity(0))
    assert 0 < found.memory_bytes <= psutil.virtual_memory().total
    assert found.disk_free_bytes > 0
    assert found.vram_bytes == sum(gpu.vram_bytes for gpu in found.gpus)
    assert (tmp_path / "models").is_dir()
    assert json.loads(json.dumps(asdict(found)))["cores"] == found.cores


def test_the_containers_limit_counts_when_it_is_lower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(machine, "CGROUP_MEMORY", limit)
    physical = machine.memory_bytes()

    limit.write_text("1073741824\n")
    assert machine.memory_bytes() == 1024**3
    limit.write_text("max\n")
    assert machine.memory_bytes() == physical


def test_the_environment_is_described_for_json() -> None:
    found = json.loads(json.dumps(machine.environment()))

    assert found["system"] == platform.system()
    assert found["architecture"] == platform.machine()
    assert isinstance(found["container"], bool)
    assert found["cores"] == machine.cores()
    assert set(found["cpu_features"]) <= machine.CPU_FEATURES


def test_processor_facts_are_read_as_the_kernel_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    information = tmp_path / "cpuinfo"
    information.write_text(
        "processor\t: 0\nmodel name\t: Test CPU: 9000\nflags\t\t: fpu fma avx2 f16c\n\n"
        "processor\t: 1\nmodel name\t: Another\nflags\t\t: avx512f\n"
    )
    monkeypatch.setattr(machine, "CPU_INFORMATION", information)

    assert machine.cpu_name() == "Test CPU: 9000"
    assert machine.cpu_features() == ["avx2", "f16c", "fma"]


def test_a_processor_without_a_name_is_called_by_its_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    information = tmp_path / "cpuinfo"
    information.write_text("processor\t: 0\nFeatures\t: asimddp i8mm fp\n")
    monkeypatch.setattr(machine, "CPU_INFORMATION", information)

    assert machine.cpu_name() == platform.machine()
    assert machine.cpu_features() == ["asimddp", "i8mm"]


@pytest.mark.parametrize(
    ("release", "wsl"),
    [("5.15.153.1-microsoft-standard-WSL2\n", True), ("6.8.0-generic\n", False)],
)
def test_the_windows_subsystem_is_known_by_its_kernel(
    release: str, wsl: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = tmp_path / "osrelease"
    kernel.write_text(release)
    monkeypatch.setattr(machine, "KERNEL_RELEASE", kernel)

    assert machine.in_wsl() is wsl


@pytest.mark.parametrize(
    ("groups", "inside"),
    [("0::/\n", False), ("11:memory:/docker/3f2a\n", True), ("0::/kubepods/burstable/x\n", True)],
)
def test_a_container_is_known_by_its_control_groups(
    groups: str, inside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cgroup"
    file.write_text(groups)
    monkeypatch.setattr(machine, "CONTROL_GROUPS", file)
    monkeypatch.setattr(machine, "CONTAINER_MARKS", (tmp_path / "mark",))

    assert machine.in_container() is inside
    (tmp_path / "mark").touch()
    assert machine.in_container()


def test_a_gpu_without_the_management_library_is_named_by_its_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "0000:01:00.0"
    folder.mkdir()
    (folder / "information").write_text("Model: \t\t NVIDIA Test GPU\nIRQ:   1\n")
    monkeypatch.setattr(machine, "NVIDIA_GPUS", tmp_path)
    monkeypatch.setattr(machine, "find_spec", lambda _name: None)

    assert machine.gpus() == [machine.Gpu("NVIDIA Test GPU", 0)]
