"""Of a person who was deleted no word is left in any table, and nothing in the store by the stated deadline."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from psycopg import sql

from engines.models import Embedding, Fingerprint, LoraAdapter, UserPrompts
from engines.services.knowledge.erasure import list_content_hashes
from engines.services.people.conversations import add_message, create_conversation
from migrations_app.collection.collect import collect, own_place
from migrations_app.collection.vectors_and_files import ORPHANED
from migrations_app.models import Backup
from migrations_app.people import delete_person
from tests.invariants.nothing_wrong import assert_nothing_wrong
from tests.plans.conftest import world
from tests.plans.hash_world import HashWorld

__all__ = ["world"]
"""A fixture of another folder."""

WORD = "zygomorphic"
"""In everything the person wrote."""
NAME = "ada-zygon"


def tables_with(word: str) -> list[str]:
    """Return the tables of which some row holds a word in any column."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = [name for (name,) in cursor.fetchall()]
        found = []
        for name in tables:
            query = sql.SQL("SELECT 1 FROM {0} WHERE {0}::text ILIKE %s LIMIT 1")
            cursor.execute(query.format(sql.Identifier(name)), [f"%{word}%"])
            found += [name] if cursor.fetchone() else []
    return sorted(found)


def files_with(world: HashWorld, words: list[bytes]) -> list[str]:
    keys = [file.key for page in world.store.pages() for file in page]
    found = []
    for key in keys:
        with world.store.open(key) as file:
            content = file.read()
        found += [key] if any(word in content for word in words) else []
    return found


@pytest.fixture
def person(world: HashWorld) -> HashWorld:
    """Ada with something of hers everywhere."""
    for page in world.store.pages():
        for file in page:
            world.store.delete(file.key)
    world.user.username = NAME
    world.user.save()
    base = world.base(f"The {WORD} base", f"A {WORD} bridge.", f"A {WORD} violin.")
    plan = world.migrated("new")
    conversation = create_conversation(world.user, title=f"{WORD} talk")
    add_message(conversation, role="user", content=f"What is {WORD}?")
    UserPrompts.objects.create(user=world.user, family="x", system_prompt=f"Be {WORD}.")
    for kind, rows in (("adapters", LoraAdapter), ("backups", Backup)):
        kept = world.store.put_bytes(f"{kind} of {WORD}".encode(), kind=kind)
        shared = {"artifact_key": kept.key, "sha256": kept.sha256, "file_size": kept.size}
        own = (
            {"name": WORD, "base_revision": plan.to_revision}
            if rows is LoraAdapter
            else {"plan": plan, "verified_at": plan.created_at}
        )
        rows._default_manager.create(user=world.user, **shared, **own)
    assert base.documents.count() == 2
    return world


def test_no_word_of_a_deleted_person_is_left(person: HashWorld) -> None:
    base = person.user.knowledge_bases.get()
    hashes = list_content_hashes([base.pk])
    words = [WORD.encode(), *hashes]
    assert len(tables_with(WORD)) > 5
    assert len(files_with(person, words)) == 2

    delete_person(person.user)

    assert tables_with(WORD) == []
    assert tables_with(NAME) == []
    assert files_with(person, words) == []
    assert not Embedding.objects.exists()
    assert [key for page in person.store.pages() for key in page] == []
    assert_nothing_wrong()


def test_an_adapter_that_somebody_stores_just_then_stays_theirs(person: HashWorld) -> None:
    """The other's row is written after the file, and may not be there yet."""
    same = person.store.put_bytes(f"adapters of {WORD}".encode(), kind="adapters")

    delete_person(person.user)

    assert [file.key for page in person.store.pages() for file in page] == [same.key]


def test_what_a_deletion_that_was_cut_short_left_is_gone_by_the_deadline(
    person: HashWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrations_app.people._Remains.erase", lambda *_: None)
    delete_person(person.user)
    assert tables_with(WORD) == []
    assert Embedding.objects.exists()
    assert len([file for page in person.store.pages() for file in page]) > 2

    place = own_place()
    collect(replace(place, now=place.now + ORPHANED + timedelta(hours=1)))

    assert not Embedding.objects.exists()
    assert [key for page in person.store.pages() for key in page] == []
    collect(replace(place, now=place.now + timedelta(days=8)))
    assert not Fingerprint.objects.exists()
    assert_nothing_wrong()
