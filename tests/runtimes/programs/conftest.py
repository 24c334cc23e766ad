"""The small server as a host's ``llama-server`` and ``vllm``, and the boot that lets it into the box."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engines.runtimes.child import start
from engines.runtimes.child.readable import code_of

IN_THE_BOX = """
import sys; sys.path.insert(0, sys.argv.pop(1))
import engines.runtimes.child.program as program, engines.runtimes.child.sandbox as sandbox
from engines.runtimes.child.readable import libraries_of
sandbox.LOADERS += ({python!r},)
program.libraries_of = lambda path: [*libraries_of(path), *{readable!r}]
program.main(sys.argv[1:])
"""
"""A real llama-server is no Python program: the interpreter and its packages are allowed for the tests."""


def write_program(folder: Path, name: str, module: str = "small_server") -> Path:
    path = folder / name
    # A copy: in the box it cannot look for the package of the tests.
    source = Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8")
    path.write_text(f"#!{sys.executable} -B\n{source}", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture(scope="session")
def small_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small server under the name of the real one."""
    return write_program(tmp_path_factory.mktemp("programs"), "llama-server")


@pytest.fixture(scope="session")
def small_vllm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_program(tmp_path_factory.mktemp("programs"), "vllm")


@pytest.fixture(scope="package")
def python_in_the_box() -> object:
    readable = [*code_of("tests"), f"{sys.prefix}/pyvenv.cfg"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            start, "PROGRAM_BOOT", IN_THE_BOX.format(python=sys.executable, readable=readable)
        )
        yield
