"""A person's signed-in browsers: listed, ended one by one or all."""

from __future__ import annotations

from allauth.usersessions.models import UserSession
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.utils import timezone

from engines.exceptions import NotFoundError


def list_sessions(user: User) -> list[UserSession]:
    """Return the living sessions, the last used first; those that ended are forgotten."""
    rows = list(UserSession.objects.filter(user=user).order_by("-last_seen_at", "-pk"))
    keys = [row.session_key for row in rows]
    living = set(
        Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now()).values_list(
            "session_key", flat=True
        )
    )
    return [row for row in rows if row.session_key in living]


def end_session(user: User, session_id: int) -> None:
    """End one session of a person; NotFoundError when there is none."""
    row = UserSession.objects.filter(user=user, pk=session_id).first()
    if row is None:
        raise NotFoundError("There is no such session.")
    Session.objects.filter(session_key=row.session_key).delete()
    row.delete()


def end_sessions(user: User, *, keep: str = "") -> int:
    """End all sessions of a person, but for the one of a key; returns how many.

    Also sessions that no list knows, such as those of an earlier SAM: each is opened to see whose it is.
    """
    living = Session.objects.filter(expire_date__gt=timezone.now()).exclude(session_key=keep)
    mine = [
        session.session_key
        for session in living.iterator(chunk_size=500)
        if session.get_decoded().get(SESSION_KEY) == str(user.pk)
    ]
    UserSession.objects.filter(user=user).exclude(session_key=keep).delete()
    return Session.objects.filter(session_key__in=mine).delete()[0]
