"""An AI client that is not told of a migration: it talks on, through the switch and the way back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from rest_framework.authtoken.models import Token

from deploy.demo.hub.server import HubServer
from deploy.demo.models.tiny_models import write_llama_chat, write_qwen_chat
from engines.services.knowledge.search_filters import SearchFilter
from migrations_app.controller import MigrationController
from migrations_app.models import Plan
from migrations_app.serving.answers import search_for
from migrations_app.states import PlanKind, PlanStatus, task_name
from tests.faults.harness import finished, migrate
from tests.openai_api.sse import chunks_of, text_of
from tests.openai_api.web import WebProcess
from tests.world.people import NEW, OLD, Person, hub_folder, sentence
from tests.world.workers import Workers, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.proof]

CONTEXT = 8192
LONG = 5000
"""Tokens of a stream that goes on for a minute or so after the switch it began before."""


@pytest.fixture(scope="module")
def world_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world of this module: its engines can talk for a long time."""
    return tmp_path_factory.mktemp("talkative")


@pytest.fixture(scope="module")
def hub(world_folder: Path) -> Iterator[HubServer]:
    llama = write_llama_chat(world_folder / "llama.gguf", context_length=CONTEXT)
    qwen = write_qwen_chat(world_folder / "qwen.gguf", context_length=CONTEXT)
    with HubServer(hub_folder(world_folder / "hub", llama, qwen)) as server:
        yield server


@pytest.fixture(scope="module")
def web(workers: Workers, world_folder: Path) -> Iterator[WebProcess]:
    with WebProcess(world_folder, workers._environment()) as running:
        yield running


Ask = Callable[[dict[str, Any]], tuple[str, str]]
"""Asks for an answer, streamed or whole; who answered and what."""


@dataclass
class Talk:
    """A conversation that goes on in a thread until it is told to end."""

    ask: Ask
    models: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        messages: list[dict[str, str]] = []
        while not self.done.wait(0.05):
            messages.append({"role": "user", "content": f"And number {len(messages)}?"})
            stream = len(self.models) % 2 == 1
            asked = {"model": "sam", "messages": messages, "max_tokens": 8, "stream": stream}
            try:
                model, text = self.ask(asked)
            except (AssertionError, httpx2.HTTPError, openai.OpenAIError, ValueError) as error:
                self.failures.append(repr(error))
                continue
            self.models.append(model)
            messages.append({"role": "assistant", "content": text})

    def has_heard(self, model: str) -> bool:
        return self.models[-1:] == [model]


def by_http(client: httpx2.Client, asked: dict[str, Any]) -> tuple[str, str]:
    if asked["stream"]:
        return _streamed(client, asked)
    response = client.post("chat/completions", json=asked)
    assert response.status_code == 200, response.text
    body = response.json()
    return body["model"], body["choices"][0]["message"]["content"]


def _streamed(client: httpx2.Client, asked: dict[str, Any]) -> tuple[str, str]:
    with client.stream("POST", "chat/completions", json=asked) as response:
        assert response.status_code == 200, response.read()
        chunks = list(chunks_of(response.iter_lines()))
    (model,) = {chunk["model"] for chunk in chunks}
    return model, text_of(chunks)


def by_openai(client: openai.OpenAI, asked: dict[str, Any]) -> tuple[str, str]:
    """As the unmodified ``openai`` client has it."""
    answer: Any = client.chat.completions.create(**asked)
    if not asked["stream"]:
        return answer.model, answer.choices[0].message.content
    chunks = list(answer)
    (model,) = {chunk.model for chunk in chunks}
    return model, "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


@contextmanager
def talking(web: WebProcess, token: str) -> Iterator[list[Talk]]:
    """The load: one conversation by hand and two with the ``openai`` client, who never retries."""
    options: Any = {"base_url": f"{web.address}/v1", "api_key": token, "max_retries": 0}
    with web.client(token) as client, openai.OpenAI(**options) as other:
        talks = [Talk(partial(by_http, client)), *(Talk(partial(by_openai, other)) for _ in "12")]
        threads = [threading.Thread(target=talk.run) for talk in talks]
        for thread in threads:
            thread.start()
        try:
            yield talks
        finally:
            for talk, thread in zip(talks, threads, strict=True):
                talk.done.set()
                thread.join()


def all_have_heard(talks: list[Talk], model: str) -> Callable[[], bool]:
    return lambda: all(talk.has_heard(model) for talk in talks)


