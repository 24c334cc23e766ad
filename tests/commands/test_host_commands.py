"""``sam host`` and ``sam fallback``, as an operator types them."""

from __future__ import annotations

import pytest
from redis import Redis

from engines.models import (
    CopyStatus,
    EngineDefault,
    EngineFallback,
    FallbackIncident,
    Host,
    ModelCopy,
)
from engines.services.hosts import join_host
from engines.services.people.fallbacks import note_incident
from samproject.cli.errors import CommandError
from tests.api.roles import Engines, People, use_engine
from tests.sam_command import run_sam


def test_a_host_comes_and_goes(people: People, engines: Engines, redis_client: Redis) -> None:
    token = run_sam("host", "invite", "gpu-2").strip()
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
        run_sam("host", "drain", "gpu-1")
    assert "is draining" in run_sam("host", "drain", "gpu-1", "--knowing")
    assert "is active again" in run_sam("host", "resume", "gpu-1")
    assert "is draining" in run_sam("host", "drain", "gpu-2")
    assert "A new token lets it join again" in run_sam("host", "retire", "gpu-2")
    shown = run_sam("host", "show", "gpu-2")
    assert shown.startswith("gpu-2 is retired.")
    assert "Joined with a token that system made." in shown
    assert [
        line.split()[1:4:2] for line in run_sam("host", "list").splitlines() if "gpu" in line
    ] == [
        ["gpu-1", "active"],
        ["gpu-2", "retired"],
    ]


def test_a_host_that_is_not_there_is_said(db: None) -> None:
    with pytest.raises(CommandError, match="There is no host gpu-9"):
        run_sam("host", "drain", "gpu-9")

    assert Host.objects.count() == 0


@pytest.mark.parametrize(
    ("command", "offered"),
    [
        ("host limit gpu-9 plans=4", "There is no host gpu-9.* Like gpu-9 there is gpu-1."),
        ("host show basement", "There is no host basement.* Not basement, but there is gpu-1."),
        ("catalog show lama-8b", "no catalog entry lama-8b.* Like lama-8b there is llama-8b."),
        ("fallback set lama-8b qwen-4b", "Like lama-8b there is llama-8b."),
        ("fallback set llama-8b qwen-4", "Like qwen-4 there is qwen-4b."),
        ("default set lama-8b", "Like lama-8b there is llama-8b."),
        ("people deactivate alise", "no person alise.* Like alise there is alice."),
    ],
)
def test_a_name_that_is_not_there_is_answered_with_those_that_are(
    people: People, engines: Engines, command: str, offered: str
) -> None:
    with pytest.raises(CommandError, match=offered):
        run_sam(*command.split())

    assert list(Host.objects.values_list("limits", flat=True)) == [{}]
    assert not EngineFallback.objects.exists()
    assert not EngineDefault.objects.exists()
    assert people.alice.is_active


def test_rules_are_set_shown_and_removed(engines: Engines) -> None:
    assert run_sam("fallback", "set", "llama-8b", "qwen-4b") == "llama-8b: qwen-4b.\n"
    assert run_sam("fallback", "set", "any") == "any engine: the person's previous engine.\n"
    assert "the person's previous engine" in run_sam("fallback", "list")
    assert run_sam("fallback", "remove", "any") == "Removed.\n"

    for wrong in (("llama-8b", "minilm"), ("llama-8b", "llama-8b"), ("minilm", "qwen-4b")):
        with pytest.raises(CommandError, match=r"only embeds|cannot answer for itself"):
            run_sam("fallback", "set", *wrong)
    with pytest.raises(CommandError, match="There is no fallback any"):
        run_sam("fallback", "remove", "any")
    assert str(EngineFallback.objects.get()) == "llama-8b: qwen-4b"


def test_an_incident_is_one_row_for_all_its_requests(engines: Engines) -> None:
    failed, other = engines.old.current_revision, engines.new.current_revision
    assert failed is not None
    assert other is not None
    for reason in ("The file is gone.", "Later it crashed."):
        note_incident(failed.pk, other.pk, reason)

    assert FallbackIncident.objects.get().reason == "The file is gone."
    assert "The file is gone." in run_sam("fallback", "incidents")


def test_limits_are_set_by_name_and_others_stay(engines: Engines) -> None:
    run_sam("host", "limit", "gpu-1", "plans=4", "downloads=2")
    assert "downloads" in run_sam("host", "limit", "gpu-1", "plans=0")
    assert Host.objects.get(name="gpu-1").limits == {"downloads": 2}

    for wrong, sentence in (("plans", "is no limit"), ("plans=x", "is no limit")):
        with pytest.raises(CommandError, match=sentence):
            run_sam("host", "limit", "gpu-1", wrong)
    with pytest.raises(CommandError, match=r"plnas.*those that can: .*plans_per_person"):
        run_sam("host", "limit", "gpu-1", "plnas=1")
    assert Host.objects.get(name="gpu-1").limits == {"downloads": 2}
    assert run_sam("host", "limit", "gpu-1", "downloads=0") == "gpu-1 has no limits.\n"
