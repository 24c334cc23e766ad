from __future__ import annotations

from collections.abc import Callable

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from tests.api.conftest import engines, people
from tests.api.roles import People

__all__ = ["engines", "people"]


@pytest.fixture
def visit(people: People) -> Callable[[User], Client]:
    """``visit(user)`` returns a client in which that person is signed in."""

    def sign_in(user: User) -> Client:
        client = Client()
        client.force_login(user, backend=settings.AUTHENTICATION_BACKENDS[0])
        return client

    return sign_in
