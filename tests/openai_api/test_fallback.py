"""Another engine answers for one that cannot be made ready, and every answer says so; without a rule none does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework.test import APIClient

from engines.models import (
    CatalogModel,
    CopyStatus,
    EngineFallback,
    FallbackIncident,
    Host,
    ModelCopy,
    ModelRevision,
    PromptTemplate,
)
from engines.runtimes.base import ChatMessage
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.services.catalog.copies import clear_unsafe, copy_of, engine_spec, mark_downloaded
from engines.services.people.fallbacks import end_incidents, fallbacks_for, set_fallback
from engines.services.people.preferences import EngineChoice, preference_of, write_preference
from tests.openai_api.conftest import Asker
from tests.openai_api.sse import chunks_of, text_of
from tests.runtimes.child.hostile_models import HOSTILE, Model
from tests.worker.live.test_live import make_revision
from tests.worker.plans import make_host

CHAT: dict[str, Any] = {
    "model": "sam",
    "messages": [{"role": "user", "content": "Say something."}],
    "temperature": 0,
    "max_tokens": 12,
}
QWEN = "tiny-qwen"


@pytest.fixture
def other(asker: Asker, tiny_qwen: Path) -> ModelRevision:
    """An engine of another family on the same host, with prompts of its own."""
    revision = make_revision(tiny_qwen, Host.objects.get(), QWEN)
    CatalogModel.objects.filter(model_id=QWEN).update(model_family="qwen")
    PromptTemplate.objects.create(family="qwen", system_prompt="You are a qwen.")
    PromptTemplate.objects.create(family="llama", system_prompt="You are a llama.")
    revision.refresh_from_db()
    return revision


def said_by(revision: ModelRevision, path: Path) -> str:
    """What the other engine says with its own family's prompts."""
    with LlamaCppEngine.from_spec(engine_spec(revision, str(path))) as engine:
        engine.load_model()
        system: ChatMessage = {"role": "system", "content": "You are a qwen."}
        prompt = engine.format_prompt([system, *CHAT["messages"]])
        return engine.generate(prompt, temperature=0.0, max_tokens=12)


def lose_the_file(asker: Asker, folder: Path, source: Path) -> None:
    ModelCopy.objects.filter(revision=asker.revision).update(path=str(folder / "gone.gguf"))


def have_it_unsafe(asker: Asker, folder: Path, source: Path) -> None:
    copies = ModelCopy.objects.filter(revision=asker.revision)
    copies.update(status=CopyStatus.UNSAFE, error="It crashed.")


def have_it_nowhere(asker: Asker, folder: Path, source: Path) -> None:
    ModelCopy.objects.filter(revision=asker.revision).update(status=CopyStatus.NOT_DOWNLOADED)


def have_it_crash(asker: Asker, folder: Path, source: Path) -> None:
    model = Model.read(source)
    HOSTILE["2^31 experts"](model)
    path = model.write(folder / "model.gguf")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    ModelRevision.objects.filter(pk=asker.revision.pk).update(
        sha256=digest, file_size=path.stat().st_size
    )
    asker.revision.refresh_from_db()
    mark_downloaded(copy_of(asker.revision, Host.objects.get()), path, digest)


Break = Callable[[Asker, Path, Path], None]
BREAKS: dict[Break, str] = {
    lose_the_file: "This host does not have tiny-llama@",
    have_it_unsafe: "is not used there: It crashed.",
    have_it_nowhere: "No active host has tiny-llama@",
    have_it_crash: "could not be loaded",
}


@pytest.mark.parametrize(
    "breaks",
    [
        lose_the_file,
        have_it_crash,
        pytest.param(have_it_unsafe, marks=pytest.mark.slow),
        pytest.param(have_it_nowhere, marks=pytest.mark.slow),
    ],
)
def test_another_engine_answers_and_each_answer_says_so(
    asker: Asker, other: ModelRevision, tiny_llama: Path, tiny_qwen: Path, tmp_path: Path,
    breaks: Break,
) -> None:  # fmt: skip
    set_fallback(asker.revision.model, other.model)
    breaks(asker, tmp_path, tiny_llama)

    whole = asker.client.post("chat/completions", json=CHAT)
    with asker.client.stream("POST", "chat/completions", json={**CHAT, "stream": True}) as lines:
        streamed = list(chunks_of(lines.iter_lines()))

    body = whole.json()
    assert body["model"] == QWEN, body
    assert body["choices"][0]["message"]["content"] == said_by(other, tiny_qwen)
    assert body["fallback_for"]["engine_id"] == "tiny-llama"
    assert BREAKS[breaks] in body["fallback_for"]["reason"]
    assert whole.headers["X-SAM-Fallback-For"] == "tiny-llama"
    assert text_of(streamed) == body["choices"][0]["message"]["content"]
    assert {chunk["model"] for chunk in streamed} == {QWEN}
    assert streamed[0]["fallback_for"]["engine_id"] == "tiny-llama"
    incident = FallbackIncident.objects.get()
    assert (incident.revision, incident.answered_by) == (asker.revision, other)
    assert BREAKS[breaks] in incident.reason


