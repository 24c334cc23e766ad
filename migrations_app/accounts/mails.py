"""The one mail that is sent at once: an invitation holds a key that is kept nowhere, so it cannot wait."""

from __future__ import annotations

import logging
from smtplib import SMTPException
from urllib.parse import urlencode

from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.console import EmailBackend as ConsoleBackend
from django.urls import reverse

from engines.models import Invitation
from engines.moments import moment_in_words
from engines.services.people.invitations import NewInvitation
from migrations_app.accounts.links import absolute_link
from migrations_app.audit.actor import SYSTEM

logger = logging.getLogger(__name__)

_TEXT = """{who} invites you to SAM.

Choose your user name and password here:

{link}

The link works once, until {until}. If you do not know what this is about, leave it.
"""


def name_inviter(invitation: Invitation) -> str:
    """Return who invited, for who is invited: a command on SAM's own machine has no name that people know."""
    return "An administrator" if invitation.who == SYSTEM else invitation.who


def sends_mail() -> bool:
    """Whether a mail server is named; without one mails are only written to a log."""
    return not isinstance(get_connection(), ConsoleBackend)


def invitation_link(invited: NewInvitation) -> str:
    """Return the address that accepts an invitation; behind the question mark, which no log keeps."""
    return absolute_link(f"{reverse('join')}?{urlencode({'key': invited.key})}")


def send_invitation(invited: NewInvitation) -> bool:
    """Send the link to whom it is for; False when there is no mail server, or it did not take it."""
    if not sends_mail():
        # Written out it would be in a log, or between the lines of a command that prints the link itself.
        return False
    row = invited.invitation
    text = _TEXT.format(
        who=name_inviter(row),
        link=invitation_link(invited),
        until=moment_in_words(row.expires_at),
    )
    message = EmailMessage("SAM: you are invited", text, to=[row.email])
    try:
        message.send()
    except (OSError, SMTPException, ValueError) as error:
        # Its words may hold the address.
        logger.error("An invitation was not sent by e-mail: %s", type(error).__name__)  # noqa: TRY400
        return False
    return True
