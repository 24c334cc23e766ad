"""People move to engines that servers and plugins run, talk with them, and move back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from pytest_django.plugin import DjangoDbBlocker
from rest_framework.test import APIClient

from deploy.demo.hub.server import HubServer
from engines.host_runtimes import engine_registry
from engines.models import CatalogModel, Embedding, ModelRole
from engines.services.engine_choice import effective_engine
from migrations_app.controller import MigrationController
from migrations_app.models import Plan
from migrations_app.states import PlanStatus, StepStatus
from samproject.supervisor.embedded import EmbeddedServices
from tests.faults.harness import finished
from tests.openai_api.web import WebProcess
from tests.runtimes.plugin_package import install_plugin
from tests.runtimes.servers.ollama_server import OllamaStore, ollama_server
from tests.runtimes.servers.openai_server import KEY, OpenAIServer, openai_server
from tests.tokens import token_for
from tests.world.people import OLD, Person
from tests.world.state import final_state
from tests.world.workers import Workers, wait_until

pytestmark = pytest.mark.slow

MESSAGES = [{"role": "user", "content": "Where does the river end?"}]


@pytest.fixture(scope="module")
def openai(tiny_qwen: Path) -> Iterator[OpenAIServer]:
    with openai_server(tiny_qwen) as server:
        yield server


@pytest.fixture(scope="module")
def ollama(tmp_path_factory: pytest.TempPathFactory, tiny_qwen: Path) -> Iterator[OllamaStore]:
    with ollama_server(tmp_path_factory.mktemp("ollama")) as store:
        store.models["tiny-qwen:latest"] = tiny_qwen
        yield store


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_plugin(tmp_path_factory.mktemp("plugin"))


@pytest.fixture
def installed_here(plugin: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The plugin is known to this process too, which plays the web's part."""
    monkeypatch.syspath_prepend(str(plugin))
    engine_registry.cache_clear()
    yield
    engine_registry.cache_clear()


@pytest.fixture(scope="module")
def workers(
    tmp_path_factory: pytest.TempPathFactory,
    services: EmbeddedServices,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    openai: OpenAIServer,
    plugin: Path,
) -> Iterator[Workers]:
    """Workers of this module: they know the server's key, and a plugin is installed beside them."""
    folder = tmp_path_factory.mktemp("workers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAM_ENGINE_KEYS", json.dumps({openai.endpoint: KEY}))
        patch.setenv("PYTHONPATH", str(plugin))
        with Workers(folder / "data", folder / "faults") as running:
            yield running


@pytest.fixture(scope="module")
def web(workers: Workers, world_folder: Path) -> Iterator[WebProcess]:
    with WebProcess(world_folder, workers._environment()) as running:
        yield running


@pytest.fixture
def curator(ada: Person) -> APIClient:
    user = User.objects.create_user("carol", password="only-for-tests")
    user.groups.add(Group.objects.get_or_create(name="curator")[0])
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def companion(ada: Person, hub: HubServer) -> str:
    """An embedder whose file is that with which Ada's knowledge is indexed."""
    CatalogModel.objects.create(
        model_id="companion",
        display_name="Companion",
        model_family="llama",
        role=ModelRole.EMBEDDING,
        huggingface_repo=f"demo/{OLD}",
        filename="model.gguf",
        hub_endpoint=hub.endpoint,
    )
    return "companion"


def add(curator: APIClient, **fields: Any) -> str:
    entry = {"display_name": "Served", "model_family": "qwen", "context_length": 512, **fields}
    answer = curator.post("/api/v1/catalog", {"model_id": "served", **entry}, format="json")
    assert answer.status_code == 201, answer.json()
    return "served"


def start(ada: Person, engine: str) -> Plan:
    controller = MigrationController()
    plan_id = controller.create_migration_plan("current", engine, ada.user.pk)
    controller.execute_migration(plan_id)
    return Plan.objects.get(pk=plan_id)


