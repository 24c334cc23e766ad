"""The unmodified ``openai`` client for Node; skipped, by count, where there is no Node or no registry."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.compatible_api.conftest import THINKS, Caller
from tests.compatible_api.questions import PLACE

SCRIPT = Path(__file__).parent / "node"
FILES = ("package.json", "package-lock.json", "ask.mjs")
INSTALL = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")


@pytest.fixture(scope="module")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script beside the client that it imports."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip(
            "Node is not installed (apt-get install nodejs npm): its client of OpenAI is not tried."
        )
    folder = tmp_path_factory.mktemp("node")
    for name in FILES:
        shutil.copy(SCRIPT / name, folder)
    done = subprocess.run(INSTALL, cwd=folder, capture_output=True, text=True, timeout=240)
    if done.returncode:
        pytest.skip(f"The client for Node cannot be installed here: {done.stderr[-300:]}")
    return folder


def test_the_client_for_node_does_what_the_one_for_python_does(
    caller: Caller, node_folder: Path
) -> None:
    command = ["node", "ask.mjs", caller.address, caller.token, THINKS, json.dumps(PLACE)]
    done = subprocess.run(
        command,
        cwd=node_folder,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)

    assert got["whole"] == got["streamed"] == got["response"]
    Draft202012Validator(PLACE).validate(got["call"])
    Draft202012Validator(PLACE).validate(got["held"])
    assert got["answered"]
    assert got["reasoning"]
    assert (got["vectors"], got["after"]) == (2, 24)
    assert got["unknown"] == ["NotFoundError", 404, "model_not_found"]
    assert got["stranger"][:2] == ["AuthenticationError", 401]
