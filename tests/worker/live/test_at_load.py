"""An engine that cannot be made ready says so and where; whatever else goes wrong does not."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from msgspec import structs

from engines.exceptions import EngineError, InvalidRequestError, SamError
from engines.fit.placement import Room
from engines.host_runtimes import engine_registry
from engines.models import EnginePreference, ModelCopy
from engines.runtimes.base import ChatMessage
from engines.services.answers.messages import AnswerRequest
from migrations_app.serving.protocol import ErrorFields
from tests.worker.live.test_live import make_revision
from tests.worker.plans import make_host
from worker.host.engine_pool import EnginePool, engine_pool
from worker.live.answer import stream

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def request_of_ada(tiny_llama: Path) -> AnswerRequest:
    revision = make_revision(tiny_llama, make_host())
    user = User.objects.create(username="ada")
    EnginePreference.objects.create(user=user, engine=revision.model, revision=revision)
    hello: ChatMessage = {"role": "user", "content": "Hello."}
    return AnswerRequest(user_id=user.pk, messages=[hello])


def error_in(request_of_ada: AnswerRequest) -> SamError:
    with pytest.raises(SamError) as caught:
        list(stream(request_of_ada, threading.Event()))
    return caught.value


def test_an_engine_larger_than_the_host_may_be_answered_for(
    request_of_ada: AnswerRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = vars(engine_pool())["_need"]
    small = EnginePool(Room(1024, 0), engine_registry().create, lambda *_: None, needs)
    monkeypatch.setattr("worker.live.answer.engine_pool", lambda: small)

    error = error_in(request_of_ada)

    assert isinstance(error, EngineError)
    assert str(error).startswith("tiny-llama needs 0.")
    assert (error.at_load, error.host) == (True, settings.SAM_HOST_NAME)
    assert small.describe() == []


def test_a_file_that_is_gone_may_be_answered_for(request_of_ada: AnswerRequest) -> None:
    ModelCopy.objects.update(path="/gone.gguf")

    assert error_in(request_of_ada).at_load


def test_a_request_that_cannot_be_carried_out_is_nobody_elses(
    request_of_ada: AnswerRequest,
) -> None:
    wrong = error_in(structs.replace(request_of_ada, messages=[]))
    unknown = error_in(structs.replace(request_of_ada, user_id=2**40))

    assert isinstance(wrong, InvalidRequestError)
    assert [wrong.at_load, unknown.at_load] == [False, False]


def test_an_error_keeps_on_its_way_what_decides_who_may_answer() -> None:
    error = EngineError("It is too large.")
    error.transient, error.at_load, error.host = True, True, "h1"

    same = ErrorFields.of(error).error()

    assert type(same) is EngineError
    assert (same.transient, same.at_load, same.host) == (True, True, "h1")
    assert [EngineError.transient, EngineError.at_load] == [False, False]
