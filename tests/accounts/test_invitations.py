"""Invitations: once, for a while, with groups; refused ones make nobody."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.models import Group, User
from django.core import mail
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from engines.models import Invitation
from samproject.cli.errors import CommandError
from tests.accounts.browser import Browser, link_in, shown
from tests.admin.test_admin import act, signed_in
from tests.api.roles import People, client_of, problem
from tests.sam_command import run_sam

INVITATIONS, JOIN = "/api/v1/invitations", "/join/"
ADDRESS, PASSWORD = "eve@example.org", "chosen by eve herself"


@pytest.fixture
def adam(people: People) -> APIClient:
    Group.objects.create(name="research")
    return client_of(people.administrator)


def invite(adam: APIClient, **fields: Any) -> dict[str, Any]:
    answer = adam.post(INVITATIONS, {"email": ADDRESS, **fields}, format="json")
    assert answer.status_code == 201, answer.content
    made: dict[str, Any] = answer.json()
    return made


def path_of(link: str) -> str:
    return "/" + link.split("/", 3)[3]


def accept(path: str, name: str = "eve", password: str = PASSWORD) -> Browser:
    browser = Browser(Client())
    browser.client.get(path, follow=True)
    chosen = {"username": name, "password": password, "again": password}
    browser.client.post(JOIN, chosen)
    return browser


def test_an_invited_person_comes_in_with_groups(adam: APIClient) -> None:
    made = invite(adam, groups=["research", "operator"])

    browser = accept(link_in(mail.outbox[0]))

    eve = User.objects.get(username="eve")
    assert browser.reads_me()
    assert (eve.email, eve.is_staff, eve.check_password(PASSWORD)) == (ADDRESS, True, True)
    assert set(eve.groups.values_list("name", flat=True)) == {"research", "operator"}
    assert EmailAddress.objects.get(user=eve).verified
    assert made["mailed"] is True
    assert mail.outbox[0].to == [ADDRESS]


def test_the_key_is_kept_nowhere_and_told_once(adam: APIClient) -> None:
    made = invite(adam)
    key = made["link"].split("key=")[1]

    later = adam.get(f"{INVITATIONS}/{made['id']}").json()

    assert "link" not in later
    assert key not in str(adam.get(INVITATIONS).json())
    assert key not in str(list(Invitation.objects.values()))


def test_a_link_works_once(adam: APIClient) -> None:
    path = path_of(invite(adam)["link"])
    accept(path)
    before = User.objects.count()

    second = accept(path, "mallory")

    assert not second.is_signed_in()
    assert User.objects.count() == before
    assert Browser(Client()).client.get(path, follow=True).status_code == 404


@pytest.mark.parametrize("way", ["expired", "revoked", "cut", "invited again"])
def test_a_link_that_ended_makes_nobody(adam: APIClient, way: str) -> None:
    made = invite(adam)
    path = path_of(made["link"])
    if way == "expired":
        Invitation.objects.update(expires_at=timezone.now())
    elif way == "revoked":
        assert adam.delete(f"{INVITATIONS}/{made['id']}").status_code == 204
    elif way == "cut":
        path = path[:-3]
    else:
        invite(adam)
    before = User.objects.count()

    browser = accept(path)

    page = browser.client.get(JOIN)
    assert page.status_code == 404
    assert "not open any more" in shown(page)
    assert User.objects.count() == before
    assert not browser.is_signed_in()


@pytest.mark.parametrize(
    ("name", "password"),
    [("alice", PASSWORD), ("ALICE", PASSWORD), ("a b", PASSWORD), ("eve", "short"), ("", PASSWORD)],
)
def test_a_name_or_password_that_cannot_be_leaves_it_open(
    adam: APIClient, name: str, password: str
) -> None:
    path = path_of(invite(adam)["link"])
    before = User.objects.count()

    browser = accept(path, name, password)

    assert not browser.is_signed_in()
    assert User.objects.count() == before
    assert accept(path).is_signed_in()


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"email": "no address"}, 400),
        ({"email": "Alice@example.org"}, 409),
        ({"groups": ["unknown"]}, 400),
        ({"days": 0}, 400),
        ({"days": 91}, 400),
        ({"email": "eve@example.org\nBcc: all@example.org"}, 400),
    ],
)
def test_what_cannot_be_invited_is_refused(
    adam: APIClient, fields: dict[str, Any], status: int
) -> None:
    answer = adam.post(INVITATIONS, {"email": ADDRESS, **fields}, format="json")

    assert answer.status_code == status
    assert not Invitation.objects.exists()
    assert not mail.outbox


@pytest.mark.parametrize("role", ["alice", "curator", "operator"])
def test_only_an_administrator_invites(people: People, role: str) -> None:
    client = client_of(getattr(people, role))

    problem(client.post(INVITATIONS, {"email": ADDRESS}, format="json"), 403, "permission_denied")
    problem(client.get(INVITATIONS), 403, "permission_denied")
    assert not Invitation.objects.exists()


def test_a_used_invitation_is_not_ended_but_the_person_deactivated(adam: APIClient) -> None:
    made = invite(adam)
    accept(path_of(made["link"]))

    problem(adam.delete(f"{INVITATIONS}/{made['id']}"), 409, "conflict")


def test_when_the_mail_server_is_away_the_link_is_handed_over(
    adam: APIClient, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1

    made = invite(adam)

    assert made["mailed"] is False
    assert accept(path_of(made["link"])).is_signed_in()


def test_without_a_mail_server_nothing_is_said_to_be_mailed_and_no_link_is_written_out(
    adam: APIClient, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

    made = invite(adam)

    assert made["mailed"] is False
    assert "join" not in capsys.readouterr().out
    assert accept(path_of(made["link"])).is_signed_in()


def test_the_link_has_the_configured_origin(adam: APIClient, settings: Settings) -> None:
    settings.SAM_ORIGIN, settings.ALLOWED_HOSTS = "https://sam.example.org", ["*"]

    answer = adam.post(
        INVITATIONS, {"email": ADDRESS}, format="json", headers={"Host": "evil.example"}
    )

    assert answer.json()["link"].startswith("https://sam.example.org/join/?key=")
    assert "evil.example" not in str(mail.outbox[0].message())


def test_the_admin_invites_lists_and_ends(people: People) -> None:
    User.objects.filter(pk=people.administrator.pk).update(is_staff=True)
    client = signed_in(people.administrator)
    pages = "/admin/engines/invitation/"

    made = client.post(f"{pages}add/", {"email": ADDRESS, "days": 3}, follow=True)
    assert "/join/?key=" in shown(made)
    refused = client.post(f"{pages}add/", {"email": "alice@example.org", "days": 3}, follow=True)
    assert "nobody was invited" in shown(refused)
    assert Invitation.objects.count() == 1

    assert act(client, pages, "revoke", list(Invitation.objects.all())) == f"{ADDRESS}: ended."
    assert not accept(link_in(mail.outbox[0])).is_signed_in()


def test_the_command_invites_and_ends(people: People) -> None:
    link = run_sam("people", "invite", ADDRESS, "--group", "curator").strip().splitlines()[-1]
    assert ADDRESS in run_sam("people", "invitations")

    run_sam("people", "revoke", str(Invitation.objects.get().pk))

    assert not accept(path_of(link)).is_signed_in()
    with pytest.raises(CommandError, match="There is no group"):
        run_sam("people", "invite", ADDRESS, "--group", "unknown")
