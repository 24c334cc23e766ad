"""What people are told: with the change itself, as they chose, mailed once, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import transaction
from django.test import Client
from pytest_django.fixtures import Settings

from engines.models import Notice, NoticeKind, OutgoingMail
from engines.services.catalog.exchange import export_catalog
from engines.services.people.notices import Channels, Message, notify, set_choices
from engines.services.people.outbox import MAX_ATTEMPTS, send_due_mails
from engines.services.people.search_history import remember_search
from migrations_app.library import get_model_library_manager
from migrations_app.models import Plan, Step
from migrations_app.people import deactivate_person
from migrations_app.plans.notices import notify_of_plan
from migrations_app.plans.planning import Options, plan_migration
from migrations_app.plans.transitions import (
    Outcome,
    claim_step,
    fail_step,
    finish_step,
    mark_rolled_back,
    release_step,
    request_cancel,
    start_plan,
)
from migrations_app.plans.transitions.claims import MAX_FAILURES
from migrations_app.states import PlanStatus
from tests.admin.test_admin import CATALOG, act, signed_in
from tests.api.roles import Engines, People, client_of, make_plan, problem, use_engine

SERVER_AWAY = "tests.accounts.test_notices.RefusingBackend"


class RefusingBackend(EmailBackend):
    """A server that takes nothing."""

    def send_messages(self, *_: object, **__: object) -> int:
        raise ConnectionRefusedError


def run_plan(plan: Plan, *, steps: int = 100) -> None:
    for step in plan.steps.order_by("position")[:steps]:
        claim = claim_step(step.pk, "worker")
        assert claim is not None
        finish_step(claim, Outcome("Done."))


def told(user: User) -> list[tuple[str, str]]:
    return list(Notice.objects.filter(user=user).order_by("id").values_list("kind", "title"))


def kinds(user: User) -> list[str]:
    return [kind for kind, _ in told(user)]


def test_a_person_is_told_of_the_end_and_not_of_their_own_start(
    people: People, engines: Engines
) -> None:
    plan = make_plan(people.alice, engines)
    start_plan(plan.pk, who="alice")
    run_plan(plan)

    assert told(people.alice) == [("plan_done", "You are on QWEN-4B now")]
    assert Notice.objects.get().link == f"/migrate/{plan.pk}/"
    assert [m.user for m in OutgoingMail.objects.all()] == [people.alice]


def test_the_last_day_of_a_way_back_is_written_as_on_the_pages(
    people: People, engines: Engines
) -> None:
    plan = make_plan(people.alice, engines)
    plan.retention_until = datetime(2026, 12, 4, 23, 30, tzinfo=UTC)
    notify_of_plan(plan, PlanStatus.COMPLETED, who="system")

    assert Notice.objects.get().text.endswith("It can be taken back until 4 Dec 2026.")


def test_what_somebody_else_begins_for_them_is_told(people: People, engines: Engines) -> None:
    plan = plan_migration(people.alice, "current", "qwen-4b", Options(), actor=people.operator)
    start_plan(plan.pk, who="oscar")
    request_cancel(plan.pk, who="oscar")

    assert told(people.alice) == [
        ("plan_started", "oscar planned a move to QWEN-4B for you"),
        ("plan_started", "The move to QWEN-4B has begun"),
        ("plan_failed", "The move to QWEN-4B was stopped"),
    ]


def test_a_failure_a_wait_and_a_way_back_are_told(people: People, engines: Engines) -> None:
    failed, waiting = make_plan(people.alice, engines), make_plan(people.bob, engines)
    for plan in (failed, waiting):
        start_plan(plan.pk, who=str(plan.user))
    claim = claim_step(failed.steps.get(position=0).pk, "worker")
    assert claim is not None
    fail_step(claim, error="/srv/secret/path is broken")
    step = waiting.steps.get(position=0)
    for _ in range(MAX_FAILURES):
        Step.objects.filter(pk=step.pk).update(ready_at="2020-01-01T00:00Z")
        claim = claim_step(step.pk, "worker")
        assert claim is not None
        release_step(claim, why="The host is away.", failed=True)

    assert kinds(people.alice) == ["plan_failed"]
    assert kinds(people.bob) == ["plan_failed"]
    assert kinds(people.operator) == kinds(people.administrator) == ["operator_needed"]
    assert kinds(people.curator) == []
    assert "secret" not in str(list(Notice.objects.values())) + str(
        list(OutgoingMail.objects.values())
    )

    Plan.objects.filter(pk=failed.pk).update(status="completed")
    mark_rolled_back(failed.pk, who="alice", why="Taken back.")
    assert kinds(people.alice) == ["plan_failed", "plan_taken_back"]


def test_a_change_that_is_not_committed_is_not_told(people: People, engines: Engines) -> None:
    plan = make_plan(people.alice, engines)

    with transaction.atomic():
        start_plan(plan.pk, who="oscar")
        assert Notice.objects.exists()
        transaction.set_rollback(True)

    assert not Notice.objects.exists()
    assert not OutgoingMail.objects.exists()


@pytest.mark.parametrize("way", ["rest", "admin", "import"])
def test_who_uses_a_withdrawn_engine_is_told(people: People, engines: Engines, way: str) -> None:
    use_engine(people.alice, engines.old)
    use_engine(people.bob, engines.new)
    curator = client_of(people.curator)

    if way == "rest":
        answer = curator.patch("/api/v1/catalog/llama-8b", {"published": False}, format="json")
        assert answer.status_code == 200, answer.content
    elif way == "admin":
        User.objects.filter(pk=people.curator.pk).update(is_staff=True)
        act(signed_in(people.curator), CATALOG, "unpublish", [engines.old])
    else:
        document: Any = export_catalog()
        document["models"]["llama-8b"]["published"] = False
        get_model_library_manager().import_catalog(document, overwrite=True, confirmed=True)

    engines.old.refresh_from_db()
    assert not engines.old.published
    assert told(people.alice) == [("engine_retires", "LLAMA-8B is withdrawn")]
    assert told(people.bob) == []


@pytest.mark.parametrize(
    ("channels", "shown", "mailed"),
    [
        (Channels(True, True), 1, 1),
        (Channels(False, True), 0, 1),
        (Channels(True, False), 1, 0),
        (Channels(False, False), 0, 0),
    ],
)
def test_each_way_is_switchable(
    people: People, channels: Channels, shown: int, mailed: int
) -> None:
    set_choices(people.alice, {NoticeKind.PLAN_DONE: channels})

    notify([people.alice], Message(NoticeKind.PLAN_DONE, "Done"))

    assert Notice.objects.count() == shown
    assert OutgoingMail.objects.count() == mailed


def send_one(people: People, title: str = "You are on Qwen now") -> None:
    notify([people.alice], Message(NoticeKind.PLAN_DONE, title, "It is done.", "/migrate/1/"))


def test_a_mail_is_sent_once_with_links_of_our_origin(people: People, settings: Settings) -> None:
    settings.SAM_ORIGIN = "https://sam.example.org"
    send_one(people)

    assert send_due_mails() == "1 of 1 mails sent."
    assert send_due_mails() == "No mail is due."

    (message,) = mail.outbox
    assert (message.to, message.subject) == (["alice@example.org"], "SAM: You are on Qwen now")
    assert "https://sam.example.org/migrate/1/" in str(message.body)
    assert "https://sam.example.org/settings/preferences/" in str(message.body)
    assert not OutgoingMail.objects.exists()


def test_a_killed_sender_repeats_under_the_same_message_id(people: People) -> None:
    send_one(people)
    row = OutgoingMail.objects.get()
    send_due_mails()
    # As if it had been killed between the server's yes and its own note of it.
    row.save(force_insert=True)
    OutgoingMail.objects.update(due_at="2020-01-01T00:00Z")

    send_due_mails()

    ids = [str(m.extra_headers["Message-ID"]) for m in mail.outbox]
    assert len(ids) == 2
    assert len(set(ids)) == 1


def test_two_senders_send_it_once(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    send_one(people)
    seen: list[str] = []
    deliver: Callable[..., int] = EmailBackend.send_messages

    def slowly(self: EmailBackend, messages: list[mail.EmailMessage]) -> int:
        seen.append(send_due_mails() if not seen else "")
        return deliver(self, messages)

    monkeypatch.setattr(EmailBackend, "send_messages", slowly)

    send_due_mails()

    assert seen == ["No mail is due."]
    assert len(mail.outbox) == 1


def test_a_server_that_is_away_is_tried_again_and_given_up(
    people: People, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = SERVER_AWAY
    send_one(people)

    assert send_due_mails() == "0 of 1 mails sent."
    assert send_due_mails() == "No mail is due."
    assert OutgoingMail.objects.get().error == "ConnectionRefusedError"
    for _ in range(MAX_ATTEMPTS - 1):
        OutgoingMail.objects.update(due_at="2020-01-01T00:00Z")
        send_due_mails()

    assert not OutgoingMail.objects.exists()


def test_a_title_becomes_no_header(people: People) -> None:
    send_one(people, "Done\r\nBcc: all@example.org\nX-Evil: 1")

    send_due_mails()

    (message,) = mail.outbox
    assert message.subject == "SAM: Done Bcc: all@example.org X-Evil: 1"
    assert message.recipients() == ["alice@example.org"]
    assert "X-Evil" not in message.message()


def test_an_address_with_a_line_break_stops_nobody_elses_mail(people: People) -> None:
    send_one(people)
    User.objects.filter(username="alice").update(email="alice@example.org\nBcc: all@example.org")
    notify([people.bob], Message(NoticeKind.PLAN_DONE, "Yours is done"))

    send_due_mails()

    assert [m.to for m in mail.outbox] == [["bob@example.org"]]


def test_who_left_is_told_nothing(people: People) -> None:
    send_one(people)
    deactivate_person(people.alice, who="adam")
    send_one(people)

    send_due_mails()

    assert not mail.outbox
    assert Notice.objects.count() == 1


def test_notices_are_read_by_their_person_only(people: People) -> None:
    send_one(people)
    row = Notice.objects.get()
    alice, bob = client_of(people.alice), client_of(people.bob)

    assert bob.get("/api/v1/notices").json()["results"] == []
    problem(bob.get(f"/api/v1/notices/{row.pk}"), 404, "not_found")
    problem(bob.post(f"/api/v1/notices/{row.pk}/read"), 404, "not_found")
    assert bob.post("/api/v1/notices/read-all").json() == {"read": 0}
    row.refresh_from_db()
    assert row.read_at is None
    assert alice.post(f"/api/v1/notices/{row.pk}/read").json()["read_at"] is not None
    assert alice.post("/api/v1/notices/read-all").json() == {"read": 0}


def test_choices_over_rest(people: People) -> None:
    alice = client_of(people.alice)
    wanted = {"choices": {"plan_done": {"on_page": True, "by_email": False}}}

    assert alice.patch("/api/v1/notice-choices", wanted, format="json").status_code == 200
    held = alice.get("/api/v1/notice-choices").json()["choices"]
    assert held["plan_done"] == {"on_page": True, "by_email": False}
    assert held["plan_failed"] == {"on_page": True, "by_email": True}
    assert "operator_needed" not in held
    strange = {"choices": {"operator_needed": {"on_page": False, "by_email": False}}}
    problem(alice.patch("/api/v1/notice-choices", strange, format="json"), 400, "invalid_request")
    assert alice.get("/api/v1/notice-choices").json()["choices"] == held


def test_searches_are_kept_when_one_says_so_and_seen_by_nobody_else(people: People) -> None:
    alice, bob = client_of(people.alice), client_of(people.bob)
    address = "/api/v1/search-history"
    assert alice.get(address).json() == {"kept": False, "searches": []}

    assert alice.patch(address, {"kept": True}, format="json").json()["kept"] is True
    remember_search(people.alice, "Where is the key?")
    remember_search(people.bob, "Nobody keeps this.")

    (kept,) = alice.get(address).json()["searches"]
    assert kept["question"] == "Where is the key?"
    assert bob.get(address).json() == {"kept": False, "searches": []}
    problem(alice.patch(address, {"kept": "perhaps"}, format="json"), 400, "invalid_request")
    assert len(alice.get(address).json()["searches"]) == 1
    browser = Client()
    browser.force_login(people.alice)
    assert "Where is the key?" in browser.get("/settings/preferences/").content.decode()
    browser.post("/settings/preferences/searches/", {"kept": "no"})
    assert alice.get(address).json() == {"kept": False, "searches": []}
