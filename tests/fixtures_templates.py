"""Real chat templates: those that llama.cpp's sources carry, taken out of the package that is compiled anyway."""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pytest

from deploy.demo.models.weights import download_package, find_requirement
from tests.fixtures_models import tests_cache

LOCK = Path(__file__).resolve().parents[1] / "deploy" / "requirements.lock"
PACKAGE = "llama-cpp-python"
FOLDER = "vendor/llama.cpp/models/templates"
FEWEST = 50
"""Templates that the package has had in every version so far; with fewer, something else was unpacked."""


@pytest.fixture(scope="session")
def real_templates() -> Mapping[str, str]:
    """About 70 publishers' templates by name; tests that need them are skipped where they cannot be had."""
    folder, trouble = ensure_templates()
    if trouble:
        pytest.skip(f"The sources of {PACKAGE} cannot be had from the package index: {trouble}")
    return read_templates(folder)


def ensure_templates() -> tuple[Path, str]:
    """Return the folder of the locked package's templates, and why it cannot be had.

    They are where the package was compiled on this machine; else they are fetched, once for all checkouts.
    """
    requirement = find_requirement(LOCK, PACKAGE)
    compiled = _compiled_sources(requirement)
    if compiled is not None:
        return compiled, ""
    folder = tests_cache() / f"templates-{hashlib.sha256(requirement.encode()).hexdigest()[:16]}"
    return folder, "" if folder.is_dir() else _fetch(requirement, folder)


def read_templates(folder: Path) -> Mapping[str, str]:
    found = {path.stem: path.read_text() for path in sorted(folder.glob("*.jinja"))}
    assert len(found) >= FEWEST, f"only {len(found)} templates are in {folder}"
    return found


def _compiled_sources(requirement: str) -> Path | None:
    """Return the templates among the sources that uv checked by their hash, compiled and kept."""
    cache = Path(os.environ.get("UV_CACHE_DIR") or tests_cache().parent / "uv")
    version = requirement.split()[0].removeprefix(f"{PACKAGE}==")
    return next(cache.glob(f"sdists-*/pypi/{PACKAGE}/{version}/*/src/{FOLDER}"), None)


def _fetch(requirement: str, folder: Path) -> str:
    """Put the locked package's templates into a folder; return why that is not possible."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        asked, target, staged = (Path(scratch, name) for name in ("asked", "sources", "staged"))
        asked.write_text(requirement)
        trouble = download_package(asked, target, "--no-binary=:all:")
        if trouble:
            return trouble.splitlines()[-1]
        _unpack(next(target.iterdir()), staged)
        # Where another process was quicker, it took out the same bytes.
        if not folder.is_dir():
            staged.rename(folder)
    return ""


def _unpack(package: Path, folder: Path) -> None:
    folder.mkdir()
    with tarfile.open(package) as sources:
        for member in sources:
            path = PurePosixPath(member.name)
            if path.suffix == ".jinja" and str(path.parent).endswith(FOLDER):
                file = sources.extractfile(member)
                assert file is not None, member.name
                (folder / path.name).write_bytes(file.read())
