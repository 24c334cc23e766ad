"""The environment, the secrets, the addresses and Celery's settings."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from django.core.checks import Error, run_checks
from django.test import override_settings
from kombu import Connection

from samproject import env
from samproject.celery import app
from samproject.endpoints import SocketLogin, broker_url, database_settings, redis_url
from samproject.env import EnvironmentVariableError
from samproject.generated_secrets import generated_secret
from samproject.host_name import host_name
from samproject.supervisor.errors import SupervisorError
from samproject.supervisor.locations import locate

PROJECT = Path(__file__).resolve().parents[2]
HERE = locate(Path("/srv/sam"))


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("1", True), ("True", True), ("false", False), ("0", False), (" 0 ", False)],
)
def test_given_an_accepted_word_when_a_bool_is_read_then_it_is_that_value(
    monkeypatch: pytest.MonkeyPatch, text: str, value: bool
) -> None:
    monkeypatch.setenv("DEBUG", text)

    assert env.read_bool("DEBUG", default=not value) is value


@pytest.mark.parametrize("text", ["yes", "no", "on", "2", "tru", "none"])
def test_given_another_word_when_a_bool_is_read_then_the_error_names_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("DEBUG", text)

    with pytest.raises(
        EnvironmentVariableError, match=f"DEBUG is '{text}'; set it to true, false, 1 or 0"
    ):
        env.read_bool("DEBUG", default=False)


@pytest.mark.parametrize("text", ["0", "3601", "ten", "1.5", "٣", "-1", "--1", "1_0", "0x10"])
def test_given_a_number_out_of_bounds_when_read_then_the_error_names_the_bounds(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("SAM_LEASE_SECONDS", text)

    with pytest.raises(EnvironmentVariableError, match="a whole number from 1 to 3600"):
        env.read_int("SAM_LEASE_SECONDS", 60, minimum=1, maximum=3600)


def test_given_an_empty_variable_when_read_then_it_counts_as_not_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SAM_LEASE_SECONDS", "")

    assert env.read_int("SAM_LEASE_SECONDS", 60, minimum=1, maximum=3600) == 60


@pytest.mark.parametrize("text", ["fast", "0/min", "60", "60/fortnight", "60/min;"])
def test_given_a_bad_rate_when_read_then_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("SAM_RATE_USER", text)

    with pytest.raises(EnvironmentVariableError, match="SAM_RATE_USER"):
        env.read_rate("SAM_RATE_USER", "60/min")


@pytest.mark.parametrize("text", ["nonsense", "ftp://hub", "https://", "https://hub:port"])
def test_given_no_address_when_read_then_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", text)

    with pytest.raises(EnvironmentVariableError, match="HF_ENDPOINT"):
        env.read_url("HF_ENDPOINT", "https://huggingface.co")


def test_given_a_place_that_is_none_when_read_then_it_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SAM_ALLOWED_PRIVATE_HOSTS", "10.0.0.0/8,http://gpu-9")

    with pytest.raises(EnvironmentVariableError, match="SAM_ALLOWED_PRIVATE_HOSTS names 'http"):
        env.read_places("SAM_ALLOWED_PRIVATE_HOSTS")


def test_given_a_secret_file_when_read_then_its_content_is_the_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("hush\n")
    monkeypatch.setenv("HF_TOKEN_FILE", str(tmp_path / "token"))

    assert env.read_secret("HF_TOKEN") == "hush"


@pytest.mark.parametrize(
    ("value", "content", "reason"),
    [
        ("hush", b"hush", "both set"),
        ("", b"", "is empty"),
        ("", None, "No such file"),
        ("", b"\xff\xfe", "not UTF-8"),
    ],
)
def test_given_a_secret_that_cannot_be_used_when_read_then_the_error_does_not_show_it(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    value: str,
    content: bytes | None,
    reason: str,
) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    monkeypatch.setenv("HF_TOKEN", value)
    monkeypatch.setenv("HF_TOKEN_FILE", str(tmp_path / "token"))

    with pytest.raises(EnvironmentVariableError, match=reason) as caught:
        env.read_secret("HF_TOKEN")
    assert "hush" not in str(caught.value)


def test_when_a_secret_is_generated_then_it_is_private_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "key"

    secret = generated_secret(path)

    assert len(secret) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    assert generated_secret(path) == secret
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize(
    ("content", "mode", "reason"), [("a", 0o644, "open to"), ("", 0o600, "empty")]
)
def test_given_an_unusable_secret_file_when_read_then_it_is_refused_unchanged(
    tmp_path: Path, content: str, mode: int, reason: str
) -> None:
    path = tmp_path / "key"
    path.write_text(content)
    path.chmod(mode)

    with pytest.raises(SupervisorError, match=reason):
        generated_secret(path)
    assert (path.read_text(), path.stat().st_mode & 0o777) == (content, mode)


@pytest.mark.parametrize(
    "url", ["sqlite:///x", "mysql://u:hush@h/x", "hush", "postgres://h:hush/x"]
)
def test_given_a_url_of_no_postgresql_then_it_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(EnvironmentVariableError, match="DATABASE_URL is not") as caught:
        database_settings(url, HERE, "")
    assert "hush" not in str(caught.value)


def test_given_a_database_url_then_its_parts_are_used_and_no_connection_is_kept() -> None:
    entry = database_settings("postgres://u:p%40s@db:5433/sam?sslmode=require", HERE, "unused")

    assert (entry["USER"], entry["PASSWORD"], entry["HOST"]) == ("u", "p@s", "db")
    assert (entry["PORT"], entry["NAME"], entry["CONN_MAX_AGE"]) == (5433, "sam", 0)
    assert entry["OPTIONS"] == {"sslmode": "require"}


def test_without_urls_then_the_embedded_sockets_are_used() -> None:
    database = database_settings("", HERE, "hush")

    assert (database["HOST"], database["PASSWORD"]) == ("/srv/sam/run/pg", "hush")
    assert redis_url("", HERE, "hush") == "unix://:hush@/srv/sam/run/redis/redis.sock?db=0"


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("unix:///a/b.sock?db=2", "redis+socket:///a/b.sock?virtual_host=2"),
        (
            "unix://:p@/a/b.sock?db=0",
            "redis+socket:///a/b.sock?virtual_host=0&credential_provider=samproject.endpoints:SocketLogin",
        ),
        ("unix:///a/b.sock", "redis+socket:///a/b.sock?virtual_host=0"),
        ("rediss://u:p@h:6380/1", "rediss://u:p@h:6380/1"),
    ],
)
def test_given_a_redis_url_then_celery_gets_the_same_server(url: str, broker: str) -> None:
    assert broker_url(redis_url(url, HERE, "")) == broker


@pytest.mark.parametrize(
    ("url", "login"), [("unix://:p%40@/a.sock", ("p@",)), ("unix://u:p@/a.sock", ("u", "p"))]
)
def test_what_a_worker_tells_of_its_broker_holds_no_password(
    url: str, login: tuple[str, ...]
) -> None:
    told = str(Connection(broker_url(url)).info())

    assert "/a.sock" in told
    assert "p" not in re.findall("[a-z]+", told)
    with override_settings(REDIS_URL=url):
        assert SocketLogin().get_credentials() == login


def test_given_another_scheme_for_redis_then_it_is_refused() -> None:
    with pytest.raises(EnvironmentVariableError, match="REDIS_URL is not a Redis URL"):
        redis_url("amqp://h", HERE, "")


@pytest.mark.parametrize("name", ["GPU 1", "a.b", "-a", "a" * 64, "../x"])
def test_given_a_host_name_that_is_no_slug_then_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("SAM_HOST_NAME", name)

    with pytest.raises(EnvironmentVariableError, match="SAM_HOST_NAME"):
        host_name()


def test_the_name_a_data_folder_was_served_under_comes_before_the_machines_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SAM_HOST_NAME", raising=False)
    remembered = tmp_path / "host-name"
    own = host_name(remembered)
    remembered.write_text("quickstart\n")

    assert host_name(remembered) == "quickstart"
    assert host_name() == own
    monkeypatch.setenv("SAM_HOST_NAME", "gpu-1")
    assert host_name(remembered) == "gpu-1"


@pytest.mark.parametrize("broken", [b"No Name", b"\xff", b""])
def test_a_remembered_name_that_is_none_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, broken: bytes
) -> None:
    monkeypatch.delenv("SAM_HOST_NAME", raising=False)
    remembered = tmp_path / "host-name"
    remembered.write_bytes(broken)

    assert host_name(remembered) == host_name()


def test_celery_treats_a_message_as_a_wake_up_only() -> None:
    wanted: dict[str, Any] = {
        "task_acks_late": False,
        "worker_disable_prefetch": True,
        "worker_pool": "threads",
        "result_backend": None,
        "accept_content": ["json"],
        "broker_connection_max_retries": None,
        "task_create_missing_queues": False,
        "worker_soft_shutdown_timeout": 0.0,
    }

    assert {name: app.conf[name] for name in wanted} == wanted
    name = settings.SAM_HOST_NAME
    assert set(app.amqp.queues) == {"control", f"host.{name}.work", f"host.{name}.live"}
    sweep = app.conf.beat_schedule["sweep"]
    assert (sweep["task"], sweep["options"]["queue"]) == ("control.sweep", "control")
    assert sweep["options"]["expires"] == sweep["schedule"] == settings.SAM_SWEEP_SECONDS


def test_when_checked_for_production_then_embedded_services_and_made_secrets_are_refused() -> None:
    found = run_checks(tags=["security"], include_deployment_checks=True)

    errors = sorted((error.id, error.hint) for error in found if isinstance(error, Error))
    assert errors == [
        ("sam.E001", "Set DATABASE_URL to a server of your own."),
        ("sam.E001", "Set REDIS_URL to a server of your own."),
        ("sam.E002", "Set SAM_BACKUP_KEY or SAM_BACKUP_KEY_FILE from your own store of secrets."),
        ("sam.E002", "Set SECRET_KEY or SECRET_KEY_FILE from your own store of secrets."),
    ]


@pytest.mark.parametrize(
    ("name", "value", "id"),
    [
        ("SAM_BACKUP_KEY", "0" * 64, "sam.E004"),
        ("SAM_BACKUP_KEY", "5a" * 32, "sam.E004"),
        ("ALLOWED_HOSTS", ["sam.example", "*"], "sam.E005"),
    ],
)
def test_when_checked_for_production_then_what_protects_nothing_is_refused(
    name: str, value: Any, id: str
) -> None:
    def errors() -> set[str | None]:
        found = run_checks(tags=["security"], include_deployment_checks=True)
        return {error.id for error in found if isinstance(error, Error)}

    assert id not in errors()
    with override_settings(**{name: value}):
        assert id in errors()


def read_setting(name: str, **variables: str) -> subprocess.CompletedProcess[str]:
    code = f"from samproject import settings; print(settings.{name})"
    inherited = {key: value for key, value in os.environ.items() if "SAM_" not in key}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env=inherited | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_given_an_own_database_without_keys_then_settings_refuse_to_load(tmp_path: Path) -> None:
    data = tmp_path / "data"
    url = "postgres://u:p@db/sam"

    done = read_setting("SECRET_KEY", DATABASE_URL=url, SAM_DATA_DIR=str(data))

    assert done.returncode == 1
    assert (
        "SECRET_KEY is not set; with DATABASE_URL every machine needs the same one." in done.stderr
    )
    assert not data.exists()


def test_given_a_machine_on_its_own_then_two_processes_get_the_same_key(tmp_path: Path) -> None:
    runs = [read_setting("SECRET_KEY", SAM_DATA_DIR=str(tmp_path / "data")) for _ in range(2)]

    assert runs[0].returncode == 0
    assert runs[0].stdout == runs[1].stdout
    assert len(runs[0].stdout.strip()) == 64


def test_given_a_backup_key_of_the_wrong_size_then_it_is_refused_unseen(tmp_path: Path) -> None:
    done = read_setting("DEBUG", SAM_DATA_DIR=str(tmp_path / "data"), SAM_BACKUP_KEY="c0ffee")

    assert "SAM_BACKUP_KEY is not 64 hexadecimal digits" in done.stderr
    assert "c0ffee" not in done.stderr.splitlines()[-1]


def test_every_thread_publishes_through_this_app() -> None:
    names: list[str] = []
    thread = Thread(target=lambda: names.append(current_app.main))

    thread.start()
    thread.join()

    assert names == ["sam"]
