"""A third-party runtime as its author would ship it: a package, built to a wheel and installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

FILES = {
    "pyproject.toml": """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "sam-echo"
version = "1.0"

[project.entry-points."sam.runtimes"]
echo = "sam_echo:EchoEngine"
unfinished = "sam_echo.unfinished:Engine"
leaving = "sam_echo.leaving:Engine"
no_engine = "sam_echo:NoEngine"
llama_cpp = "sam_echo:EchoEngine"

[tool.setuptools]
packages = ["sam_echo"]
""",
    "sam_echo/__init__.py": """
from engines.runtimes.base import BaseModelEngine, ModelStatus


class NoEngine:
    pass


class EchoEngine(BaseModelEngine):
    def load_model(self):
        self.is_loaded, self.status = True, ModelStatus.READY
        return True

    def generate(self, prompt, **options):
        return prompt

    def embed(self, text):
        return [1.0, float(len(text))]

    def unload_model(self):
        self.is_loaded, self.status = False, ModelStatus.UNAVAILABLE
        return True
""",
    "sam_echo/unfinished.py": "import a_library_nobody_has\n",
    "sam_echo/leaving.py": "raise SystemExit('no licence')\n",
}
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


def install_plugin(folder: Path) -> Path:
    """Build the package and install its wheel; the folder for the import path."""
    for name, text in FILES.items():
        path = folder / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    _run([sys.executable, "-c", BUILD, str(folder)], folder / "source")
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    options = ["--no-deps", "--no-index", "--target", str(site), str(wheel)]
    _run([*_installer(), *options], folder)
    return site


def _installer() -> list[str]:
    uv = os.environ.get("SAM_UV") or shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    return [sys.executable, "-m", "pip", "install", "--quiet"]


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
