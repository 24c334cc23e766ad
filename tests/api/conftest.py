from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from rest_framework.test import APIClient

from tests.api.roles import Engines, People, client_of, make_engines, make_people


@pytest.fixture(autouse=True)
def no_throttle_history() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def people(db: None) -> People:
    return make_people()


@pytest.fixture
def engines(db: None) -> Engines:
    return make_engines()


@pytest.fixture
def alice(people: People) -> APIClient:
    return client_of(people.alice)


@pytest.fixture
def bob(people: People) -> APIClient:
    return client_of(people.bob)


@pytest.fixture
def curator(people: People) -> APIClient:
    return client_of(people.curator)


@pytest.fixture
def operator(people: People) -> APIClient:
    return client_of(people.operator)
