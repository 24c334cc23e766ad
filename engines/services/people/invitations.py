"""Inviting people: a key that opens the door once, for one address, for some days."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from allauth.account.models import EmailAddress
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from engines.db.clock import ClockTimestamp, seconds_from_now
from engines.exceptions import ConflictError, InvalidRequestError, NotFoundError
from engines.models import Invitation
from engines.services.people.roles import ROLES

DEFAULT_DAYS = 7
MAX_DAYS = 90
KEY_BYTES = 32
NOT_OPEN = (
    "This invitation is not open any more: it was used, ended or is too old. Ask whoever invited you "
    "for a new one."
)


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """An invitation just made; ``key`` is known now and never again."""

    key: str
    invitation: Invitation


def invite_person(
    email: str, *, groups: Iterable[str] = (), who: str, days: int = DEFAULT_DAYS
) -> NewInvitation:
    """Make an invitation; an earlier open one of the same address ends.

    Raises InvalidRequestError for what is no address, group or number of days, ConflictError when the
    address is a person's already.
    """
    address = _parse_address(email)
    if not 0 < days <= MAX_DAYS:
        raise InvalidRequestError(f"An invitation is open 1 to {MAX_DAYS} days, not {days}.")
    chosen = _find_groups(set(groups))
    if find_by_address(address).exists():
        raise ConflictError(f"{address} is the address of a person already; nobody was invited.")
    key = secrets.token_urlsafe(KEY_BYTES)
    with transaction.atomic():
        open_invitations().filter(email__iexact=address).update(revoked_at=ClockTimestamp())
        invitation = Invitation.objects.create(
            email=address,
            key_sha256=_hash(key),
            who=who,
            expires_at=seconds_from_now(timedelta(days=days).total_seconds()),
        )
        invitation.groups.set(chosen)
    invitation.refresh_from_db()
    return NewInvitation(key, invitation)


def open_invitations() -> QuerySet[Invitation]:
    """Return the invitations that can still be accepted."""
    unended = Invitation.objects.filter(used_at=None, revoked_at=None)
    return unended.filter(expires_at__gt=ClockTimestamp())


def find_invitation(key: str) -> Invitation:
    """Return the open invitation of a key; NotFoundError tells nothing of why there is none."""
    invitation = open_invitations().filter(key_sha256=_hash(key)).first()
    if invitation is None:
        raise NotFoundError(NOT_OPEN)
    return invitation


def accept_invitation(key: str, *, username: str, password: str) -> User:
    """Make the person of an invitation, which is spent; NotFoundError, ConflictError for a name taken.

    Name and password were judged by the caller's form. Two that accept at once take turns: the second
    finds it spent.
    """
    try:
        with transaction.atomic():
            held = open_invitations().select_for_update(no_key=True)
            invitation = held.filter(key_sha256=_hash(key)).first()
            if invitation is None:
                raise NotFoundError(NOT_OPEN)
            if find_by_address(invitation.email).exists():
                raise ConflictError("This address is a person's already; sign in instead.")
            user = User.objects.create_user(username, invitation.email, password)
            # Whoever has the link reads the mails of this address.
            EmailAddress.objects.create(
                user=user, email=invitation.email.lower(), verified=True, primary=True
            )
            _admit(user, invitation)
            return user
    except IntegrityError as error:
        raise ConflictError(f"The user name {username} is taken; choose another.") from error


def has_open_invitation(email: str) -> bool:
    """Whether an address may come in through the organisation's own sign-in."""
    return open_invitations().filter(email__iexact=email).exists()


def accept_for_address(user: User, email: str) -> None:
    """Give a new person what an open invitation of their address holds, and spend it; else nothing."""
    with transaction.atomic():
        held = open_invitations().select_for_update(no_key=True)
        invitation = held.filter(email__iexact=email).first()
        if invitation is not None:
            _admit(user, invitation)


def revoke_invitation(invitation_id: int) -> None:
    """End an open invitation; NotFoundError when there is none, ConflictError when it was used."""
    with transaction.atomic():
        held = Invitation.objects.select_for_update(no_key=True)
        invitation = held.filter(pk=invitation_id).first()
        if invitation is None:
            raise NotFoundError("There is no such invitation.")
        if invitation.used_at is not None:
            raise ConflictError("This invitation was accepted; deactivate the person instead.")
        Invitation.objects.filter(pk=invitation.pk, revoked_at=None).update(
            revoked_at=ClockTimestamp()
        )


def _admit(user: User, invitation: Invitation) -> None:
    """Give a person the groups; with a role comes the right to enter the admin."""
    groups = list(invitation.groups.all())
    user.groups.add(*groups)
    if ROLES & {group.name for group in groups} and not user.is_staff:
        user.is_staff = True
        user.save(update_fields=["is_staff"])
    Invitation.objects.filter(pk=invitation.pk).update(used_at=ClockTimestamp())


def _parse_address(email: str) -> str:
    address = email.strip()
    try:
        validate_email(address)
    except ValidationError as error:
        raise InvalidRequestError(f"{email!r:.80} is no e-mail address.") from error
    return address


def _find_groups(names: set[str]) -> list[Group]:
    known = {group.name: group for group in Group.objects.filter(name__in=names)}
    for role in names & ROLES - known.keys():
        known[role] = Group.objects.get_or_create(name=role)[0]
    unknown = sorted(names - known.keys())
    if unknown:
        raise InvalidRequestError(f"There is no group {unknown[0]!r:.80}; make it first.")
    return list(known.values())


def find_by_address(address: str) -> QuerySet[User]:
    """Return whose an e-mail address is."""
    return User.objects.filter(
        Q(email__iexact=address) | Q(emailaddress__email__iexact=address)
    ).distinct()


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
