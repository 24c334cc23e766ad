"""Roles and lock-outs on the command line."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.api.roles import People


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, stderr=out)
    return out.getvalue()


def test_a_name_without_failures_is_told(people: People) -> None:
    assert "no failed sign-ins" in run("unlock", "alice")


def test_roles_are_granted_shown_and_revoked_and_a_misspelt_one_is_refused(people: People) -> None:
    assert run("role", "grant", "bob", "curator") == (
        "bob is curator now. Without staff status they do not enter the admin.\n"
    )
    assert "bob" in run("role", "list")
    with pytest.raises(CommandError, match="invalid choice: 'curater'"):
        run("role", "grant", "bob", "curater")

    run("role", "revoke", "bob", "curator")

    assert not people.bob.groups.exists()
