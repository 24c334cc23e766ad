"""``manage.py host`` and ``manage.py fallback``, as an operator types them."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from redis import Redis

from engines.models import CopyStatus, EngineFallback, FallbackIncident, Host, ModelCopy
from engines.services.hosts import join_host
from engines.services.people.fallbacks import note_incident
from tests.api.roles import Engines, People, use_engine


def run(*command: str) -> str:
    out = StringIO()
    call_command(*command, stdout=out)
    return out.getvalue()


def test_a_host_comes_and_goes(people: People, engines: Engines, redis_client: Redis) -> None:
    token = run("host", "invite", "gpu-2").strip()
    join_host("gpu-2", token)
    use_engine(people.alice, engines.old)
    ModelCopy.objects.create(
        revision=engines.old.current_revision,  # type: ignore[misc]
        host=engines.host,
        path="/x",
        checksum="c" * 64,
        status=CopyStatus.DOWNLOADED,
    )

    with pytest.raises(CommandError, match="1 people need what only this host holds: llama-8b"):
        run("host", "drain", "gpu-1")
    assert "is draining" in run("host", "drain", "gpu-1", "--knowing")
    assert "is active again" in run("host", "resume", "gpu-1")
    assert "is draining" in run("host", "drain", "gpu-2")
    assert "A new token lets it join again" in run("host", "retire", "gpu-2")
    shown = run("host", "show", "gpu-2")
    assert shown.startswith("gpu-2 is retired.")
    assert "Joined with a token that system made." in shown
    assert [line.split()[1:4:2] for line in run("host", "list").splitlines() if "gpu" in line] == [
        ["gpu-1", "active"],
        ["gpu-2", "retired"],
    ]


def test_a_host_that_is_not_there_is_said(db: None) -> None:
    with pytest.raises(CommandError, match="There is no host 'gpu-9'"):
        run("host", "drain", "gpu-9")

    assert Host.objects.count() == 0


def test_rules_are_set_shown_and_removed(engines: Engines) -> None:
    assert run("fallback", "set", "llama-8b", "qwen-4b") == "llama-8b: qwen-4b.\n"
    assert run("fallback", "set", "any") == "any engine: the person's previous engine.\n"
    assert "the person's previous engine" in run("fallback", "list")
    assert run("fallback", "remove", "any") == "Removed.\n"

    for wrong in (("llama-8b", "minilm"), ("llama-8b", "llama-8b"), ("minilm", "qwen-4b")):
        with pytest.raises(CommandError, match=r"only embeds|cannot answer for itself"):
            run("fallback", "set", *wrong)
    with pytest.raises(CommandError, match="There is no rule for any"):
        run("fallback", "remove", "any")
    assert str(EngineFallback.objects.get()) == "llama-8b: qwen-4b"


def test_an_incident_is_one_row_for_all_its_requests(engines: Engines) -> None:
    failed, other = engines.old.current_revision, engines.new.current_revision
    assert failed is not None
    assert other is not None
    for reason in ("The file is gone.", "Later it crashed."):
        note_incident(failed.pk, other.pk, reason)

    assert FallbackIncident.objects.get().reason == "The file is gone."
    assert "The file is gone." in run("fallback", "incidents")
