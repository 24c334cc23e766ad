"""An answer whose request names no limit ends all the same."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django.fixtures import Settings

from engines.models import EnginePreference, TokenReservation, TokenUsage
from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.services.answers.messages import AnswerRequest, EndEvent
from engines.services.answers.prompt import count_answer_room
from engines.services.people.usage import (
    QuotaExceededError,
    estimate_tokens,
    remove_quota,
    set_quota,
)
from engines.specs import EngineSpec
from migrations_app.limits.admission import Admission, count_characters
from tests.worker.live.test_live import make_revision
from tests.worker.plans import make_host
from worker.host.engine_pool import engine_pool
from worker.live.answer import stream


def ending(payload: dict[str, Any]) -> tuple[int, str]:
    end = list(stream(AnswerRequest(**payload), threading.Event()))[-1]
    assert isinstance(end, EndEvent)
    return end.completion_tokens, end.finish_reason


@pytest.mark.django_db(transaction=True)
def test_an_answer_without_a_limit_ends_at_the_settings_and_says_so(
    settings: Settings, tiny_llama: Path
) -> None:
    revision = make_revision(tiny_llama, make_host())
    user = User.objects.create(username="ada")
    EnginePreference.objects.create(user=user, engine=revision.model, revision=revision)
    messages = [{"role": "user", "content": "Say something."}]
    asked: dict[str, Any] = {"user_id": user.pk, "messages": messages, "temperature": 0.0}
    settings.SAM_MAX_ANSWER_TOKENS = 5

    assert ending(asked) == (5, "length")
    assert ending({**asked, "max_tokens": 7}) == (7, "length")
    settings.SAM_MAX_ANSWER_TOKENS = 0
    assert ending(asked)[0] > 7
    engine_pool().unload(str(tiny_llama))


def test_a_limit_is_never_more_than_the_context_has_room_for(tiny_llama: Path) -> None:
    """A server refuses such a request instead of ending sooner."""
    with LlamaCppEngine.from_spec(EngineSpec("tiny", "Tiny", str(tiny_llama))) as engine:
        engine.load_model()
        context = int(engine.get_engine_info()["context_length"])
        prompt = "A bridge. " * 20
        tokens = engine.complete(prompt, max_tokens=1).prompt_tokens

        assert count_answer_room(engine, "Hi", 16) == 16
        assert count_answer_room(engine, prompt, context) == context - tokens
        assert count_answer_room(engine, prompt * 1000, 16) == 1


@pytest.mark.django_db(transaction=True)
def test_a_prompt_of_more_tokens_than_estimated_leaves_the_quota_whole(tiny_llama: Path) -> None:
    """Each character is a token here, twice what is estimated: the answer pays for it."""
    revision = make_revision(tiny_llama, make_host())
    user = User.objects.create(username="ada")
    EnginePreference.objects.create(user=user, engine=revision.model, revision=revision)
    question = AnswerRequest(
        user_id=user.pk,
        messages=[{"role": "user", "content": "?!" * 150}],
        max_tokens=20,
        temperature=0.0,
    )

    def used_with(quota: int) -> int:
        TokenUsage.objects.all().delete()
        set_quota(user, quota)
        admission = Admission(user, count_characters(question), 20)
        try:
            *_, end = stream(admission.bound(question), threading.Event())
            assert isinstance(end, EndEvent)
            assert TokenReservation.objects.get().tokens == read + min(20, quota - read)
        finally:
            admission.release()
        return end.prompt_tokens + end.completion_tokens

    *_, free = stream(question, threading.Event())
    assert isinstance(free, EndEvent)
    read = free.prompt_tokens
    assert read > estimate_tokens(count_characters(question), 20)

    assert used_with(read + 1000) == read + 20
    assert used_with(read + 7) == read + 7
    with pytest.raises(
        QuotaExceededError, match=f"have {read} tokens, and {read} of those"
    ) as told:
        used_with(read)
    assert told.value.seconds > 5
    assert not TokenUsage.objects.exists()
    assert not TokenReservation.objects.exists()
    remove_quota(user)
    engine_pool().unload(str(tiny_llama))