def held_at(workers: Workers, kind: PlanKind, step: str) -> Path:
    """Arrange that a step is held where it is about to do its work; the file that lets it go."""
    point = workers.faults / f"{task_name(kind, step)}:claimed"
    point.with_name(f"{point.name}.arm").touch()
    return point


def stream_across(client: httpx2.Client, workers: Workers, point: Path, plan: Plan) -> str:
    """Begin a stream before a switch, let the switch come, read on to the end; who answered."""
    wait_until(point.with_name(f"{point.name}.hit").exists, "the switch to be near")
    asked = {"model": "sam", "messages": [{"role": "user", "content": "Talk."}], "stream": True}
    options = {**asked, "max_tokens": LONG, "stream_options": {"include_usage": True}}
    with client.stream("POST", "chat/completions", json=options) as response:
        chunks = chunks_of(response.iter_lines())
        read = [next(chunks)]
        point.with_name(f"{point.name}.go").touch()
        wait_until(lambda: _is_switched(plan), "the switch")
        # What the engine still had to say after the switch is the greater part.
        read += list(chunks)
    assert read[-1]["usage"]["completion_tokens"] == LONG
    (model,) = {chunk["model"] for chunk in read}
    return str(model)


def _is_switched(plan: Plan) -> bool:
    step = plan.steps.get(kind__in=("cut_over", "cut_back"))
    return step.status == "completed"


def test_a_client_talks_through_a_migration_and_the_way_back(
    ada: Person, workers: Workers, web: WebProcess
) -> None:
    token = Token.objects.create(user=ada.user).key
    with web.client(token) as client, talking(web, token) as talks:
        wait_until(all_have_heard(talks, OLD), "the first answers")
        point = held_at(workers, PlanKind.MIGRATE, "cut_over")
        plan = migrate(ada)
        first = stream_across(client, workers, point, plan)
        wait_until(all_have_heard(talks, NEW), "answers of the new engine")
        assert finished(plan).status == PlanStatus.COMPLETED

        point = held_at(workers, PlanKind.ROLLBACK, "cut_back")
        back = Plan.objects.get(pk=MigrationController().roll_back_migration(plan.pk))
        second = stream_across(client, workers, point, back)
        wait_until(all_have_heard(talks, OLD), "answers of the old engine")
        assert finished(back).status == PlanStatus.COMPLETED

    for talk in talks:
        assert talk.failures == []
        assert [model for model, _ in groupby(talk.models)] == [OLD, NEW, OLD]
    assert (first, second) == (OLD, NEW)


def test_an_answer_from_ones_knowledge_cites_it(
    ada: Person, workers: Workers, web: WebProcess
) -> None:
    token = Token.objects.create(user=ada.user).key
    messages = [{"role": "user", "content": sentence(7)}]
    asked: dict[str, Any] = {"model": "sam", "messages": messages, "max_tokens": 8}

    with web.client(token) as client:
        plain = client.post("chat/completions", json=asked).json()
        whole = client.post("chat/completions", json={**asked, "knowledge": {"k": 3}}).json()
        streamed = {**asked, "knowledge": True, "stream": True}
        with client.stream("POST", "chat/completions", json=streamed) as response:
            chunks = list(chunks_of(response.iter_lines()))
        base, document = ada.bases[1], ada.bases[1].documents.first()
        assert document is not None
        narrow = {**asked, "knowledge": {"k": 5, "bases": [base.pk], "min_score": -1}}
        narrowed = client.post("chat/completions", json=narrow).json()
        strange = {**asked, "knowledge": {"bases": [base.pk, 10**9]}}
        refused = client.post("chat/completions", json=strange)
    found = search_for(ada.user, sentence(7), 5, SearchFilter(documents=[document.pk]))

    assert [cited["base_id"] for cited in narrowed["citations"]] == [base.pk] * 5
    assert {hit.document_id for hit in found.hits} == {document.pk}
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_request")
    assert "citations" not in plain
    assert [cited["number"] for cited in whole["citations"]] == [1, 2, 3]
    assert whole["citations"][0]["text"] == sentence(7)
    assert whole["citations"][0]["score"] > 0.999
    assert whole["usage"]["prompt_tokens"] > plain["usage"]["prompt_tokens"] + 50
    assert len(chunks[0]["citations"]) == 4
    assert all("citations" not in chunk for chunk in chunks[1:])
