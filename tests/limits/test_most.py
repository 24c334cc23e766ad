"""How many things one person may keep."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from pytest_django.fixtures import Settings

from engines.files.artifacts import ArtifactStore
from engines.models import Document, KnowledgeBase, LoraAdapter
from engines.services.knowledge.documents import add_document, create_base
from engines.services.people.adapters import store_adapter
from engines.services.people.limits import LimitReachedError
from tests.api.roles import People, client_of, make_engines, problem


@pytest.fixture(autouse=True)
def two_of_each(settings: Settings) -> None:
    settings.SAM_MAX = {"adapters": 2, "bases": 2, "documents": 2}


def test_documents_of_all_bases_of_a_person_count_together(people: People) -> None:
    first, second = (create_base(owner=people.alice, name=name) for name in ("a", "b"))
    add_document(first.pk, title="1", text="one")
    add_document(second.pk, title="2", text="two")

    body = {"title": "3", "text": "three"}
    answer = client_of(people.alice).post(
        f"/api/v1/knowledge-bases/{first.pk}/documents", body, format="json"
    )

    assert "SAM_MAX_DOCUMENTS" in problem(answer, 409, "limit_reached")["detail"]
    assert Document.objects.count() == 2
    of_bob = create_base(owner=people.bob, name="c")
    add_document(of_bob.pk, title="1", text="one")


def test_a_groups_base_counts_by_itself(people: People) -> None:
    group = Group.objects.create(name="team")
    bases = [create_base(group=group, name=name) for name in "abc"]
    for base in bases:
        for number in range(2):
            add_document(base.pk, title=str(number), text="text")

    with pytest.raises(LimitReachedError):
        add_document(bases[0].pk, title="3", text="text")


def test_bases_of_a_person_are_bounded(people: People) -> None:
    client = client_of(people.alice)
    made = [client.post("/api/v1/knowledge-bases", {"name": name}, format="json") for name in "abc"]

    assert [answer.status_code for answer in made] == [201, 201, 409]
    assert KnowledgeBase.objects.count() == 2


def test_adapters_of_a_person_are_bounded_before_a_file_is_read(
    people: People, tmp_path: Path
) -> None:
    revision = make_engines().old.current_revision
    assert revision is not None
    for number in range(2):
        LoraAdapter.objects.create(
            user=people.alice,
            name=f"a{number}",
            base_revision=revision,
            artifact_key="k",
            sha256="a",
            file_size=1,
        )

    store = ArtifactStore(f"file://{tmp_path}")
    with pytest.raises(LimitReachedError, match="SAM_MAX_ADAPTERS"):
        store_adapter(people.alice, "one more", revision, tmp_path / "not read", store)

    assert LoraAdapter.objects.count() == 2
