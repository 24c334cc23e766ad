"""A long conversation goes on without being read again, and no other person learns of it."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from django.contrib.auth.models import User

from deploy.demo.models.tiny_models import write_llama_chat
from engines.models import EnginePreference, Host, ModelRevision, TokenUsage
from engines.runtimes.llama_cpp.generator import PROMPT_PIECE
from tests.openai_api.conftest import Asker, Served
from tests.tokens import token_for
from tests.worker.live.test_live import make_revision


@pytest.fixture
def long_revision(asker: Asker, tmp_path: Path) -> ModelRevision:
    path = write_llama_chat(tmp_path / "long-llama.gguf", context_length=4096)
    return make_revision(path, Host.objects.get(), "long-llama")


def chosen(user: User, revision: ModelRevision) -> str:
    engine = {"engine": revision.model, "revision": revision}
    EnginePreference.objects.update_or_create(user=user, defaults=engine)
    return token_for(user)


def test_each_person_goes_on_where_they_were(served: Served, long_revision: ModelRevision) -> None:
    people = [User.objects.create(username=name) for name in ("ada", "grace")]
    messages = [{"role": "user", "content": "Tell me of the harbour and of the market. " * 90}]

    def ask(client: httpx2.Client) -> tuple[str, int, int]:
        asked = {"model": "sam", "messages": messages, "temperature": 0, "max_tokens": 8}
        body = client.post("chat/completions", json=asked).json()
        details = body["usage"]["prompt_tokens_details"]
        content = body["choices"][0]["message"]["content"]
        return content, body["usage"]["prompt_tokens"], details["cached_tokens"]

    ada, grace = (served.web.client(chosen(person, long_revision)) for person in people)
    with ada, grace:
        said, whole, cached = ask(ada)
        assert (whole > 512, cached) == (True, 0)
        assert ask(grace)[2] == 0
        messages += [
            {"role": "assistant", "content": said},
            {"role": "user", "content": "And then?"},
        ]
        for client in (ada, grace):
            _, longer, cached = ask(client)
            assert whole // PROMPT_PIECE * PROMPT_PIECE == cached < whole < longer

    counted = TokenUsage.objects.values_list("tokens_in", flat=True)
    assert list(counted) == [whole + longer] * 2
