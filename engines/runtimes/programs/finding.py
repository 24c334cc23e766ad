"""Finds the programs of a host that run models."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from engines.exceptions import InvalidRequestError


@dataclass(frozen=True, slots=True)
class Program:
    """A program by its usual name, and the setting that names another one."""

    name: str
    setting: str


LLAMA_SERVER = Program("llama-server", "SAM_LLAMA_SERVER")
VLLM = Program("vllm", "SAM_VLLM")


def find_program(program: Program, given: str) -> str:
    """Return a program's absolute path: the one given, else as the shell finds it.

    InvalidRequestError where it is not there.
    """
    found = shutil.which(given or program.name)
    if found is None:
        where = f"at {given}" if given else "on the PATH"
        raise InvalidRequestError(
            f"There is no {program.name} {where} of this host; install it, or name it by "
            f"{program.setting}."
        )
    # Not resolved: a program may look at the name by which it was started.
    return str(Path(found).absolute())
