"""Mails to people on their way: claimed, sent, and gone; never sent by two at once."""

from __future__ import annotations

import logging
from smtplib import SMTPException
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.db.models import F

from engines.db.clock import ClockTimestamp, seconds_from_now
from engines.models import OutgoingMail

logger = logging.getLogger(__name__)

BATCH = 50
MAX_ATTEMPTS = 10
FIRST_WAIT_SECONDS = 60.0
"""How long a sender has for its batch; then another takes over. It doubles with each attempt."""
MAX_WAIT_SECONDS = 6 * 3600.0
PREFIX = "SAM: "


def has_due_mail() -> bool:
    """Whether a mail waits to be sent now."""
    return OutgoingMail.objects.filter(due_at__lte=ClockTimestamp()).exists()


def send_due_mails() -> str:
    """Send what is due; a mail that the server refuses comes again later. Returns a sentence."""
    claimed = _claim()
    if not claimed:
        return "No mail is due."
    connection = get_connection()
    sent = 0
    try:
        for mail in claimed:
            sent += _send(mail, connection)
    finally:
        connection.close()
    return f"{sent} of {len(claimed)} mails sent."


def _claim() -> list[OutgoingMail]:
    """Take due mails by putting off when they are due again; no lock is held while they are sent."""
    with transaction.atomic():
        due = OutgoingMail.objects.select_for_update(skip_locked=True, of=("self",))
        mails = list(
            due.filter(due_at__lte=ClockTimestamp()).select_related("user").order_by("pk")[:BATCH]
        )
        for mail in mails:
            wait = min(FIRST_WAIT_SECONDS * 2**mail.attempts, MAX_WAIT_SECONDS)
            OutgoingMail.objects.filter(pk=mail.pk).update(
                attempts=F("attempts") + 1, due_at=seconds_from_now(wait)
            )
    return mails


def _send(mail: OutgoingMail, connection: BaseEmailBackend) -> bool:
    person = mail.user
    if not (person.is_active and person.email):
        mail.delete()
        return False
    try:
        _message(mail, connection).send()
    except (OSError, SMTPException, ValueError) as error:
        # A ValueError is a header that cannot be: an address with a line break, say.
        _put_off(mail, error)
        return False
    mail.delete()
    return True


def _put_off(mail: OutgoingMail, error: Exception) -> None:
    """Leave the mail for later, or give it up."""
    # The server's words may hold the address; only their kind is kept.
    sentence = type(error).__name__
    if mail.attempts + 1 >= MAX_ATTEMPTS:
        logger.error("Mail %s is given up after %s attempts: %s", mail.pk, MAX_ATTEMPTS, sentence)
        mail.delete()
        return
    logger.warning("Mail %s was not sent and comes again: %s", mail.pk, sentence)
    OutgoingMail.objects.filter(pk=mail.pk).update(error=sentence)


def _message(mail: OutgoingMail, connection: BaseEmailBackend) -> EmailMessage:
    origin = settings.SAM_ORIGIN
    link = f"{origin}{mail.link}" if mail.link else ""
    choices = f"--\nYou choose what SAM tells you by e-mail: {origin}/settings/preferences/"
    parts = [f"{mail.subject}.", mail.text, link, choices]
    return EmailMessage(
        f"{PREFIX}{mail.subject}",
        "\n\n".join(part for part in parts if part) + "\n",
        to=[mail.user.email],
        headers={
            "Message-ID": f"<{mail.message_id}@{urlsplit(origin).hostname or 'sam'}>",
            "Auto-Submitted": "auto-generated",
        },
        connection=connection,
    )
