"""What a person does in a browser, through Django's client."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.core.mail import EmailMessage
from django.test import Client

from tests.api.roles import PASSWORD

LOGIN = "/accounts/login/"
ADDRESS = re.compile(r"https?://\S+")
FORM_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="[^"]*"')


@dataclass(frozen=True)
class Browser:
    """One browser with its cookies."""

    client: Client

    def sign_in(self, login: str, password: str = PASSWORD, **more: str) -> Any:
        return self.client.post(LOGIN, {"login": login, "password": password, **more})

    def is_signed_in(self) -> bool:
        return SESSION_KEY in self.client.session

    def reads_me(self) -> bool:
        """Whether the session opens the API."""
        return bool(self.client.get("/api/v1/me").status_code == 200)


def shown(answer: Any) -> str:
    """Return a page's text as it is read, without what differs each time."""
    return html.unescape(FORM_TOKEN.sub("", answer.content.decode()))


def link_in(mail: EmailMessage) -> str:
    """Return the path and query of the first address of a mail."""
    found = ADDRESS.search(str(mail.body))
    assert found is not None, mail.body
    return "/" + found[0].split("/", 3)[3]
