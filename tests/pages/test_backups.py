"""One's backups on their page: made, checked, put back, let go by their person alone; and the rule."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from playwright.sync_api import Page, expect

from engines.models import Conversation
from migrations_app.models import Backup, BackupRule, Plan
from migrations_app.plans.backup_rules import rule_for
from migrations_app.states import PlanKind, PlanStatus
from tests.admin.test_admin import act, signed_in
from tests.api.roles import (
    Engines,
    People,
    make_backup,
    make_engines,
    make_people,
    make_plan,
    use_engine,
)
from tests.pages.chromium import Screenshot, assert_accessible, assert_fits
from tests.pages.fixtures import PHONE

ADDRESS = "/settings/backups/"


@pytest.fixture
def alice(people: People, engines: Engines) -> Client:
    use_engine(people.alice, engines.old)
    return signed_in(people.alice)


def keep_backup(people: People, engines: Engines) -> Backup:
    """Of a plan that has ended and cannot be taken back."""
    plan = make_plan(people.alice, engines)
    Plan.objects.filter(pk=plan.pk).update(status=PlanStatus.CANCELLED)
    return make_backup(plan)


def said(answer: Any) -> str:
    assert answer.status_code == 200
    return " ".join(str(message) for message in answer.context["messages"])


def test_a_backup_is_begun_and_followed(alice: Client, people: People) -> None:
    assert "No backups yet" in alice.get(ADDRESS).content.decode()

    assert "has begun" in said(alice.post(ADDRESS, {"do": "make"}, follow=True))

    plan = Plan.objects.get()
    assert (plan.kind, plan.user, plan.status) == (PlanKind.BACKUP, people.alice, "in_progress")
    assert f"/migrate/{plan.pk}/" in alice.get(ADDRESS).content.decode()
    alice.post(ADDRESS, {"do": "make"})
    alice.post(ADDRESS, {})
    assert Plan.objects.count() == 1, "one that is under way is enough"


def test_a_backup_is_let_go_by_its_person_and_stays_while_it_is_needed(
    alice: Client, people: People, engines: Engines
) -> None:
    backup, needed = keep_backup(people, engines), keep_backup(people, engines)
    until = timezone.now() + timedelta(days=1)
    Plan.objects.filter(backup=needed).update(status=PlanStatus.COMPLETED, retention_until=until)
    page = alice.get(ADDRESS).content.decode()
    assert page.count("Delete this backup") == 1
    assert "so it stays" in page

    for part in ("verify", "restore", "delete"):
        for client in (signed_in(people.bob), signed_in(people.operator)):
            assert client.post(f"{ADDRESS}{backup.pk}/{part}/").status_code == 404
    assert "This backup is needed" in said(alice.post(f"{ADDRESS}{needed.pk}/delete/", follow=True))
    assert "is deleted" in said(alice.post(f"{ADDRESS}{backup.pk}/delete/", follow=True))
    assert [row.pk for row in Backup.objects.all()] == [needed.pk]


def test_what_is_damaged_is_said(alice: Client, people: People, engines: Engines) -> None:
    backup = keep_backup(people, engines)
    Backup.objects.update(verified_at=None)

    sentence = said(alice.post(f"{ADDRESS}{backup.pk}/verify/", follow=True))

    assert "whole" not in sentence
    assert sentence.endswith(".")
    assert Backup.objects.get(pk=backup.pk).verified_at is None


def test_a_backup_takes_the_place_of_what_one_has_only_when_one_agrees(
    alice: Client, people: People, engines: Engines
) -> None:
    backup = keep_backup(people, engines)
    Conversation.objects.create(user=people.alice, title="Notes")
    address = f"{ADDRESS}{backup.pk}/restore/"
    assert "It shall take the place of what I have now" in alice.get(address).content.decode()

    refused = alice.post(address)
    assert refused.status_code == 409
    assert "Nothing was changed" in refused.content.decode()
    assert not Plan.objects.filter(kind=PlanKind.RESTORE).exists()

    begun = alice.post(address, {"agreed": "yes"})
    plan = Plan.objects.get(kind=PlanKind.RESTORE)
    assert begun.headers["Location"] == f"/migrate/{plan.pk}/"
    assert (plan.user, plan.restores, plan.replaces) == (people.alice, backup, True)


def test_ones_own_rule_goes_before_the_organisations(alice: Client, people: People) -> None:
    BackupRule.objects.create(every_hours=24, keep=3)
    assert "Your organisation’s rule holds" in alice.get(ADDRESS).content.decode()

    assert alice.post(ADDRESS, {"do": "rule", "every_hours": "6", "keep": "0"}).status_code == 400
    assert rule_for(people.alice).keep == 3
    alice.post(ADDRESS, {"do": "rule", "every_hours": "6", "keep": "2"})
    own = rule_for(people.alice)
    assert (own.user, own.every_hours, own.keep) == (people.alice, 6, 2)

    alice.post(ADDRESS, {"do": "clear"})
    assert rule_for(people.alice).user is None


def test_the_page_asks_as_often_for_many_as_for_few(
    alice: Client, people: People, engines: Engines
) -> None:
    keep_backup(people, engines)
    with CaptureQueriesContext(connection) as few:
        alice.get(ADDRESS)
    for _ in range(4):
        keep_backup(people, engines)
    with CaptureQueriesContext(connection) as more:
        alice.get(ADDRESS)

    assert len(few) == len(more)


def test_an_operator_begins_backups_of_the_chosen(people: People, engines: Engines) -> None:
    people.operator.is_staff = True
    people.operator.save()
    rows = [use_engine(person, engines.old) for person in (people.alice, people.bob)]

    told = act(signed_in(people.operator), "/admin/engines/enginepreference/", "back_up", rows)

    assert told == "2 backups have begun."
    assert set(Plan.objects.values_list("kind", "user__username")) == {
        ("backup", "alice"),
        ("backup", "bob"),
    }


@pytest.mark.browser
def test_the_page_is_read_by_everybody(
    transactional_db: None, signed_in_page: Callable[..., Page], screenshot: Screenshot
) -> None:
    people, engines = make_people(), make_engines()
    use_engine(people.alice, engines.old)
    Conversation.objects.create(user=people.alice, title="Notes")
    for size in (18_400_000, 17_900_000, 2_100_000):
        backup = keep_backup(people, engines)
        Backup.objects.filter(pk=backup.pk).update(file_size=size)
    Plan.objects.filter(backup=backup).update(
        status=PlanStatus.COMPLETED, retention_until=timezone.now() + timedelta(days=3)
    )
    page = signed_in_page(people.alice, bypass_csp=True, reduced_motion="reduce")
    page.goto(ADDRESS)
    assert_accessible(page)
    screenshot(page, "backups-light")
    page.get_by_role("link", name="Put it back…").first.click()
    expect(page.get_by_role("heading", name="What it means")).to_be_visible()
    assert_accessible(page)
    screenshot(page, "backup-restore-light")
    page.set_viewport_size(PHONE)
    assert_fits(page)
    page.goto(ADDRESS)
    assert_fits(page)
