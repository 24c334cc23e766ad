"""The proof that a new index understands its texts: with a real embedder, on ordinary documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from numpy.typing import NDArray
from redis import Redis

from engines.exceptions import InvalidRequestError
from engines.models import (
    CatalogModel,
    Host,
    KnowledgeBase,
    ModelRevision,
    ModelRole,
)
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.services.catalog.copies import copy_of, mark_downloaded
from engines.services.knowledge.documents import add_document, create_base
from engines.services.knowledge.embeddings import Embedder
from engines.specs import EmbeddingSpec, EngineSpec
from migrations_app.controller import MigrationController
from migrations_app.models import Plan
from migrations_app.states import PlanStatus
from migrations_app.steps.excerpts import cut_middle
from migrations_app.steps.meaning import CHANCE, run_sign_test
from tests.knowledge.hash_embedder import HashEmbedder
from tests.knowledge.world import make_model
from tests.plans.hash_world import leave_out
from tests.worker.plans import make_host
from worker.steps.runner import StepFailedError, run_step

DIMENSION = 384
TOPICS = 16
PEOPLE = ("ada", "ben", "cleo", "dan", "eve")
controller = MigrationController()


class Cached:
    """A real embedder that remembers: the same files are embedded for five people."""

    def __init__(self, engine: LlamaCppEngine) -> None:
        self._engine = engine
        self._queries: dict[str, NDArray[np.float32]] = {}
        self._texts: dict[tuple[str, ...], Any] = {}

    def embed_documents(self, texts: Any) -> Any:
        key = tuple(texts)
        if key not in self._texts:
            self._texts[key] = self._engine.embed_documents(texts)
        return self._texts[key]

    def embed_query(self, text: str) -> NDArray[np.float32]:
        if text not in self._queries:
            vector = np.asarray(self._engine.embed_query(text), dtype=np.float32)
            self._queries[text] = vector
        return self._queries[text]


@pytest.fixture(scope="module")
def engines(minilm: Path, minilm_permuted: Path) -> Iterator[dict[str, Embedder]]:
    """A good embedder, one just as good in another space, and one that understands nothing."""
    embedding = EmbeddingSpec(dimension=DIMENSION, max_tokens=256)
    with ExitStack() as stack:
        lent: dict[str, Embedder] = {"nonsense": HashEmbedder(dimension=DIMENSION)}
        for name, path in (("good", minilm), ("twin", minilm_permuted)):
            spec = EngineSpec(name, name, str(path), embedding=embedding)
            engine = stack.enter_context(LlamaCppEngine.from_spec(spec))
            engine.load_model()
            lent[name] = Cached(engine)
        yield lent


@pytest.fixture
def host(transactional_db: None, redis_client: Redis) -> Host:
    return make_host()


@pytest.fixture
def lent(engines: dict[str, Embedder], monkeypatch: pytest.MonkeyPatch) -> dict[str, Embedder]:
    lent = dict(engines)

    @contextmanager
    def lend(
        _host: Host | None, revision: ModelRevision, _spec: EmbeddingSpec, _wait: Callable[[], None]
    ) -> Iterator[Embedder]:
        yield lent[revision.model.model_id]

    monkeypatch.setattr("worker.steps.context.lend_embedder", lend)
    return lent


@pytest.fixture
def place(
    host: Host, lent: dict[str, Embedder], tmp_path: Path, tiny_llama: Path
) -> Callable[[str], None]:
    """Make an engine that really chats, with a companion of that name that embeds."""

    def placed(name: str) -> None:
        companion = make_model(name, dimension=DIMENSION)
        path = tmp_path / f"{name}.gguf"
        path.write_bytes(bytes(companion.file_size))
        mark_downloaded(copy_of(companion, host), path, companion.sha256)
        chat = make_model(f"chat-{name}")
        chat.file_size = tiny_llama.stat().st_size
        chat.save()
        CatalogModel.objects.filter(pk=chat.model_id).update(
            role=ModelRole.CHAT, embedding_model=companion.model
        )
        mark_downloaded(copy_of(chat, host), tiny_llama, chat.sha256)

    return placed


def with_topics(name: str, *, count: int = TOPICS) -> User:
    """A person with Python's help topics, as they would be dropped into a base."""
    user = User.objects.create_user(name)
    base = create_base(owner=user, name="Help")
    for title in sorted(topics)[:count]:
        add_document(base.pk, title=title, text=topics[title])
    return user


def moved(user: User, target: str, **options: Any) -> Plan:
    """Run a migration up to its switch."""
    plan_id = controller.create_migration_plan("current", f"chat-{target}", user.pk, **options)
    leave_out(plan_id, ("fetch_engine", "back_up", "settle"))
    controller.execute_migration(plan_id)
    plan = Plan.objects.get(pk=plan_id)
    for step in plan.steps.order_by("position"):
        run_step(step.pk)
    plan.refresh_from_db()
    return plan


def proof_of(plan: Plan) -> dict[str, Any]:
    found: dict[str, Any] = plan.steps.get(kind="probe").result
    return found


def state(user: User) -> tuple[Any, ...]:
    return tuple(
        KnowledgeBase.objects.filter(owner=user).values_list(
            "live_index__fingerprint__revision__model__model_id", flat=True
        )
    )


