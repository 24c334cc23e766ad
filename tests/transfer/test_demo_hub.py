"""The demo Hub as the quickstart starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from engines.transfer.hub import resolve_file
from tests.transfer.support import NAME, REPO, Scene

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_a_folder_until_it_is_stopped(
    scene: Scene, stop: signal.Signals
) -> None:
    root = scene.published.parents[2]
    command = [sys.executable, "-m", "deploy.demo.hub", "--root", str(root), "--port", "0"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        endpoint = process.stdout.readline().strip()
        remote = resolve_file(REPO, NAME, endpoint=endpoint)
        os.kill(process.pid, stop)

    assert process.returncode == 0
    assert remote.sha256 == scene.resolve().sha256


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/demo/engine/resolve/main/../../../secret",
        "/demo/engine/resolve/main/%2e%2e/secret",
        f"/{REPO}/resolve/main/.gated",
        "/../..%2f/resolve/main/secret",
        "/api/models/demo/none/tree/main",
    ],
)
def test_nothing_but_published_files_is_served(scene: Scene, path: str) -> None:
    root = scene.published.parents[2]
    (root / "secret").write_text("secret")
    (scene.published.parent / ".gated").write_text("hf_right")

    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(scene.hub.endpoint + path)  # noqa: S310 - our own server
    caught.value.close()

    assert caught.value.code == 404
