from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from engines.models import KnowledgeBase
from engines.services.knowledge.documents import add_document, create_base
from tests.api.roles import People

FACTS = {"dimension": 384, "max_tokens": 256}
"""Of a small embedder."""


@pytest.fixture
def alice(people: People, visit: Callable[[User], Client]) -> Client:
    return visit(people.alice)


@pytest.fixture
def base(people: People) -> KnowledgeBase:
    return create_base(owner=people.alice, name="Notes")


@pytest.fixture
def shared(people: People) -> KnowledgeBase:
    """A base of a group in which Alice is."""
    group, _ = Group.objects.get_or_create(name="research")
    people.alice.groups.add(group)
    made = create_base(group=group, name="Shared")
    add_document(made.pk, title="Rules", text="Samples are kept for six months.")
    return made
