"""Live requests to a real worker: a small model embeds and answers, hosts come and go."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from redis import Redis

from engines.exceptions import (
    HostUnavailableError,
    InvalidRequestError,
    NotFoundError,
    SamError,
    TextNotEmbeddableError,
)
from engines.models import CatalogModel, EnginePreference, Host, ModelRevision, PromptTemplate
from engines.runtimes.base import ChatMessage, EmbeddingBatch
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.services.answers.messages import AnswerRequest
from engines.services.catalog.copies import copy_of, engine_spec, mark_downloaded
from migrations_app.serving.client import LiveClient
from migrations_app.serving.embedder import RemoteEmbedder
from migrations_app.serving.hosts import hosts_for
from migrations_app.serving.load import hold, running_on, tell_engines
from migrations_app.serving.protocol import (
    EMBED,
    GENERATE,
    INFO,
    UNLOAD,
    WARM,
    EmbedReply,
    EmbedRequest,
    InfoRequest,
    UnloadRequest,
    WarmRequest,
    error_of,
    reply_body,
)
from migrations_app.serving.redis_keys import engines_key, reply_key, request_key, taken_key
from tests.worker.plans import make_host
from tests.worker.processes import LIVE, WorkerProcess
from worker.live.requests import answer, renew_presence
from worker.steps.runner import StepFailedError

pytestmark = pytest.mark.django_db(transaction=True)

ANNOUNCED = [f"live.{kind}" for kind in ("embed", "generate", "search", "warm", "unload", "info")]
REQUEST = "0123456789abcdef" * 2


@pytest.fixture
def client(services: object) -> LiveClient:
    return LiveClient(settings.REDIS_URL)


def make_revision(path: Path, host: Host, name: str = "tiny-llama") -> ModelRevision:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    size = path.stat().st_size
    model = CatalogModel.objects.create(
        model_id=name, display_name=name, model_family="llama", filename=path.name
    )
    revision = ModelRevision.objects.create(
        model=model, commit="a" * 40, sha256=digest, file_size=size
    )
    mark_downloaded(copy_of(revision, host), path, digest)
    model.current_revision = revision
    model.save()
    return revision


def test_a_live_worker_embeds_answers_warms_and_unloads(
    tiny_llama: Path, tmp_path: Path, client: LiveClient
) -> None:
    revision = make_revision(tiny_llama, make_host())
    user = User.objects.create(username="ada")
    EnginePreference.objects.create(user=user, engine=revision.model, revision=revision)
    PromptTemplate.objects.create(family="llama", system_prompt="Be brief.")
    messages: list[ChatMessage] = [{"role": "user", "content": "Say one word."}]
    with LlamaCppEngine.from_spec(engine_spec(revision, str(tiny_llama))) as engine:
        engine.load_model()
        own = np.array(engine.embed("A bridge."), np.float32)
        prompt = engine.format_prompt([{"role": "system", "content": "Be brief."}, *messages])
        said = engine.generate(prompt, max_tokens=8, temperature=0.0)

    wrong: Any = "A bridge."

    with WorkerProcess(tmp_path, LIVE):
        batch = RemoteEmbedder(client, revision_id=revision.pk).embed_documents(
            ["A bridge.", "", "A violin."]
        )
        reply = client.call(
            GENERATE,
            AnswerRequest(user_id=user.pk, messages=messages, max_tokens=8, temperature=0.0),
            timeout=60,
        )
        warm = client.call(
            WARM,
            WarmRequest(revision_id=revision.pk, user_id=user.pk, find_losses=True),
            timeout=60,
        )
        loaded = client.call(INFO, InfoRequest())
        client.call(UNLOAD, UnloadRequest(revision_id=revision.pk))
        after = client.call(INFO, InfoRequest())
        with pytest.raises(InvalidRequestError, match="texts must be a list, not a text"):
            client.call(EMBED, EmbedRequest(revision_id=revision.pk, texts=wrong))
        with pytest.raises(InvalidRequestError, match="max_tokens must be"):
            client.call(GENERATE, AnswerRequest(user_id=user.pk, messages=messages, max_tokens=-1))

    cosine = float(batch.vectors[0] @ own / np.linalg.norm(batch.vectors[0]) / np.linalg.norm(own))
    assert cosine > 0.9999
    assert batch.vectors.shape == (3, len(own))
    assert set(batch.errors) == {1}
    assert (reply.text, reply.engine_id) == (said, "tiny-llama")
    assert (warm.engines, warm.losses) == (2, [])
    assert {engine["model_path"] for engine in loaded.engines} == {str(tiny_llama)}
    assert (loaded.host, after.engines) == (settings.SAM_HOST_NAME, [])


def test_without_a_host_the_caller_is_told_at_once(client: LiveClient) -> None:
    with pytest.raises(HostUnavailableError, match="No active host is connected"):
        client.call(INFO, InfoRequest())


@pytest.mark.parametrize(
    ("kind", "request_"),
    [
        (EMBED, EmbedRequest(revision_id=2**40, texts=[])),
        (EMBED, EmbedRequest(fingerprint_id=30_000, texts=[])),
        (GENERATE, AnswerRequest(user_id=2**30, messages=[])),
    ],
)
def test_an_unknown_model_or_person_is_not_found(
    client: LiveClient, kind: Any, request_: Any
) -> None:
    make_host(announces=ANNOUNCED)

    with pytest.raises(NotFoundError):
        client.call(kind, request_)


def test_a_host_that_does_not_answer_in_time_is_unavailable_and_nothing_is_left(
    client: LiveClient, redis_client: Redis
) -> None:
    make_host(announces=ANNOUNCED)

    with pytest.raises(HostUnavailableError, match="No host answered 'info' within 0 s"):
        client.call(INFO, InfoRequest(), timeout=0.2)

    assert redis_client.keys("sam:live:*") == []


def test_only_hosts_that_have_the_file_are_asked_the_least_busy_first(
    tiny_llama: Path, redis_client: Redis
) -> None:
    busy, idle, silent = (make_host(name, announces=ANNOUNCED) for name in ("h1", "h2", "h3"))
    make_host("h4", announces=ANNOUNCED)
    make_host("h5", announces=ANNOUNCED, status="draining")
    revision = make_revision(tiny_llama, busy)
    for host in (idle, silent):
        mark_downloaded(copy_of(revision, host), tiny_llama, revision.sha256)
    for name, requests in (("h1", 7), ("h2", 2)):
        tell_engines(redis_client, name, ())
        hold(redis_client, name, map(str, range(requests)))

    wanted = EmbedRequest(revision_id=revision.pk, texts=[])
    assert hosts_for(redis_client, EMBED, wanted) == ["h2", "h1", "h3"]


@pytest.mark.parametrize("message", [None, 7, "x", "../../etc/passwd", ["a"], "A" * 32])
def test_a_malformed_message_is_refused(message: object, redis_client: Redis) -> None:
    with pytest.raises(InvalidRequestError):
        answer("info", message)

    assert redis_client.keys("sam:live:*") == []


def test_a_request_whose_caller_gave_up_is_dropped(redis_client: Redis) -> None:
    assert answer("info", REQUEST) == "The caller does not wait any more."
    assert redis_client.keys("sam:live:*") == []


def test_a_request_that_somebody_answers_is_left_alone(redis_client: Redis) -> None:
    redis_client.set(taken_key(REQUEST), "another")
    redis_client.set(request_key(REQUEST), json.dumps({"kind": "info", "payload": {}}))

    assert answer("info", REQUEST) == "Another worker answers this request."
    assert redis_client.exists(reply_key(REQUEST)) == 0


@pytest.mark.parametrize(
    "body", ["", "[]", "{", '{"kind": "embed", "payload": {}}', '{"kind": "info", "payload": 3}']
)
def test_a_request_that_cannot_be_read_is_answered_with_an_error(
    redis_client: Redis, body: str
) -> None:
    redis_client.set(request_key(REQUEST), body)

    assert answer("info", REQUEST).startswith("Refused: ")

    reply = json.loads(str(redis_client.lpop(reply_key(REQUEST))))
    assert set(reply) == {"error"}
    assert reply["error"]["code"] in {"invalid_request", "unexpected"}


def test_a_busy_host_says_so_with_a_limit_in_time(redis_client: Redis) -> None:
    renew_presence()

    assert running_on(redis_client, settings.SAM_HOST_NAME) == 0
    assert 0 < redis_client.ttl(engines_key(settings.SAM_HOST_NAME)) <= 15


@pytest.mark.parametrize("kind", [NotFoundError, TextNotEmbeddableError, StepFailedError])
def test_an_error_comes_back_as_what_it_was(kind: type[SamError]) -> None:
    error = error_of(kind.code, "A sentence.")

    assert (type(error), str(error)) == (kind, "A sentence.")


def test_an_error_of_a_newer_host_comes_back_as_a_plain_one() -> None:
    assert type(error_of("from_the_future", "A sentence.")) is SamError


def test_vectors_survive_the_way_bit_by_bit() -> None:
    vectors = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)
    vectors[1] = np.nan

    body = reply_body(EmbedReply.of(EmbeddingBatch(vectors, {1: "Too long."})))
    batch = EMBED.parse_reply(body).batch(3)

    np.testing.assert_array_equal(batch.vectors, vectors)
    assert batch.errors == {1: "Too long."}
