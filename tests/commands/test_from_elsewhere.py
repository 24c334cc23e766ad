"""`sam login` and commands from another machine, against a web process that runs."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib.auth.models import User

from engines.models import ApiToken
from engines.services.people.roles import set_roles
from tests.api.roles import PASSWORD, make_engines
from tests.commands.elsewhere import Machine
from tests.openai_api.web import WebProcess
from tests.redis_admin import admin_redis
from tests.worker.processes import WORK, WorkerProcess

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
NAME_AND_PASSWORD = f"ada\n{PASSWORD}\n"


@pytest.fixture
def ada(transactional_db: None) -> User:
    admin_redis().flushall()
    return User.objects.create_user("ada", password=PASSWORD)


@pytest.fixture
def web(ada: User, tmp_path: Path) -> Iterator[WebProcess]:
    environment = WorkerProcess(tmp_path, WORK)._environment()
    # The hashes of passwords are the tests' own, which are quick.
    quick = environment | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    with WebProcess(tmp_path, quick) as running:
        yield running


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    home = tmp_path / "home"
    home.mkdir()
    return Machine(home)


def test_who_signs_in_works_from_another_machine_until_the_token_ends(
    ada: User, web: WebProcess, machine: Machine
) -> None:
    make_engines()
    signed_in = machine.sam("login", web.address, answers=NAME_AND_PASSWORD)
    assert (signed_in.returncode, "as ada" in signed_in.stdout) == (0, True), signed_in.stderr
    assert stat.S_IMODE(machine.login.stat().st_mode) == 0o600
    assert PASSWORD not in machine.login.read_text() + signed_in.stdout + signed_in.stderr

    assert json.loads(machine.sam("whoami", "--json").stdout)["username"] == "ada"
    listed = json.loads(machine.sam("catalog", "list", "--json").stdout)
    assert "qwen-4b" in [row["model_id"] for row in listed]
    assert "ada" in machine.sam("whoami").stdout
    refused = machine.sam("people", "list")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "Only an administrator may do this.\n"
    set_roles(ada, ["administrator"])
    assert "ada" in machine.sam("people", "list").stdout
    as_somebody = machine.sam("whoami", "--user", "bob")
    assert (as_somebody.returncode, "leave out --user" in as_somebody.stderr) == (1, True)

    made = machine.sam("token", "--name", "script", "--scope", "read", answers=f"{PASSWORD}\n")
    assert made.stdout.startswith("sam_"), made.stderr
    assert ApiToken.objects.get(name="script").scope == "read"
    other = machine.sam("token", "bob")
    assert (other.returncode, "leave out --user or the name" in other.stderr) == (1, True)

    ApiToken.objects.all().delete()
    ended = machine.sam("whoami", "--json")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "has expired or was ended. Sign in again with `sam login`." in ended.stderr
    assert machine.sam("logout").returncode == 0
    assert not machine.login.exists()


def test_who_is_refused_stays_signed_out_and_is_told_why(web: WebProcess, machine: Machine) -> None:
    wrong = machine.sam("login", web.address, answers="ada\nwrong\n")
    no_token = machine.sam("login", web.address, "--token", "nonsense")
    no_address = machine.sam("login", "ftp://sam")
    usage = machine.sam("login")

    assert [each.returncode for each in (wrong, no_token, no_address, usage)] == [1, 1, 1, 2]
    assert "Traceback" not in wrong.stderr + no_token.stderr + no_address.stderr + usage.stderr
    assert not machine.login.exists()
    assert not ApiToken.objects.exists()


def test_the_code_of_a_second_factor_is_asked_for(
    ada: User, web: WebProcess, machine: Machine
) -> None:
    TOTP.activate(ada, SECRET)
    without = machine.sam("login", web.address, answers=f"{NAME_AND_PASSWORD}\n")
    assert (without.returncode, machine.login.exists()) == (1, False)
    assert "Send the code of your second factor" in without.stderr

    # A code of the telephone's might be too old when it arrives on a busy machine.
    code = RecoveryCodes.activate(ada).get_unused_codes()[0]
    signed_in = machine.sam("login", web.address, answers=f"{NAME_AND_PASSWORD}{code}\n")

    assert signed_in.returncode == 0, signed_in.stderr
    assert machine.sam("whoami").stdout.startswith("ada")


def test_a_server_that_went_away_is_a_sentence(web: WebProcess, machine: Machine) -> None:
    machine.sam("login", web.address, answers=NAME_AND_PASSWORD)
    web.kill()

    for command in (["whoami"], ["plan", "list", "--json"], ["chat", "Hello?"]):
        gone = machine.sam(*command)
        assert (gone.returncode, gone.stdout) == (1, "")
        assert f"{web.address} does not answer" in gone.stderr
        assert "Traceback" not in gone.stderr


class _ToHttps(BaseHTTPRequestHandler):
    """What a proxy does that sends everybody to https."""

    def do_POST(self) -> None:
        self.send_response(301)
        self.send_header("Location", f"https://localhost{self.path}")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Tell nothing."""


def test_who_is_sent_to_https_is_told_so_and_signs_in_nowhere(machine: Machine) -> None:
    with HTTPServer(("127.0.0.1", 0), _ToHttps) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{proxy.server_port}"

        refused = machine.sam("login", address, answers=NAME_AND_PASSWORD)
        proxy.shutdown()

    assert refused.returncode == 1
    assert "is reached by https only: sam login https://" in refused.stderr
    assert not machine.login.exists()


def test_the_shell_offers_commands_and_ids_and_nothing_when_nobody_answers(
    web: WebProcess, machine: Machine
) -> None:
    make_engines()
    machine.sam("login", web.address, answers=NAME_AND_PASSWORD)

    def offered(line: str) -> list[str]:
        words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
        done = machine.sam(**words, _SAM_COMPLETE="complete_bash")
        assert done.stderr == ""
        return done.stdout.split()

    assert "conversations" in offered("sam conv")
    assert offered("sam catalog show qw") == ["qwen-4b"]
    web.kill()
    assert offered("sam catalog show qw") == []


def test_completion_is_installed_for_the_shell(machine: Machine) -> None:
    installed = machine.sam(
        "--install-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1"
    )

    assert installed.returncode == 0, installed.stderr
    assert "complete" in (machine.home / ".bash_completions" / "sam.sh").read_text()