def test_a_message_names_the_engine_that_answered_it(
    asker: Asker, other: ModelRevision, tmp_path: Path
) -> None:
    set_fallback(None, other.model)
    lose_the_file(asker, tmp_path, tmp_path)
    client = APIClient()
    client.force_authenticate(asker.user)
    place = client.post("/api/v1/conversations", {"title": "One"}, format="json").json()["id"]

    said = {"content": "Say something.", "max_tokens": 8}
    exchange = client.post(f"/api/v1/conversations/{place}/messages", said, format="json").json()

    assert exchange["answer"]["engine"] == QWEN
    assert exchange["fallback_for"]["engine_id"] == "tiny-llama"
    assert "does not have tiny-llama" in exchange["fallback_for"]["reason"]


def test_without_a_rule_the_error_is_as_clear_as_ever(
    asker: Asker, other: ModelRevision, tmp_path: Path
) -> None:
    have_it_unsafe(asker, tmp_path, tmp_path)

    answer = asker.client.post("chat/completions", json=CHAT)

    assert answer.status_code >= 400
    assert "is not used there: It crashed." in answer.json()["error"]["message"]
    assert FallbackIncident.objects.count() == 0


def test_who_names_an_engine_gets_it_or_an_error_and_vectors_are_never_another_engines(
    asker: Asker, other: ModelRevision, tmp_path: Path
) -> None:
    set_fallback(None, other.model)
    have_it_unsafe(asker, tmp_path, tmp_path)

    named = asker.client.post("chat/completions", json={**CHAT, "model": "tiny-llama"})
    vectors = asker.client.post("embeddings", json={"model": "sam", "input": "A bridge."})

    for answer in (named, vectors):
        assert "is not used there: It crashed." in answer.json()["error"]["message"]
    assert FallbackIncident.objects.count() == 0


def test_when_the_other_engine_fails_too_the_person_hears_about_the_own_one(
    asker: Asker, other: ModelRevision, tmp_path: Path
) -> None:
    set_fallback(asker.revision.model, other.model)
    have_it_unsafe(asker, tmp_path, tmp_path)
    ModelCopy.objects.filter(revision=other).update(path=str(tmp_path / "gone"))

    answer = asker.client.post("chat/completions", json=CHAT)

    assert "tiny-llama@" in answer.json()["error"]["message"]
    assert FallbackIncident.objects.count() == 0


def test_the_own_engine_answers_again_as_soon_as_it_can_and_the_incident_ends(
    asker: Asker, other: ModelRevision, tmp_path: Path
) -> None:
    set_fallback(asker.revision.model, other.model)
    have_it_unsafe(asker, tmp_path, tmp_path)
    assert asker.client.post("chat/completions", json=CHAT).json()["model"] == QWEN
    assert end_incidents() == 0
    clear_unsafe(ModelCopy.objects.get(revision=asker.revision))

    again = asker.client.post("chat/completions", json=CHAT)

    assert (again.json()["model"], "fallback_for" in again.json()) == ("tiny-llama", False)
    assert "X-SAM-Fallback-For" not in again.headers
    seen = timezone.now() - timedelta(hours=1)
    FallbackIncident.objects.update(last_at=seen)
    assert end_incidents() == 1
    assert FallbackIncident.objects.get().ended_at == seen


def test_the_own_rule_comes_first_and_the_previous_engine_is_the_persons(
    transactional_db: None, tiny_llama: Path, tiny_qwen: Path
) -> None:
    host = make_host()
    old, new = (
        make_revision(path, host, name) for path, name in ((tiny_llama, "a"), (tiny_qwen, "b"))
    )
    third = make_revision(tiny_llama, host, "c")
    user = User.objects.create(username="ada")
    for revision in (old, new):
        choice = EngineChoice(revision.model, revision, "llama")
        write_preference(preference_of(user), choice, why="Chosen.")
    assert fallbacks_for(user, new.model) == []

    set_fallback(None, None)
    assert fallbacks_for(user, new.model) == [old]
    set_fallback(new.model, third.model)
    assert fallbacks_for(user, new.model) == [third, old]
    CatalogModel.objects.filter(pk=third.model.pk).update(published=False)
    assert fallbacks_for(user, new.model) == [old]
    assert EngineFallback.objects.count() == 2
