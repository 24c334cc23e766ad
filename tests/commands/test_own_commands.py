"""What is a person's own on the command line: notices, sessions, backups, defaults, conversations, names and moments."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from engines.models import Conversation, EngineDefault, KnowledgeBase, Message, Notice
from engines.models.notices import NoticeKind
from engines.services.people.sessions import list_sessions
from migrations_app.models import Backup, Plan
from migrations_app.states import PlanStatus
from samproject.cli import knowledge
from samproject.cli.errors import CommandError
from samproject.cli.session import Session
from samproject.cli.shown import show_moment, show_size
from tests.api.roles import PASSWORD, Engines, People, make_backup, make_plan, use_engine
from tests.sam_command import run_sam


def test_notices_are_shown_and_marked_as_read(people: People) -> None:
    first, second = (
        Notice.objects.create(user=people.alice, kind=NoticeKind.values[0], title=title)
        for title in ("Your engine is ready", "It was taken back")
    )
    assert "It was taken back" in run_sam("notices", "--user", "alice")
    assert "taken back" not in run_sam("notices", "--user", "bob")

    run_sam("notices", "--read", str(first.pk), "--user", "alice")
    with pytest.raises(CommandError):
        run_sam("notices", "--read", str(second.pk), "--user", "bob")
    assert [n.read_at is None for n in Notice.objects.order_by("pk")] == [False, True]

    assert run_sam("notices", "--read", "all", "--user", "alice") == "Read: 1.\n"


def test_a_browser_that_is_signed_in_is_shown_and_ended(people: People) -> None:
    browser = Client(HTTP_USER_AGENT="Lynx")
    browser.post("/accounts/login/", {"login": "alice", "password": PASSWORD})
    (session,) = list_sessions(people.alice)
    assert "Lynx" in run_sam("sessions", "--user", "alice")
    with pytest.raises(CommandError, match="There is no such session"):
        run_sam("sessions", "--end", str(session.pk), "--user", "bob")

    run_sam("sessions", "--end", str(session.pk), "--user", "alice")

    assert list_sessions(people.alice) == []


def test_backups_are_listed_by_their_person_and_by_operators_without_their_content(
    people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.old)
    backup = make_backup(make_plan(people.alice, engines))

    for who in ("alice", "oscar"):
        (row,) = json.loads(run_sam("backup", "list", "--json", "--user", who))
        assert (row["person"], row["file_size"]) == ("alice", 2048)
        assert set(row) == {
            "id",
            "person",
            "plan",
            "reason",
            "file_size",
            "created_at",
            "verified_at",
        }
    assert json.loads(run_sam("backup", "list", "--json", "--user", "bob")) == []
    assert str(backup.plan_id) in run_sam("backup", "list")


def test_backups_are_made_restored_pruned_and_ruled(people: People, engines: Engines) -> None:
    use_engine(people.alice, engines.old)
    backup = make_backup(make_plan(people.alice, engines))
    Plan.objects.update(status=PlanStatus.CANCELLED)
    number = str(backup.pk)
    with pytest.raises(CommandError, match="is not in the store"):
        run_sam("backup", "verify", number, "--user", "alice")
    with pytest.raises(CommandError, match=r"There is no backup 999, or it is not yours"):
        run_sam("backup", "verify", "999", "--user", "alice")
    assert run_sam("backup", "find") == "Every archive of the store is known here.\n"
    with pytest.raises(CommandError, match="no such person whose backups"):
        run_sam("backup", "make", "--person", "bob", "--user", "alice")
    with pytest.raises(CommandError, match="Only an administrator"):
        run_sam("backup", "restore", number, "--into", "copy", "--user", "oscar")

    assert "Started: plan" in run_sam("backup", "make", "--person", "alice", "--user", "oscar")
    assert "Started: plan" in run_sam("backup", "restore", number, "--user", "alice")
    with pytest.raises(CommandError, match="is needed"):
        run_sam("backup", "delete", number, "--yes", "--user", "alice")
    run_sam("backup", "rule", "--keep", "2", "--every-hours", "24", "--organisation")
    shown = run_sam("backup", "rule", "--user", "alice")
    assert shown == "Backed up every 24 hours; the newest 2 are kept.\n"
    assert run_sam("backup", "prune", "--user", "alice") == "0 deleted, 0 bytes.\n"
    Plan.objects.update(status=PlanStatus.CANCELLED)
    for answer in ("n\n", "\n"):
        with pytest.raises(CommandError, match="Nothing was deleted"):
            run_sam("backup", "delete", number, "--user", "alice", answers=answer)
    assert Backup.objects.exists()
    assert "Deleted." in run_sam("backup", "delete", number, "--user", "alice", answers="y\n")
    assert not Backup.objects.exists()


def test_defaults_are_set_shown_and_cleared(people: People, engines: Engines) -> None:
    Group.objects.create(name="sales & more")
    run_sam("default", "set", "qwen-4b")
    run_sam("default", "set", "llama-8b", "--group", "sales & more")
    shown = run_sam("default", "show")
    assert "everybody" in shown
    assert "sales & more" in shown

    with pytest.raises(CommandError):
        run_sam("default", "set", "reserved-8b")
    with pytest.raises(CommandError, match="Only an administrator"):
        run_sam("default", "clear", "--user", "carol")
    assert EngineDefault.objects.get(group=None).engine == engines.new

    run_sam("default", "clear")
    assert [row.group.name for row in EngineDefault.objects.all() if row.group] == ["sales & more"]


@pytest.fixture
def conversation(people: People, engines: Engines) -> Conversation:
    made = Conversation.objects.create(user=people.alice, title="The \x1b[2Jroof")
    Message.objects.create(conversation=made, position=0, role="user", content="Is it tight?")
    Message.objects.create(
        conversation=made,
        position=1,
        role="assistant",
        content="\x1b]0;x\x07Yes.",
        engine=engines.old,
    )
    return made


def test_conversations_are_found_shown_renamed_and_deleted(
    people: People, conversation: Conversation
) -> None:
    number = str(conversation.pk)
    assert "roof" in run_sam("conversations", "list", "--user", "alice")
    assert "roof" in run_sam("conversations", "search", "tight", "--user", "alice")
    assert "roof" not in run_sam("conversations", "search", "chimney", "--user", "alice")
    for act in (["show"], ["delete"], ["rename"]):
        extra = ["Mine"] if act == ["rename"] else []
        with pytest.raises(CommandError, match="not yours to see"):
            run_sam("conversations", *act, number, *extra, "--user", "bob")

    run_sam("conversations", "rename", number, "The roof", "--user", "alice")
    conversation.refresh_from_db()
    assert conversation.title == "The roof"
    run_sam("conversations", "delete", number, "--user", "alice")
    assert not Conversation.objects.exists()


def test_what_was_written_does_not_steer_the_terminal(
    people: People, conversation: Conversation
) -> None:
    shown = run_sam("conversations", "show", str(conversation.pk), "--user", "alice")

    assert "llama-8b:\n]0;xYes." in shown
    listed = run_sam("conversations", "list", "--user", "alice")
    assert not {"\x1b", "\x07"} & {*shown, *listed}


def test_with_json_a_command_without_an_answer_writes_null(
    people: People, conversation: Conversation
) -> None:
    number = str(conversation.pk)

    told = run_sam("conversations", "delete", number, "--user", "alice", "--json")

    assert json.loads(told) is None
    assert User.objects.get(username="alice").conversations.count() == 0


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        ("2026-11-30T13:21:05.123456Z", "2026-11-30 14:21:05"),
        ("2026-06-30T13:21:05+05:30", "2026-06-30 09:51:05"),
        ("2026-11-30", "2026-11-30"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ("T", "T"),
    ],
)
def test_a_moment_is_shown_by_this_machines_clock(
    monkeypatch: pytest.MonkeyPatch, moment: str, shown: str
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert show_moment(moment) == shown
    finally:
        monkeypatch.undo()
        time.tzset()


def test_tables_show_moments_as_people_read_them_and_json_as_the_api_tells_them(
    people: People,
) -> None:
    run_sam("token", "alice", "--name", "nightly")

    table, written = (run_sam("tokens", "--user", "alice", *more) for more in ([], ["--json"]))

    assert re.search(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d", table)
    made = json.loads(written)[0]["created_at"]
    assert show_moment(made) != made
    assert made not in table


def test_a_second_base_of_a_name_is_refused_and_documents_find_the_first(
    people: People, tmp_path: Path
) -> None:
    run_sam("base", "create", "Minutes", "--user", "alice")

    with pytest.raises(CommandError, match="There is a base 'Minutes' already"):
        run_sam("base", "create", "minutes", "--user", "alice")
    (tmp_path / "a.txt").write_text("The roof is of slate.")
    told = run_sam(
        "documents", "add", str(tmp_path / "a.txt"), "--base", "minutes", "--user", "alice"
    )
    assert "1 new in Minutes." in told


def test_a_field_that_is_refused_is_named_in_words(people: People, engines: Engines) -> None:
    with pytest.raises(CommandError, match=r"^to engine: This field may not be blank\.$"):
        run_sam("plan", "create", "", "--user", "alice")


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (5 << 20, "5.0 MiB"),
        (3 << 30, "3.0 GiB"),
    ],
)
def test_a_size_is_told_in_the_unit_that_says_something(size: int, shown: str) -> None:
    assert show_size(size) == shown


def test_two_commands_that_make_a_base_together_add_to_one(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = knowledge._find_base

    def find_too_early(session: Session, name: str) -> dict[str, Any] | None:
        found = find(session, name)
        if found is None:
            session.api.post("/knowledge-bases", {"name": name})
        return found

    monkeypatch.setattr(knowledge, "_find_base", find_too_early)
    (tmp_path / "a.txt").write_text("The roof is of slate.")

    told = run_sam(
        "documents", "add", str(tmp_path / "a.txt"), "--base", "Minutes", "--user", "alice"
    )

    assert "1 new in Minutes." in told
    assert KnowledgeBase.objects.get().documents.count() == 1