def test_five_people_with_the_same_ordinary_files_get_their_first_embedder(
    place: Callable[[str], None],
) -> None:
    place("good")
    people = [with_topics(name) for name in PEOPLE]

    plans = [moved(user, "good") for user in people]

    assert [plan.status for plan in plans] == [PlanStatus.COMPLETED] * len(PEOPLE)
    assert [state(user) for user in people] == [("good",)] * len(PEOPLE)
    proofs = [proof_of(plan) for plan in plans]
    assert {proof["indexes"][0]["not_compared"] for proof in proofs} == {
        "It is the base's first index."
    }
    assert len({proof["seed"] for proof in proofs}) == len(PEOPLE)
    for plan, proof in zip(plans, proofs, strict=True):
        assert f"(sample {proof['seed']})" in plan.steps.get(kind="probe").detail


def test_an_embedder_just_as_good_is_compared_and_taken(
    place: Callable[[str], None],
) -> None:
    place("good")
    place("twin")
    ada = with_topics("ada")
    moved(ada, "good")

    plan = moved(ada, "twin")

    (proof,) = proof_of(plan)["indexes"]
    assert (plan.status, state(ada)) == (PlanStatus.COMPLETED, ("twin",))
    assert proof["compared"] >= 50
    assert proof["old_found"] > 0.8 * proof["compared"]
    assert proof["probability"] >= CHANCE


def test_an_embedder_that_understands_nothing_is_refused_with_what_to_do(
    place: Callable[[str], None],
) -> None:
    place("good")
    place("nonsense")
    ada = with_topics("ada")
    moved(ada, "good")

    with pytest.raises(StepFailedError, match=r"the old one to \d+; two equally good") as refusal:
        moved(ada, "nonsense")

    plan = Plan.objects.get(to_engine__model_id="chat-nonsense")
    assert "Choose another engine or embedder" in str(refusal.value)
    assert "without re-embedding" in plan.error_message
    assert (plan.status, state(ada)) == (PlanStatus.FAILED, ("good",))


class Mistaken:
    """Gives every text the vector of another one."""

    def __init__(self, sound: Embedder) -> None:
        self._sound = sound

    def embed_documents(self, texts: Any) -> Any:
        return self._sound.embed_documents([f"{text[::-1]} another text" for text in texts])

    def embed_query(self, text: str) -> Any:
        return self._sound.embed_query(text)


def test_vectors_of_other_texts_are_refused_even_in_a_first_index(
    place: Callable[[str], None], lent: dict[str, Embedder]
) -> None:
    place("good")
    ada = with_topics("ada", count=4)
    plan_id = controller.create_migration_plan("current", "chat-good", ada.pk)
    leave_out(plan_id, ("fetch_engine", "back_up", "settle"))
    controller.execute_migration(plan_id)
    steps = {step.kind: step for step in Plan.objects.get(pk=plan_id).steps.all()}
    sound = lent["good"]
    lent["good"] = Mistaken(sound)
    run_step(steps["re_embed"].pk)
    lent["good"] = sound

    with pytest.raises(StepFailedError, match="are not those of their texts"):
        run_step(steps["probe"].pk)

    assert Plan.objects.get(pk=plan_id).status == PlanStatus.FAILED
    assert state(ada) == (None,)


def test_passages_that_say_the_same_count_as_found(
    place: Callable[[str], None],
) -> None:
    """Forty release notes that differ in a number: nobody can tell which of them is meant."""
    place("good")
    place("twin")
    ada = User.objects.create_user("ada")
    base = create_base(owner=ada, name="Notes")
    for number in range(40):
        text = f"Release {number} mends small faults and brings the documentation up to date."
        add_document(base.pk, title=f"Release {number}", text=text)
    moved(ada, "good")

    (proof,) = proof_of(moved(ada, "twin"))["indexes"]

    assert (proof["old_found"], proof["found"]) == (40, 40)


def test_without_an_index_nothing_can_stay_and_nothing_is_planned(
    place: Callable[[str], None],
) -> None:
    place("good")
    ada = with_topics("ada", count=1)

    with pytest.raises(InvalidRequestError, match="has no index yet, so there is no old embedder"):
        controller.create_migration_plan("current", "chat-good", ada.pk, re_embed=False)

    assert not Plan.objects.exists()


def test_a_base_that_gets_its_first_text_meanwhile_is_not_switched_unproved(
    place: Callable[[str], None],
) -> None:
    place("good")
    ada = User.objects.create_user("ada")
    base = create_base(owner=ada, name="Help")
    plan_id = controller.create_migration_plan("current", "chat-good", ada.pk, re_embed=False)
    leave_out(plan_id, ("fetch_engine", "back_up", "settle"))
    controller.execute_migration(plan_id)
    add_document(base.pk, title="Late", text="Written after the plan was made.")

    *before, switch = Plan.objects.get(pk=plan_id).steps.order_by("position")
    for step in before:
        run_step(step.pk)
    with pytest.raises(StepFailedError, match="got text but has no index"):
        run_step(switch.pk)

    assert Plan.objects.get(pk=plan_id).status == PlanStatus.FAILED
    assert not hasattr(ada, "engine_preference") or ada.engine_preference.engine is None


@pytest.mark.parametrize(
    ("losses", "wins", "probability"),
    [(0, 0, 1.0), (6, 0, 1 / 64), (7, 0, 1 / 128), (10, 3, 378 / 8192), (20, 20, 0.5627)],
)
def test_the_bound_is_that_of_a_fair_coin(losses: int, wins: int, probability: float) -> None:
    assert run_sign_test(losses, wins) == pytest.approx(probability, abs=1e-4)


@pytest.mark.parametrize(
    "text", ["word " * 100, "文" * 500, "short", "x" * 161 + " y", "x" * 165 + " " + "y" * 5]
)
def test_a_question_is_a_part_of_its_passage(text: str) -> None:
    asked = cut_middle(text)

    assert asked
    assert len(asked) <= 160
    assert asked in " ".join(text.split())
