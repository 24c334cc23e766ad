"""Alice with an engine, another one to move to, and browsers without a browser: Django's own client."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from migrations_app.controller import MigrationController
from migrations_app.models import Plan
from tests.api.roles import Engines, People, use_engine

NEW = "qwen-4b"


@pytest.fixture
def alice(people: People, engines: Engines, visit: Callable[[User], Client]) -> Client:
    use_engine(people.alice, engines.old)
    return visit(people.alice)


@pytest.fixture
def draft(alice: Client, people: People) -> Plan:
    """Alice's plan, made and not confirmed."""
    plan_id = MigrationController().create_migration_plan(
        "current", NEW, people.alice.pk, actor=people.alice
    )
    return Plan.objects.get(pk=plan_id)
