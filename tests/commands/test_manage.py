"""``manage.py`` as a person runs it, where SAM cannot work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from django.test import override_settings

from migrations_app.local_caller import LocalCaller
from samproject.cli.local import AppTransport, find_address
from tests.commands.elsewhere import PATIENCE, PROGRAM, PROJECT


def manage(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "samproject.settings"} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_command_without_a_database_ends_with_a_sentence(tmp_path: Path) -> None:
    ended = manage("token", "ada", SAM_DATA_DIR=str(tmp_path), DATABASE_URL="", REDIS_URL="")

    assert ended.returncode == 1
    assert ended.stderr.startswith("The database does not answer: ")
    assert "Start `manage.py up` with the same SAM_DATA_DIR" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_with_the_packages_of_another_version_a_command_says_what_to_run() -> None:
    program = f"import sys; sys.modules['chardet'] = None; {PROGRAM}"
    ended = subprocess.run(
        [sys.executable, "-c", program, "whoami"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stderr.startswith("The Python package chardet is missing")
    assert "run `bash deploy/install.sh`" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("names", "address"),
    [
        (["sam.example.org", "localhost"], "https://sam.example.org"),
        ([".example.org"], "https://example.org"),
        (["*"], "https://localhost"),
        (["[::1]"], "https://[::1]"),
    ],
)
def test_beside_the_database_sam_answers_whatever_name_and_scheme_it_has(
    names: list[str], address: str
) -> None:
    with override_settings(ALLOWED_HOSTS=names, SECURE_SSL_REDIRECT=True):
        http = httpx2.Client(
            base_url=find_address(), transport=AppTransport(LocalCaller("", "root"))
        )
        answer = http.get("/api/v1/nothing")

    assert (find_address(), address.partition(":")[0]) == ("http://localhost", "https")
    assert (str(answer.request.url), answer.status_code) == (f"{address}/api/v1/nothing", 404)
    assert answer.json()["code"] == "not_found"


def test_ctrl_c_waits_for_no_thread() -> None:
    program = """
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from samproject.cli import app
def search():
    print("Searching")
    ThreadPoolExecutor().submit(Event().wait)
    raise KeyboardInterrupt
app.app = search
app.run()
"""
    # Whoever waited for the thread would never end.
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )

    assert (ended.returncode, ended.stdout) == (130, "Searching\n"), ended.stderr


def test_help_is_sams_own_and_djangos_is_one_word_away() -> None:
    own = manage("--help").stdout

    assert re.search(r"^  plan +Plans: what SAM does", own, re.MULTILINE)
    assert "`sam up` starts SAM" in own
    assert "--settings" not in own + manage("plan", "create", "--help").stdout
    assert "migrate" in manage("django", "help").stdout


def test_a_misspelt_command_is_answered_with_those_like_it() -> None:
    ended = manage("plna", "list")

    assert ended.returncode == 2
    assert "No such command 'plna'. Did you mean 'plan'?" in ended.stderr
    assert manage("version").returncode == manage("check", "--help").returncode == 0
    assert manage("django", "plna").returncode == 1


def test_a_wrong_setting_ends_with_its_sentence(tmp_path: Path) -> None:
    ended = manage("catalog", "list", SAM_DATA_DIR=str(tmp_path), SAM_LEASE_SECONDS="soon")

    assert ended.returncode == 1
    assert "SAM_LEASE_SECONDS" in ended.stderr
    assert "Traceback" not in ended.stderr
