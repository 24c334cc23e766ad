"""Writes the tests as pytest rewrites them, where pytest looks for them: ``python -m tests.beforehand.asserts``.

Pytest checks what it finds and rewrites whatever it does not take, so nothing but time depends on this.
"""

from __future__ import annotations

import os
from pathlib import Path

from _pytest.assertion import rewrite

TESTS = Path(__file__).resolve().parent.parent


def find_tests(folder: Path) -> list[Path]:
    """Return the files whose asserts pytest rewrites."""
    files = sorted(folder.rglob("*.py"))
    return [file for file in files if file.name.startswith("test_") or file.name == "conftest.py"]


def write_asserts(file: Path) -> None:
    """Write one file, unless it is there as it would be written."""
    target = written_for(file)
    if rewrite._read_pyc(file, target) is not None:
        return
    digest, code = rewrite._rewrite_test(file, None)  # type: ignore[arg-type]
    target.parent.mkdir(exist_ok=True)
    draft = target.with_name(f"{target.name}.{os.getpid()}")
    with draft.open("wb") as written:
        rewrite._write_pyc_fp(written, digest, code)
    draft.replace(target)


def written_for(file: Path) -> Path:
    return rewrite.get_cache_dir(file) / f"{file.stem}{rewrite.PYC_TAIL}"


if __name__ == "__main__":
    for found in find_tests(TESTS):
        write_asserts(found)
