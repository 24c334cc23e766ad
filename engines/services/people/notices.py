"""Telling people: one function writes what is shown and what is mailed, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.utils import timezone

from engines.db.clock import ClockTimestamp
from engines.exceptions import InvalidRequestError, NotFoundError
from engines.models import Notice, NoticeChoice, NoticeKind, OutgoingMail
from engines.services.people.roles import is_operator

TITLE_CHARS = 200
KEPT_DAYS = 90


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody is told; ``link`` is a path of ours."""

    kind: NoticeKind
    title: str
    text: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Channels:
    """How a person is told of a kind."""

    on_page: bool = True
    by_email: bool = True


def notify(people: Iterable[User], message: Message) -> None:
    """Tell people, each as they chose; nothing is sent before the caller's transaction commits."""
    told = [person for person in people if person.is_active]
    if not told:
        return
    chosen = {
        choice.user_id: Channels(choice.on_page, choice.by_email)
        for choice in NoticeChoice.objects.filter(user__in=told, kind=message.kind)
    }
    title = _one_line(message.title)
    by = {person: chosen.get(person.pk, Channels()) for person in told}
    Notice.objects.bulk_create(
        Notice(user=p, kind=message.kind, title=title, text=message.text, link=message.link)
        for p, channels in by.items()
        if channels.on_page
    )
    OutgoingMail.objects.bulk_create(
        OutgoingMail(user=p, subject=title, text=message.text, link=message.link)
        for p, channels in by.items()
        if channels.by_email and p.email
    )


def notices_of(user: User) -> QuerySet[Notice]:
    """Return what a person was told, the newest first."""
    return Notice.objects.filter(user=user).order_by("-id")


def count_unread(user: User) -> int:
    """Return how much a person has not read."""
    return Notice.objects.filter(user=user, read_at=None).count()


def mark_read(user: User, notice_id: int) -> Notice:
    """Mark one notice as read, which it may be already; NotFoundError when it is not the person's."""
    Notice.objects.filter(user=user, pk=notice_id, read_at=None).update(read_at=ClockTimestamp())
    notice = Notice.objects.filter(user=user, pk=notice_id).first()
    if notice is None:
        raise NotFoundError("There is no such notice.")
    return notice


def mark_all_read(user: User) -> int:
    """Mark everything as read; returns how much was not."""
    return Notice.objects.filter(user=user, read_at=None).update(read_at=ClockTimestamp())


def choices_of(user: User) -> dict[NoticeKind, Channels]:
    """Return how a person is told of each kind that concerns them."""
    chosen = {choice.kind: choice for choice in NoticeChoice.objects.filter(user=user)}
    kinds = [k for k in NoticeKind if k != NoticeKind.OPERATOR_NEEDED or is_operator(user)]
    return {
        kind: Channels(chosen[kind].on_page, chosen[kind].by_email)
        if kind in chosen
        else Channels()
        for kind in kinds
    }


def set_choices(user: User, wanted: Mapping[str, Channels]) -> None:
    """Set how a person is told of some kinds; InvalidRequestError for a kind there is not."""
    unknown = sorted(set(wanted) - set(choices_of(user)))
    if unknown:
        raise InvalidRequestError(f"There is no notice {unknown[0]!r:.80}.")
    NoticeChoice.objects.bulk_create(
        [
            NoticeChoice(user=user, kind=kind, on_page=c.on_page, by_email=c.by_email)
            for kind, c in sorted(wanted.items())
        ],
        update_conflicts=True,
        unique_fields=["user", "kind"],
        update_fields=["on_page", "by_email"],
    )


def forget_old_notices() -> int:
    """Remove what was told long ago; returns how much."""
    before = timezone.now() - timedelta(days=KEPT_DAYS)
    return Notice.objects.filter(created_at__lt=before).delete()[0]


def _one_line(title: str) -> str:
    """Return a title that can be a mail's subject: no line of it becomes a header."""
    return " ".join(title.split())[:TITLE_CHARS]
