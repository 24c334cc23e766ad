"""Talk to embedded servers the way SAM does, and as those who own them."""

from __future__ import annotations

from typing import LiteralString

import psycopg
from redis import Redis

from samproject.endpoints import embedded_redis_url
from samproject.supervisor.locations import Locations
from samproject.supervisor.redis import ADMIN
from samproject.supervisor.roles import OWNER


def run(locations: Locations, query: LiteralString, *values: str) -> list[tuple[object, ...]]:
    with psycopg.connect(
        host=str(locations.postgres_sockets),
        user="sam",
        password=locations.postgres_password.read_text(),
        dbname="sam",
        autocommit=True,
    ) as connection:
        cursor = connection.execute(query, values)
        return [] if cursor.description is None else cursor.fetchall()


def remember(locations: Locations, word: str) -> None:
    run(locations, "CREATE TABLE IF NOT EXISTS memory (word text)")
    run(locations, "INSERT INTO memory VALUES (%s)", word)


def remembered(locations: Locations) -> list[object]:
    return [row[0] for row in run(locations, "SELECT word FROM memory")]


def owner_connection(locations: Locations) -> psycopg.Connection[tuple[object, ...]]:
    """As the supervisor's operating-system user, who alone becomes the owner."""
    return psycopg.connect(
        host=str(locations.postgres_sockets), user=OWNER, dbname="postgres", autocommit=True
    )


def redis_of(locations: Locations) -> Redis:
    return Redis.from_url(embedded_redis_url(locations, locations.redis_password.read_text()))


def redis_admin_url(locations: Locations) -> str:
    return embedded_redis_url(locations, locations.redis_admin_password.read_text(), ADMIN)
