"""The main job as a person runs it: a second client searches and chats through all of it, unharmed."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from io import StringIO
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from deploy.demo.models.engine_files import REAL
from deploy.demo.people import PASSWORDS_FILE, People
from deploy.demo.site import PROJECT, Site
from deploy.demo.story import print_addresses

CLIENT = re.compile(r"(\d+) searches and (\d+) answers, 0 errors, 0 wrong")


@pytest.fixture
def data(fetched: Path) -> Iterator[Path]:
    """A folder that the servers' own user may enter, with a short path for their sockets.

    The real models' weights are there already: fetching them has tests of its own.
    """
    with tempfile.TemporaryDirectory(prefix="sam-quickstart-") as folder:
        root = Path(folder)
        root.chmod(0o711)
        for weights in REAL:
            shutil.copytree(fetched / weights.folder, root / "data" / "demo" / weights.folder)
        yield root / "data"


def free_ports() -> list[str]:
    """Return two ports that nobody listens on; parallel tests choose at random like this one."""
    with ExitStack() as held:
        sockets = [
            held.enter_context(closing(socket.create_server(("127.0.0.1", 0)))) for _ in range(2)
        ]
        return [str(one.getsockname()[1]) for one in sockets]


def run_once(data: Path) -> subprocess.CompletedProcess[str]:
    """As a person types it."""
    web, flower = free_ports()
    arguments = ["--once", "--data-dir", str(data), "--port", web, "--flower-port", flower]
    return subprocess.run(
        ["bash", "deploy/quickstart.sh", *arguments],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def printed_passwords(text: str) -> dict[str, str]:
    """Return what was printed for signing in."""
    return dict(re.findall(r"^(\w+) +password (\S+)$", text, re.MULTILINE))


def kept_passwords(data: Path) -> dict[str, str]:
    kept: dict[str, str] = json.loads((data / "demo" / PASSWORDS_FILE).read_text())
    return kept


def left_running(data: Path) -> list[str]:
    """Return the programs that still work in the folder or were started with it."""
    return [
        process.info["name"]
        for process in psutil.process_iter(["name", "cwd", "cmdline"])
        if str(data) in " ".join([process.info["cwd"] or "", *(process.info["cmdline"] or [])])
    ]


def check_that_all_held(run: subprocess.CompletedProcess[str], data: Path) -> None:
    assert run.returncode == 0, run.stdout
    assert re.search(r"^All \d+ held\.$", run.stdout, re.MULTILINE), run.stdout
    assert "✗" not in run.stdout
    moved, taken_back = CLIENT.findall(run.stdout)
    assert all(int(count) > 0 for count in (*moved, *taken_back))
    assert left_running(data) == []


@pytest.mark.slow
@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_every_proof_holds_in_a_new_folder(data: Path) -> None:
    run = run_once(data)

    check_that_all_held(run, data)
    assert kept_passwords(data).keys() == {"ada", "admin"}
    # Its servers are gone: it says how to have them again, and not where they were.
    assert f"bash deploy/quickstart.sh --data-dir {data}" in run.stdout
    assert not printed_passwords(run.stdout)
    assert "/chat/" not in run.stdout
    assert "“We decided to cover the roof" in run.stdout


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_proof_holds_in_the_second_run_on_what_the_first_left(data: Path) -> None:
    first = run_once(data)
    check_that_all_held(first, data)
    kept = kept_passwords(data)

    run = run_once(data)

    check_that_all_held(run, data)
    assert kept_passwords(data) == kept


def test_servers_that_go_on_are_told_with_who_may_sign_in(tmp_path: Path) -> None:
    site = Site(data=tmp_path, port=8000, flower_port=5555)
    told = StringIO()
    passwords = {"ada": "[one]", "admin": "two"}

    print_addresses(Console(file=told), site, People("", "", "", passwords))

    assert printed_passwords(told.getvalue()) == passwords
    assert f"{site.web}/chat/" in told.getvalue()
    assert str(tmp_path / "demo" / PASSWORDS_FILE) in told.getvalue()
