"""The people of the demo: an administrator, Ada with her team, and Bob, who must see nothing."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from django.contrib.auth.models import Group, User

from engines.files.durable import durable_file
from engines.services.people.tokens import create_token
from migrations_app.limits.rates import forget_person

TEAM = "readers"
ADMIN = "admin"
ADA = "ada"
PASSWORDS_FILE = "passwords.json"
CHANGED = "as it was changed since"
_PASSWORD_BYTES = 12
_OWNER_ONLY = 0o600


@dataclass(frozen=True, slots=True)
class People:
    """Everybody's API token, and what a newcomer signs in with."""

    admin: str
    ada: str
    bob: str
    passwords: dict[str, str]
    """Of Ada and the administrator; CHANGED for one that was changed in SAM."""


def forget_requests() -> None:
    """Let nobody's first command be refused for the many requests of the proofs."""
    for user_id in User.objects.values_list("pk", flat=True):
        forget_person(user_id)


def ensure_people(folder: Path) -> People:
    """Create whoever is missing; passwords are random, and kept in ``folder`` for their owner alone."""
    team, _ = Group.objects.get_or_create(name=TEAM)
    ada, bob, admin = _person(ADA), _person("bob"), _administrator()
    ada.groups.add(team)
    passwords = _ensure_passwords(folder / PASSWORDS_FILE, [ada, admin])
    return People(_token(admin), _token(ada), _token(bob), passwords)


def _administrator() -> User:
    there = User.objects.filter(username=ADMIN).first()
    return there or User.objects.create_superuser(ADMIN)


def _person(name: str) -> User:
    user = User.objects.filter(username=name).first()
    return user or User.objects.create_user(name)


def _token(user: User) -> str:
    return create_token(user, "demo").key


def _ensure_passwords(file: Path, users: list[User]) -> dict[str, str]:
    """Return everybody's password; who has none in the file gets a new one."""
    kept: dict[str, str] = json.loads(file.read_text()) if file.is_file() else {}
    new = {
        user: secrets.token_urlsafe(_PASSWORD_BYTES) for user in users if user.username not in kept
    }
    if new:
        kept |= {user.username: password for user, password in new.items()}
        # Written first: a password that only the database knows would be nobody's.
        file.parent.mkdir(parents=True, exist_ok=True)
        with durable_file(file, mode=_OWNER_ONLY) as stream:
            stream.write(json.dumps(kept).encode())
    for user, password in new.items():
        user.set_password(password)
        user.save(update_fields=["password"])
    return {
        user.username: kept[user.username] if user.check_password(kept[user.username]) else CHANGED
        for user in users
    }
