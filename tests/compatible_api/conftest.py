"""One web process, one worker and one engine for the clients of all protocols."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from django.contrib.auth.models import User
from pytest_django.plugin import DjangoDbBlocker

from deploy.demo.models import tiny_models
from engines.models import EnginePreference, Host, ModelRevision, TokenScope
from engines.services.people.tokens import create_token
from migrations_app.serving.protocol import LIVE_KINDS
from samproject.supervisor.embedded import EmbeddedServices
from tests.openai_api.conftest import Served, serve
from tests.worker.live.test_live import make_revision
from tests.worker.plans import make_host

THINKS = "tiny-thinker"
"""A model whose template opens its reasoning, as templates of reasoning models do."""

SWITCHES = "tiny-switcher"
"""A model whose template has a switch and takes an effort."""


@pytest.fixture(scope="package")
def served(
    tmp_path_factory: pytest.TempPathFactory,
    services: EmbeddedServices,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Served]:
    """Once for all clients; a worker forgets what no test needs any more."""
    with django_db_blocker.unblock(), serve(tmp_path_factory.mktemp("served")) as both:
        yield both


class Caller(NamedTuple):
    """A person with an engine, as a client is set up for them."""

    user: User
    revision: ModelRevision
    address: str
    token: str

    def token_of(self, scope: TokenScope) -> str:
        """The key of a token that opens less."""
        return create_token(self.user, "test", scope=scope).key


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With room for the descriptions of tools."""
    path = tmp_path_factory.mktemp("models") / "tiny-llama-f16.gguf"
    return tiny_models.write_llama_chat(path, context_length=2048)


@pytest.fixture(scope="session")
def tiny_thinker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny-thinker-f16.gguf"
    opened = f"{tiny_models.QWEN_TEMPLATE}{{% if add_generation_prompt %}}{{{{ '<think>\\n' }}}}{{% endif %}}"
    return tiny_models._write_chat(path, replace(tiny_models._QWEN, template=opened), 2, 1024)


@pytest.fixture(scope="session")
def tiny_switcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny-switcher-f16.gguf"
    told = (
        f"{{{{ 'Effort: ' + (reasoning_effort or 'medium') }}}}{tiny_models.QWEN_TEMPLATE}"
        "{% if add_generation_prompt %}{{ '<think></think>' if enable_thinking is false else '<think>' }}{% endif %}"
    )
    return tiny_models._write_chat(path, replace(tiny_models._QWEN, template=told), 2, 1024)


def _make_qwen(path: Path, host: Host, name: str) -> None:
    model = make_revision(path, host, name).model
    model.model_family = "qwen3"
    model.save()


@pytest.fixture
def switcher(caller: Caller, tiny_switcher: Path) -> str:
    """Another engine, and its name."""
    _make_qwen(tiny_switcher, Host.objects.get(), SWITCHES)
    return SWITCHES


@pytest.fixture
def caller(transactional_db: None, served: Served, tiny_llama: Path, tiny_thinker: Path) -> Caller:
    host = make_host(announces=[f"live.{kind}" for kind in LIVE_KINDS])
    revision = make_revision(tiny_llama, host)
    _make_qwen(tiny_thinker, host, THINKS)
    user = User.objects.create(username="alan")
    EnginePreference.objects.create(user=user, engine=revision.model, revision=revision)
    return Caller(user, revision, served.web.address, create_token(user, "test").key)
