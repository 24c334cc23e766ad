"""A catalog as an organisation has it, and clients in which its people are signed in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.api.roles import Engines, People
from tests.pages.wizard.library import furnish


@pytest.fixture
def catalog(people: People, engines: Engines) -> Engines:
    """The engines, named and measured; Alice has the old one."""
    furnish(people, engines)
    return engines


@pytest.fixture
def visit(catalog: Engines, visit: Callable[[User], Client]) -> Callable[[User], Client]:
    """The same, with the catalog there."""
    return visit
