"""``manage.py people``: who comes and who leaves."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandParser

from engines.services.people.invitations import (
    DEFAULT_DAYS,
    invite_person,
    open_invitations,
    revoke_invitation,
)
from migrations_app.accounts.mails import invitation_link, send_invitation
from migrations_app.accounts.second_factor import remove_factors
from migrations_app.management.console import ActionCommand, person
from migrations_app.people import deactivate_person, reactivate_person

WHO = "command line"


class Command(ActionCommand):
    help = "People: invited, deactivated, let in again."
    actions_help = {
        "list": "Show everybody.",
        "invite": "Invite somebody by e-mail; prints the link as well.",
        "invitations": "Show the invitations that are open.",
        "revoke": "End an open invitation.",
        "deactivate": "Let a person in no more; tokens, sessions and open plans end.",
        "reactivate": "Let a person in again.",
        "remove-second-factor": "For who lost the telephone and the recovery codes.",
    }

    def _person(self, parser: CommandParser) -> None:
        parser.add_argument("user", type=person)

    arguments_deactivate = arguments_reactivate = arguments_remove_second_factor = _person

    def arguments_invite(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument(
            "--group",
            dest="groups",
            action="append",
            default=[],
            help="A group or role; repeatable.",
        )
        parser.add_argument("--days", type=int, default=DEFAULT_DAYS, help="How long it is open.")

    def arguments_revoke(self, parser: CommandParser) -> None:
        parser.add_argument("invitation", type=int)

    def do_list(self) -> None:
        people = User.objects.prefetch_related("groups").order_by("username")
        self.table(["person", "e-mail", "groups", "last sign-in", "state"], map(_line, people))

    def do_invite(self, email: str, groups: list[str], days: int) -> None:
        made = invite_person(email, groups=groups, who=WHO, days=days)
        mailed = send_invitation(made)
        told = "was mailed" if mailed else "could not be mailed, hand it over yourself"
        self.say(f"The link works once, and {told}:")
        self.say(invitation_link(made))

    def do_invitations(self) -> None:
        rows = open_invitations().prefetch_related("groups")
        self.table(
            ["id", "e-mail", "groups", "by", "until"],
            ((row.pk, row.email, _groups(row), row.who, f"{row.expires_at:%F %T}") for row in rows),
        )

    def do_revoke(self, invitation: int) -> None:
        revoke_invitation(invitation)
        self.say("The invitation is ended.")

    def do_deactivate(self, user: User) -> None:
        deactivate_person(user, who=WHO)
        self.say(f"{user.username} is deactivated.")

    def do_reactivate(self, user: User) -> None:
        reactivate_person(user)
        self.say(f"{user.username} may sign in again.")

    def do_remove_second_factor(self, user: User) -> None:
        removed = remove_factors(user)
        self.say("The second factor is removed." if removed else "There was no second factor.")


def _line(user: User) -> tuple[str, str, str, str, str]:
    seen = f"{user.last_login:%F %T}" if user.last_login else "never"
    state = "active" if user.is_active else "deactivated"
    return user.username, user.email, _groups(user), seen, state


def _groups(row: Any) -> str:
    return ", ".join(sorted(group.name for group in row.groups.all()))
