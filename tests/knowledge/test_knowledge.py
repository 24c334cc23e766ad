from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from django.contrib.auth.models import Group, User

from engines.exceptions import ConflictError, InvalidRequestError, NotFoundError, SamError
from engines.models import (
    Chunk,
    Document,
    Embedding,
    EngineDefault,
    EnginePreference,
    Fingerprint,
    KnowledgeBase,
    VectorIndex,
)
from engines.reading.limits import MAX_TEXT_BYTES
from engines.runtimes.base import EmbeddingBatch
from engines.services.knowledge.documents import (
    add_document,
    adopt_index,
    create_base,
    delete_base,
    delete_document,
    put_base,
    rename_base,
    update_document,
)
from engines.services.knowledge.hooks import on_knowledge_changed
from engines.services.knowledge.indexes import index_for
from tests.knowledge.hash_embedder import HashEmbedder
from tests.knowledge.world import add, count_missing, live_index, make_base, make_model, make_space

pytestmark = pytest.mark.django_db


@pytest.fixture
def told() -> Iterator[list[int]]:
    ids: list[int] = []
    on_knowledge_changed(ids.append)
    yield ids
    on_knowledge_changed(None)


def rows(base: KnowledgeBase) -> list[tuple[str, int, int | None]]:
    chunks = Chunk.objects.filter(base=base).order_by("pk")
    return list(chunks.values_list("text", "created_seq", "deleted_seq"))


def seq(base: KnowledgeBase) -> int:
    return KnowledgeBase.objects.get(pk=base.pk).write_seq


def test_each_write_takes_the_next_number_and_old_chunks_become_empty_tombstones(
    base: KnowledgeBase,
) -> None:
    document = add(base, "First words.")
    other = add(base, "Other words.")

    update_document(document.pk, text="Second words.")
    delete_document(other.pk)

    assert rows(base) == [("", 1, 3), ("", 2, 4), ("Second words.", 3, None)]
    assert seq(base) == 4
    assert Document.objects.get().text == "Second words."
    assert not Chunk.objects.filter(deleted_seq__isnull=False, document__isnull=False).exists()


def test_the_same_text_again_changes_nothing(base: KnowledgeBase) -> None:
    document = add(base, "First words.")

    update_document(document.pk, text="First words.", media_type="text/plain")

    assert rows(base) == [("First words.", 1, None)]
    assert seq(base) == 1


def test_a_new_title_changes_no_chunk(base: KnowledgeBase) -> None:
    document = add(base, "First words.")

    changed = update_document(document.pk, title="Better")

    assert (changed.title, changed.text) == ("Better", "First words.")
    assert (rows(base), seq(base)) == ([("First words.", 1, None)], 1)


def test_another_kind_cuts_the_text_anew(base: KnowledgeBase) -> None:
    text = f"# A\n{'a ' * 300}\n# B\n{'b ' * 300}"
    document = add(base, text)

    changed = update_document(document.pk, media_type="text/markdown")

    assert changed.media_type == "text/markdown"
    live = Chunk.objects.filter(base=base, deleted_seq__isnull=True).order_by("position")
    assert [chunk.text[:3] for chunk in live] == ["# A", "# B"]


