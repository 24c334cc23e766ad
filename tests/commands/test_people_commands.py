"""Who comes, who leaves and who may do what, on the command line."""

from __future__ import annotations

import json
import re

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client
from redis import Redis
from rest_framework.test import APIClient

from engines.models import Invitation
from samproject.cli.errors import CommandError
from tests.api.roles import PASSWORD, People
from tests.sam_command import run_sam


def test_roles_are_granted_shown_and_revoked_and_a_misspelt_one_is_refused(people: People) -> None:
    assert run_sam("role", "grant", "bob", "curator") == (
        "bob is curator now. Without staff status they do not enter the admin.\n"
    )
    assert run_sam("people", "roles", "bob") == "curator\n"
    assert "bob" in run_sam("role", "list")
    with pytest.raises(CommandError, match="'curater' is not one of"):
        run_sam("role", "grant", "bob", "curater")
    assert run_sam("people", "roles", "bob") == "curator\n"

    run_sam("role", "revoke", "bob", "curator")

    assert not people.bob.groups.exists()
    assert "bob" not in run_sam("role", "list")


def test_somebody_is_invited_and_comes_in_by_the_printed_link(people: People) -> None:
    said = run_sam("people", "invite", "grace@example.org", "--group", "curator", "--days", "3")
    assert "The link works once, and was mailed:" in said
    link = said.splitlines()[-1]
    assert "grace@example.org" in run_sam("people", "invitations")

    page = Client().get(re.sub(r"^https?://[^/]+", "", link), follow=True)

    assert "An administrator invited grace@example.org." in page.content.decode()
    assert str(mail.outbox[0].body).startswith("An administrator invites you to SAM.")
    with pytest.raises(CommandError, match="There is no group 'nobodies'"):
        run_sam("people", "invite", "x@example.org", "--group", "nobodies")
    assert [row.email for row in Invitation.objects.all()] == ["grace@example.org"]
    assert Invitation.objects.get().who == "system"


def test_who_is_invited_again_has_one_link_and_the_inviter_is_told(people: People) -> None:
    ended = "The link that this address had before is ended."
    first = run_sam("people", "invite", "grace@example.org")

    again = run_sam("people", "invite", "Grace@example.org")

    assert ended not in first
    assert again.startswith(f"{ended}\nThe link works once")
    assert "/join/?key=" in again.splitlines()[-1]


def test_a_quota_of_everybody_that_is_not_there_is_said_in_words(people: People) -> None:
    with pytest.raises(CommandError, match=r"^There is no quota of everybody, or"):
        run_sam("usage", "unlimit")


def test_an_invitation_is_ended(people: People) -> None:
    run_sam("people", "invite", "grace@example.org")
    (row,) = json.loads(run_sam("people", "invitations", "--json"))

    assert run_sam("people", "revoke", str(row["id"]), "--json") == "null\n"

    assert json.loads(run_sam("people", "invitations", "--json")) == []
    with pytest.raises(CommandError, match="no such invitation"):
        run_sam("people", "revoke", "999")


def test_a_person_is_deactivated_let_in_again_and_deleted(people: People) -> None:
    run_sam("people", "deactivate", "bob")
    assert "deactivated" in run_sam("people", "list")
    assert not User.objects.get(username="bob").is_active
    run_sam("people", "reactivate", "bob")
    assert User.objects.get(username="bob").is_active

    with pytest.raises(CommandError, match="Nothing was deleted"):
        run_sam("people", "delete", "bob", answers="n\n")
    assert User.objects.filter(username="bob").exists()
    run_sam("people", "delete", "bob", answers="y\n")
    assert not User.objects.filter(username="bob").exists()
    with pytest.raises(CommandError, match="There is no person bob"):
        run_sam("people", "delete", "bob", "--yes")


def test_the_last_administrator_stays(people: People) -> None:
    for arguments in (
        ("role", "revoke", "adam", "administrator"),
        ("people", "deactivate", "adam"),
        ("people", "delete", "adam", "--yes"),
    ):
        with pytest.raises(CommandError, match="adam is the only administrator"):
            run_sam(*arguments)

    adam = User.objects.get(username="adam")
    assert (adam.is_active, run_sam("people", "roles", "adam")) == (True, "administrator\n")


def test_who_is_locked_out_is_let_in_and_a_lost_second_factor_is_taken_away(
    people: People, redis_client: Redis
) -> None:
    assert run_sam("unlock", "alice") == "There were no failed sign-ins.\n"
    asked = {"username": "alice", "password": "wrong"}
    for _ in range(30):
        APIClient().post("/api/v1/tokens", asked, format="json")
    right = {**asked, "password": PASSWORD}
    assert APIClient().post("/api/v1/tokens", right, format="json").status_code == 429
    Authenticator.objects.create(user=people.alice, type="totp", data={"secret": "x"})

    assert run_sam("people", "unlock", "alice") == "Unlocked.\n"
    assert run_sam("people", "remove-second-factor", "alice") == "The second factor is removed.\n"

    assert run_sam("people", "remove-second-factor", "alice") == "There was no second factor.\n"
    assert not Authenticator.objects.exists()


def test_only_an_administrator_does_any_of_it(people: People) -> None:
    for arguments in (
        ("role", "grant", "oscar", "administrator"),
        ("people", "deactivate", "bob"),
        ("people", "delete", "bob", "--yes"),
        ("people", "list"),
        ("unlock", "bob"),
    ):
        with pytest.raises(CommandError, match="Only an administrator"):
            run_sam(*arguments, "--user", "oscar")

    assert run_sam("people", "roles", "oscar") == "operator\n"
    assert User.objects.get(username="bob").is_active
