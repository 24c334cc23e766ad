"""The list of architectures is that of the library we run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engines.exceptions import InvalidRequestError
from engines.fit import architectures
from engines.fit.known_architectures import KNOWN, require_known
from engines.gguf.writer import write_gguf

LOAD = """
import ctypes, sys
from llama_cpp import llama_cpp as api
said = []
log = api.llama_log_callback(lambda _level, text, _data: said.append(text.decode(errors="replace")))
api.llama_log_set(log, None)
api.llama_backend_init()
params = api.llama_model_default_params()
params.vocab_only = True
for path in sys.argv[1:]:
    said.clear()
    api.llama_model_load_from_file(path.encode(), params)
    if "unknown model architecture" in "".join(said):
        print(path.rpartition("/")[2])
"""
MADE_UP = "llama-9"


def test_the_library_knows_what_is_listed_and_what_is_told_apart(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in sorted({*KNOWN, MADE_UP})]
    for path in paths:
        write_gguf(path, {"general.architecture": path.name}, {})

    asked = [sys.executable, "-c", LOAD, *map(str, paths)]
    unknown = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()

    assert unknown == [MADE_UP]
    assert architectures.SLIDING.keys() <= KNOWN
    assert architectures.RECURRENT | architectures.WITHOUT_CACHE <= KNOWN
    assert architectures.UPPER_BOUND_ONLY | architectures.HYBRID_BY_HEADS <= KNOWN


def test_only_the_runtime_of_our_own_library_is_held_to_it() -> None:
    require_known("llama", "llama_cpp")
    require_known(MADE_UP, "llama_server")
    with pytest.raises(InvalidRequestError, match=r"'llama-9', which .* does not know"):
        require_known(MADE_UP, "llama_cpp")
