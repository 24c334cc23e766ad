"""Tokens counted by person and day, and quotas: by service, command and admin."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, connections
from django.test import Client

from engines.exceptions import InvalidRequestError
from engines.models import TokenQuota, TokenUsage
from engines.services.people.usage import (
    QuotaExceededError,
    add_usage,
    check_quota,
    remove_quota,
    set_quota,
    today,
    with_quota,
)
from samproject.cli.errors import CommandError
from tests.sam_command import run_sam


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create(username="ada")


def command(*arguments: str) -> str:
    return run_sam("usage", *arguments)


@pytest.mark.django_db(transaction=True)
def test_answers_that_end_together_are_all_counted() -> None:
    ada = User.objects.create(username="ada")

    def count(number: int) -> None:
        add_usage(ada.pk, number, 1)
        connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(40)))

    usage = TokenUsage.objects.get()
    assert (usage.tokens_in, usage.tokens_out, usage.requests) == (sum(range(40)), 40, 40)


def check(user: User) -> None:
    check_quota(with_quota(User.objects.filter(pk=user.pk), today()).get())


def test_a_person_erased_meanwhile_is_not_counted(ada: User) -> None:
    add_usage(ada.pk + 1, 5, 5)

    assert TokenUsage.objects.count() == 0


def test_without_a_quota_nobody_is_limited(ada: User) -> None:
    add_usage(ada.pk, 10**12, 10**12)

    check(ada)


def test_yesterday_does_not_count(ada: User) -> None:
    set_quota(None, 10)
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    TokenUsage.objects.create(user=ada, day=yesterday, tokens_in=100)

    check(ada)
    add_usage(ada.pk, 4, 6)

    with pytest.raises(QuotaExceededError, match="You used 10 of the 10 tokens") as caught:
        check(ada)
    assert 0 < caught.value.seconds <= 86_400


def test_a_quota_is_set_changed_and_taken_away(ada: User) -> None:
    set_quota(ada, 0)
    set_quota(ada, 7)
    set_quota(None, 3)
    remove_quota(ada)

    assert [(q.user, q.tokens_per_day) for q in TokenQuota.objects.all()] == [(None, 3)]


@pytest.mark.parametrize("tokens", [-1, 2**63])
def test_a_quota_out_of_range_is_refused(ada: User, tokens: int) -> None:
    with pytest.raises(InvalidRequestError, match="whole number from 0"):
        set_quota(ada, tokens)

    assert TokenQuota.objects.count() == 0


def test_there_is_one_quota_for_everybody(db: None) -> None:
    TokenQuota.objects.create(tokens_per_day=1)

    with pytest.raises(IntegrityError):
        TokenQuota.objects.create(tokens_per_day=2)


def test_the_command_shows_and_limits(ada: User) -> None:
    add_usage(ada.pk, 120, 34)
    TokenUsage.objects.create(user=ada, day=datetime.now(UTC).date() - timedelta(days=3))

    assert [word for word in command("show", "--days", "1").split() if word.isdigit()] == [
        "120",
        "34",
        "1",
    ]
    assert command("show").count("ada") == 2
    assert command("limit", "500", "--user", "ada") == "ada: 500 tokens a day.\n"
    assert command("limit", "900") == "everybody: 900 tokens a day.\n"
    assert command("unlimit", "--user", "ada") == "ada: no quota of their own.\n"
    assert TokenQuota.objects.get().tokens_per_day == 900


def test_the_command_refuses_with_a_sentence(ada: User) -> None:
    with pytest.raises(CommandError, match="greater than or equal to 0"):
        command("limit", "--", "-5")

    assert TokenQuota.objects.count() == 0


@pytest.mark.parametrize(
    ("role", "reads", "writes"),
    [
        ("", False, False),
        ("curator", False, False),
        ("operator", True, False),
        ("administrator", True, True),
    ],
)
def test_the_admin_shows_usage_to_operators_and_quotas_are_the_administrators(
    ada: User, role: str, reads: bool, writes: bool
) -> None:
    add_usage(ada.pk, 1, 1)
    staff = User.objects.create_user("staff", is_staff=True)
    if role:
        staff.groups.add(Group.objects.get_or_create(name=role)[0])
    client = Client()
    client.force_login(staff)

    listed = client.get("/admin/engines/tokenusage/")
    added = client.post("/admin/engines/tokenquota/add/", {"tokens_per_day": 5})

    assert listed.status_code == (200 if reads else 403)
    assert added.status_code == (302 if writes else 403)
    assert TokenQuota.objects.count() == int(writes)