@pytest.mark.parametrize(
    ("title", "text", "media_type", "sentence"),
    [
        ("Note", "", "text/plain", "has no text"),
        ("Note", " \n\t", "text/plain", "has no text"),
        ("Note", "a\0b", "text/plain", "NUL"),
        ("Note", "\ud800", "text/plain", "not valid Unicode"),
        ("Note", "é" * (MAX_TEXT_BYTES // 2 + 1), "text/plain", "split the document"),
        ("Note", "words", "application/pdf", "'application/pdf' is not understood"),
        ("", "words", "text/plain", "The title must be"),
        ("x" * 301, "words", "text/plain", "The title must be"),
        ("two\nlines", "words", "text/plain", "The title must be"),
    ],
)
def test_a_document_that_cannot_be_kept_is_refused_and_changes_nothing(
    base: KnowledgeBase, title: str, text: str, media_type: str, sentence: str
) -> None:
    document = add(base, "First words.")

    with pytest.raises(InvalidRequestError, match=sentence):
        add_document(base.pk, title=title, text=text, media_type=media_type)
    with pytest.raises(InvalidRequestError, match=sentence):
        update_document(document.pk, title=title, text=text, media_type=media_type or None)

    assert (rows(base), seq(base)) == ([("First words.", 1, None)], 1)
    assert Document.objects.get().title == "Note"


def test_what_is_not_there_is_said_by_name(base: KnowledgeBase) -> None:
    document = add(base, "First words.")
    delete_document(document.pk)

    for write in (
        lambda: update_document(document.pk, text="x"),
        lambda: delete_document(document.pk),
        lambda: add(KnowledgeBase(pk=base.pk + 1), "x"),
        lambda: delete_base(base.pk + 1),
    ):
        with pytest.raises(NotFoundError, match="There is no"):
            write()

    assert seq(base) == 2


def test_listeners_hear_of_committed_changes_only(
    base: KnowledgeBase, told: list[int], django_capture_on_commit_callbacks: object
) -> None:
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        document = add(base, "First words.")
        update_document(document.pk, text="First words.")
        update_document(document.pk, title="Better")
        with pytest.raises(InvalidRequestError):
            update_document(document.pk, text="")
    assert told == [base.pk]

    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        delete_document(document.pk)
    assert told == [base.pk, base.pk]


def test_a_new_base_is_searched_with_the_engine_its_owner_uses(owner: User) -> None:
    engine, companion = make_model("chat"), make_model("small")
    engine.model.embedding_model = companion.model
    engine.model.save()
    EnginePreference.objects.create(user=owner, engine=engine.model, revision=engine)

    base = create_base(owner=owner, name="Notes")

    assert live_index(base).fingerprint.revision == companion


def test_a_groups_base_is_searched_with_the_groups_default_else_the_organisations() -> None:
    first, second = make_model("first"), make_model("second")
    with_default, without = Group.objects.create(name="a"), Group.objects.create(name="b")
    EngineDefault.objects.create(group=with_default, engine=first.model)
    EngineDefault.objects.create(group=None, engine=second.model)

    assert live_index(create_base(group=with_default, name="A")).fingerprint.revision == first
    assert live_index(create_base(group=without, name="B")).fingerprint.revision == second


def test_a_base_gets_its_index_once_the_engines_file_was_read(owner: User) -> None:
    revision = make_model("late", facts=False)
    EnginePreference.objects.create(user=owner, engine=revision.model, revision=revision)
    base = create_base(owner=owner, name="Notes")
    assert base.live_index is None
    assert adopt_index(base.pk) is None

    revision.facts = {"embedding_length": 32, "context_length": 512}
    revision.save()

    adopted = adopt_index(base.pk)
    assert adopted == live_index(base)
    assert adopt_index(base.pk) == adopted


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "two\nlines", "nul\0"])
def test_a_base_without_a_usable_name_is_refused(owner: User, name: str) -> None:
    with pytest.raises(InvalidRequestError, match="The name must be"):
        create_base(owner=owner, name=name)

    assert not KnowledgeBase.objects.exists()


def test_a_base_belongs_to_exactly_one_person_or_group(owner: User) -> None:
    group = Group.objects.create(name="a")

    for owners in ({}, {"owner": owner, "group": group}):
        with pytest.raises(InvalidRequestError, match="one person or to one group"):
            create_base(name="Notes", **owners)  # type: ignore[arg-type]

    assert not KnowledgeBase.objects.exists()


def test_a_deleted_base_takes_its_rows_along_and_leaves_the_others(
    owner: User, base: KnowledgeBase, space: Fingerprint
) -> None:
    other = make_base(owner, space, "Other")
    for target in (base, other):
        add(target, "Words.")
    KnowledgeBase.objects.filter(pk=base.pk).update(embed_on_write_for=live_index(base))

    delete_base(base.pk)

    assert list(KnowledgeBase.objects.all()) == [other]
    assert list(VectorIndex.objects.all()) == [live_index(other)]
    assert {chunk.base_id for chunk in Chunk.objects.all()} == {other.pk}
    assert Document.objects.get().base_id == other.pk


# --- while a switch waits for writers -------------------------------------------------------------


class Writer:
    """What a writer embeds with; may change the world between embedding and storing."""

    def __init__(self) -> None:
        self.embedder = HashEmbedder(unreadable="unreadable")
        self.spaces: list[int] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def embed(self, fingerprint_id: int, texts: Sequence[str]) -> EmbeddingBatch:
        self.spaces.append(fingerprint_id)
        self.meanwhile()
        return self.embedder.embed_documents(texts)


