"""``manage.py role``: who is curator, operator or administrator."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.core.management.base import CommandParser

from engines.services.people.roles import ROLES, set_roles
from migrations_app.management.console import ActionCommand, person


class Command(ActionCommand):
    help = "Roles of people; a name that is no role is refused."
    actions_help = {
        "grant": "Give a person a role.",
        "revoke": "Take a role from a person.",
        "list": "Show who has which role.",
    }

    def _person_and_role(self, parser: CommandParser) -> None:
        parser.add_argument("user", type=person)
        parser.add_argument("role", choices=sorted(ROLES))

    arguments_grant = arguments_revoke = _person_and_role

    def do_grant(self, user: User, role: str) -> None:
        set_roles(user, {*_roles_of(user), role})
        staff = "" if user.is_staff else " Without staff status they do not enter the admin."
        self.say(f"{user.username} is {role} now.{staff}")

    def do_revoke(self, user: User, role: str) -> None:
        set_roles(user, set(_roles_of(user)) - {role})
        self.say(f"{user.username} is not {role} any more.")

    def do_list(self) -> None:
        people = User.objects.filter(groups__name__in=ROLES).distinct().order_by("username")
        self.table(["person", "roles"], [(p.username, ", ".join(_roles_of(p))) for p in people])


def _roles_of(user: User) -> list[str]:
    held = user.groups.filter(name__in=ROLES).order_by("name")
    return list(held.values_list("name", flat=True))