def chat(web: WebProcess, user: User) -> dict[str, Any]:
    token = token_for(user)
    asked = {"model": "sam", "messages": MESSAGES, "max_tokens": 8, "temperature": 0}
    with web.client(token) as client:
        response = client.post("chat/completions", json=asked)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    assert body["choices"][0]["message"]["content"]
    return body


def moved_and_back(ada: Person, web: WebProcess, engine: str) -> Plan:
    """Move Ada, talk, move her back, talk; what was there before is there again."""
    before = chat(web, ada.user)["choices"]
    plan = finished(start(ada, engine))
    assert plan.status == PlanStatus.COMPLETED, [s.error for s in plan.steps.all()]
    assert chat(web, ada.user)["model"] == engine
    back = MigrationController().roll_back_migration(plan.pk)
    assert finished(Plan.objects.get(pk=back)).status == PlanStatus.COMPLETED
    after = chat(web, ada.user)
    assert (after["model"], after["choices"]) == (OLD, before)
    return plan


def test_a_person_moves_to_an_openai_compatible_server_keeps_the_embedder_and_moves_back(
    ada: Person,
    web: WebProcess,
    openai: OpenAIServer,
    curator: APIClient,
    companion: str,
    tiny_qwen: Path,
) -> None:
    engine = add(
        curator,
        runtime="openai",
        endpoint=openai.endpoint,
        remote_name=str(tiny_qwen),
        embedding_model=companion,
    )
    vectors = Embedding.objects.count()

    plan = moved_and_back(ada, web, engine)

    assert f"served at {openai.endpoint}" in plan.steps.get(kind="fetch_engine").detail
    assert Embedding.objects.count() == vectors
    assert KEY not in str(final_state())


def test_a_person_moves_to_an_ollama_server_that_embeds_too_and_moves_back(
    ada: Person, web: WebProcess, ollama: OllamaStore, curator: APIClient
) -> None:
    engine = add(curator, runtime="ollama", endpoint=ollama.endpoint, remote_name="tiny-qwen")
    vectors = Embedding.objects.count()

    plan = moved_and_back(ada, web, engine)

    assert plan.index_switches.count() == len(ada.bases)
    assert Embedding.objects.count() == 2 * vectors
    assert len(ollama.posted("/api/chat")) >= 1


def test_a_person_moves_to_a_plugins_folder_and_back(
    ada: Person,
    web: WebProcess,
    workers: Workers,
    installed_here: None,
    curator: APIClient,
    companion: str,
) -> None:
    folder = workers.models / "echo"
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"of a kind that only the plugin knows")
    engine = add(curator, runtime="echo", folder="echo", embedding_model=companion)

    plan = moved_and_back(ada, web, engine)

    assert plan.steps.get(kind="fetch_engine").detail.endswith("is the folder echo.")
    assert str(CatalogModel.objects.get(model_id=engine).source) == "folder"


def test_a_server_that_is_not_there_leaves_the_person_where_she_was(
    ada: Person, web: WebProcess, curator: APIClient, companion: str
) -> None:
    fields = {"runtime": "openai", "remote_name": "m", "embedding_model": companion}
    engine = add(curator, endpoint="http://127.0.0.1:9/v1", **fields)
    before = chat(web, ada.user)["choices"]

    plan = start(ada, engine)
    step = plan.steps.get(kind="fetch_engine")
    wait_until(lambda: _failures(plan) > 0, "the server to be asked in vain")
    MigrationController().cancel_migration(plan.pk)

    assert finished(plan).status == PlanStatus.CANCELLED
    step.refresh_from_db()
    assert step.status == StepStatus.CANCELLED
    told = plan.events.filter(step=step, why__contains="cannot be reached")
    assert told.exists()
    assert effective_engine(ada.user)[1] == ada.old
    assert chat(web, ada.user)["choices"] == before


def _failures(plan: Plan) -> int:
    return plan.steps.get(kind="fetch_engine").failures
