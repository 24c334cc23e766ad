"""People with adapters of their own are answered by one engine, each with their own adapter."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile

import pytest
from django.conf import settings
from django.contrib.auth.models import User

from deploy.demo.models.tiny_models import write_lora_for
from deploy.demo.proofs.judge import direct_answers
from engines.exceptions import AdapterMismatchError
from engines.files.artifacts import ArtifactStore
from engines.models import CatalogModel, LoraAdapter, ModelRevision
from engines.runtimes.base import ChatMessage
from engines.services.answers.messages import AnswerRequest
from engines.services.catalog.copies import copy_of, mark_downloaded
from engines.services.people.adapters import adapters_for, store_adapter
from tests.worker.plans import make_host
from worker.host.engine_pool import engine_pool
from worker.live.answer import answer_resources
from worker.live.handlers import generate

pytestmark = pytest.mark.django_db(transaction=True)

QUESTION = "Which page should I read first?"
MESSAGES: list[ChatMessage] = [{"role": "user", "content": QUESTION}]
TOKENS = 12


@pytest.fixture
def revision(tiny_llama: Path, tmp_path: Path) -> Iterator[ModelRevision]:
    path = tmp_path / "model.gguf"
    copyfile(tiny_llama, path)
    entry = CatalogModel.objects.create(
        model_id="tiny", display_name="Tiny", model_family="llama", filename=path.name
    )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    revision = ModelRevision.objects.create(
        model=entry, commit="a" * 40, sha256=digest, file_size=path.stat().st_size
    )
    mark_downloaded(copy_of(revision, make_host()), path, digest)
    yield revision
    engine_pool().unload(str(path))


def person_with(revision: ModelRevision, name: str, adapter: Path | None) -> User:
    user = User.objects.create_user(name)
    if adapter is not None:
        store = ArtifactStore(settings.SAM_ARTIFACT_STORE)
        store_adapter(user, f"{name} style", revision, adapter, store)
    return user


def answer(user: User, revision: ModelRevision) -> str:
    request = AnswerRequest(
        user_id=user.pk,
        revision_id=revision.pk,
        messages=MESSAGES,
        max_tokens=TOKENS,
        temperature=0.0,
    )
    return generate(request).text


@pytest.mark.slow
def test_two_people_with_two_adapters_share_one_loaded_engine(
    revision: ModelRevision, tiny_llama: Path, tmp_path: Path
) -> None:
    loras = [write_lora_for(tmp_path / f"{seed}.gguf", tiny_llama, seed=seed) for seed in (3, 9)]
    choices = [*loras, None]
    people = [
        person_with(revision, name, lora)
        for name, lora in zip(("ada", "bob", "eve"), choices, strict=True)
    ]

    heard = [answer(person, revision) for person in (*people, *people)]

    expected = [
        direct_answers(tiny_llama, [[{"role": "user", "content": QUESTION}]], TOKENS, adapter=lora)[
            0
        ]["text"]
        for lora in choices
    ]
    assert heard == expected * 2
    assert len(set(expected)) == 3
    (engine,) = engine_pool().describe()
    assert (engine["engine_id"], engine["adapters"], engine["users"]) == ("tiny", 2, 0)


def test_an_adapter_whose_base_file_was_replaced_is_not_loaded(
    revision: ModelRevision, tiny_lora: Path
) -> None:
    ada, eve = person_with(revision, "ada", tiny_lora), person_with(revision, "eve", None)
    resources = answer_resources()
    adapters = resources.adapter_specs(adapters_for(ada.pk, revision.pk))
    assert adapters[0].sha256 == LoraAdapter.objects.get().sha256
    plain = answer(eve, revision)
    revision.sha256 = "f" * 64

    with (
        pytest.raises(AdapterMismatchError, match="was made for the model file"),
        resources.lend_chat_engine(revision, adapters),
    ):
        pass

    revision.refresh_from_db()
    assert answer(eve, revision) == plain