def want(base: KnowledgeBase, space: Fingerprint) -> VectorIndex:
    index = index_for(base, space)
    KnowledgeBase.objects.filter(pk=base.pk).update(embed_on_write_for=index)
    return index


def test_a_writer_brings_the_vectors_that_a_waiting_switch_wants(base: KnowledgeBase) -> None:
    index = want(base, make_space("hash-b"))
    writer = Writer()

    for text in ("First words.", "unreadable"):
        document = add_document(base.pk, title="Note", text=text, embed=writer.embed)
        assert count_missing(index) == 0
    update_document(document.pk, text="Second words.", embed=writer.embed)

    assert count_missing(index) == 0
    assert writer.spaces == [index.fingerprint_id] * 3
    assert count_missing(live_index(base)) == 2


def test_a_writer_embeds_nothing_when_no_switch_waits_or_the_vectors_are_there(
    base: KnowledgeBase,
) -> None:
    writer = Writer()
    add_document(base.pk, title="Note", text="Words.", embed=writer.embed)
    assert writer.spaces == []

    index = want(base, live_index(base).fingerprint)
    for _ in range(2):
        add_document(base.pk, title="Note", text="Words.", embed=writer.embed)

    assert writer.spaces == [index.fingerprint_id]


def test_a_writer_without_an_embedder_is_asked_to_come_again(base: KnowledgeBase) -> None:
    document = add(base, "Words.")
    want(base, make_space("hash-b"))

    with pytest.raises(ConflictError, match="try again in a moment"):
        add(base, "More words.")
    with pytest.raises(ConflictError, match="try again in a moment"):
        update_document(document.pk, text="More words.")

    assert (rows(base), seq(base)) == ([("Words.", 1, None)], 1)


def test_a_writer_embeds_again_when_another_space_is_wanted_meanwhile(
    base: KnowledgeBase,
) -> None:
    first, second = make_space("hash-b"), make_space("hash-c")
    want(base, first)
    writer = Writer()
    writer.meanwhile = lambda: want(base, second)

    add_document(base.pk, title="Note", text="Words.", embed=writer.embed)

    assert writer.spaces == [first.pk, second.pk]
    assert count_missing(index_for(base, second)) == 0
    assert rows(base) == [("Words.", 1, None)]


def test_a_writer_who_never_catches_up_gives_in_and_has_changed_nothing(
    base: KnowledgeBase,
) -> None:
    spaces = [make_space(f"hash-{number}") for number in range(6)]
    want(base, spaces.pop())
    writer = Writer()
    writer.meanwhile = lambda: want(base, spaces.pop())

    with pytest.raises(ConflictError, match="being switched"):
        add_document(base.pk, title="Note", text="Words.", embed=writer.embed)

    assert len(writer.spaces) == 5
    assert (rows(base), seq(base)) == ([], 0)


def test_an_embedder_that_fails_leaves_the_base_as_it_was(base: KnowledgeBase) -> None:
    want(base, make_space("hash-b"))

    def away(_fingerprint_id: int, _texts: Sequence[str]) -> EmbeddingBatch:
        raise SamError("No host can embed now.")

    with pytest.raises(SamError, match="No host"):
        add_document(base.pk, title="Note", text="Words.", embed=away)

    assert (rows(base), seq(base), Embedding.objects.count()) == ([], 0, 0)


def test_nobody_has_two_bases_of_one_name(owner: User) -> None:
    notes = create_base(owner=owner, name="Notes")
    group = Group.objects.create(name="team")
    create_base(group=group, name="Notes")
    other = create_base(owner=owner, name="Other")

    for again in ("Notes", "notes"):
        with pytest.raises(ConflictError, match=f"a base 'Notes' already, number {notes.pk}"):
            create_base(owner=owner, name=again)
        with pytest.raises(ConflictError, match="a base 'Notes' already"):
            rename_base(other.pk, again)
    with pytest.raises(ConflictError, match="a base 'Notes' already"):
        create_base(group=group, name="Notes")
    assert rename_base(notes.pk, "notes").name == "notes"
    assert put_base("notes", owner).pk not in (notes.pk, other.pk)
