"""An engine that cannot be made ready says so and where; whatever else goes wrong does not."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User

from engines.exceptions import EngineError, InvalidRequestError, SamError
from engines.fit.placement import Room
from engines.host_runtimes import engine_registry
from engines.models import EnginePreference, ModelCopy
from migrations_app.serving.wire import error_fields, error_from
from tests.worker.live.test_live import make_revision
from tests.worker.plans import make_host
from worker.host.engine_pool import EnginePool, engine_pool
from worker.live.answer import stream

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def payload(tiny_llama: Path) -> dict[str, Any]:
    revision = make_revision(tiny_llama, make_host())
    user = User.objects.create(username="ada")
    EnginePreference.objects.create(user=user, engine=revision.model, revision=revision)
    return {"user_id": user.pk, "messages": [{"role": "user", "content": "Hello."}]}


def error_in(payload: dict[str, Any]) -> SamError:
    with pytest.raises(SamError) as caught:
        list(stream(payload, threading.Event()))
    return caught.value


def test_an_engine_larger_than_the_host_may_be_answered_for(
    payload: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = vars(engine_pool())["_need"]
    small = EnginePool(Room(1024, 0), engine_registry().create, lambda *_: None, needs)
    monkeypatch.setattr("worker.live.answer.engine_pool", lambda: small)

    error = error_in(payload)

    assert isinstance(error, EngineError)
    assert str(error).startswith("tiny-llama needs 0.")
    assert (error.at_load, error.host) == (True, settings.SAM_HOST_NAME)
    assert small.describe() == []


def test_a_file_that_is_gone_may_be_answered_for(payload: dict[str, Any]) -> None:
    ModelCopy.objects.update(path="/gone.gguf")

    assert error_in(payload).at_load


def test_a_request_that_cannot_be_carried_out_is_nobody_elses(payload: dict[str, Any]) -> None:
    wrong = error_in({**payload, "messages": []})
    unknown = error_in({**payload, "user_id": 2**40})

    assert isinstance(wrong, InvalidRequestError)
    assert [wrong.at_load, unknown.at_load] == [False, False]


def test_an_error_keeps_on_its_way_what_decides_who_may_answer() -> None:
    error = EngineError("It is too large.")
    error.transient, error.at_load, error.host = True, True, "h1"

    same = error_from(error_fields(error))

    assert type(same) is EngineError
    assert (same.transient, same.at_load, same.host) == (True, True, "h1")
    assert [EngineError.transient, EngineError.at_load] == [False, False]
