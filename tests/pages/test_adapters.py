"""Adapters on their page: brought in, switched, deleted; what a move left behind and what to do."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deploy.demo.models.tiny_models import write_lora_for
from engines.models import AdapterStatus, LoraAdapter
from migrations_app.models import Plan
from migrations_app.states import PlanStatus
from tests.api.roles import Engines, People, make_plan, use_engine
from tests.people.test_indicator import leave_adapter

ADDRESS = "/settings/adapters/"


@pytest.fixture
def alice(people: People, engines: Engines) -> Client:
    client = Client()
    client.force_login(people.alice)
    return client


def keep(people: People, engines: Engines, name: str, **fields: Any) -> LoraAdapter:
    assert engines.old.current_revision is not None
    made = {"artifact_key": f"adapters/aa/{name}", "sha256": "a" * 64, "file_size": 10, **fields}
    return LoraAdapter.objects.create(
        **{"user": people.alice, **made}, name=name, base_revision=engines.old.current_revision
    )


def test_a_gguf_adapter_is_brought_in(
    alice: Client, people: People, engines: Engines, tiny_llama: Path, tmp_path: Path
) -> None:
    file = tmp_path / "style.gguf"
    write_lora_for(file, tiny_llama)
    wish = {"name": "style", "base_model": engines.old.pk}

    answer = alice.post(
        ADDRESS, {**wish, "file": SimpleUploadedFile("a.gguf", file.read_bytes())}, follow=True
    )

    assert "“style” is kept" in answer.content.decode()
    assert LoraAdapter.objects.get().user == people.alice
    again = alice.post(ADDRESS, {**wish, "file": SimpleUploadedFile("a.gguf", file.read_bytes())})
    assert again.status_code == 400
    assert "already have an adapter" in again.content.decode()
    assert LoraAdapter.objects.count() == 1


@pytest.mark.parametrize(
    "wish",
    [
        {"name": "style", "content": b"GGUF nonsense"},
        {"name": "style", "content": b""},
        {"name": "../style", "content": b"x"},
        {"name": "", "content": b"x"},
        {"name": "style", "content": b"x", "hidden": True},
    ],
)
def test_what_is_no_adapter_is_refused(
    alice: Client, engines: Engines, wish: dict[str, Any]
) -> None:
    model = engines.hidden if wish.get("hidden") else engines.old
    asked: dict[str, Any] = {"name": wish["name"], "base_model": model.pk}
    asked["file"] = SimpleUploadedFile("a.gguf", wish["content"])

    answer = alice.post(ADDRESS, asked)

    assert answer.status_code == 400
    assert "field-error" in answer.content.decode() or "tone-danger" in answer.content.decode()
    assert not LoraAdapter.objects.exists()


def test_an_adapter_is_switched_and_deleted_by_its_owner_alone(
    alice: Client, people: People, engines: Engines
) -> None:
    adapter = keep(people, engines, "style")
    bob = Client()
    bob.force_login(people.bob)
    one = f"{ADDRESS}{adapter.pk}/"

    for address in (f"{one}switch/", f"{one}delete/"):
        assert bob.post(address, {"enabled": "0"}).status_code == 404
    assert "style" not in bob.get(ADDRESS).content.decode().split("<main")[1].split("<form")[0]
    adapter.refresh_from_db()
    assert adapter.status == AdapterStatus.ACTIVE
    alice.post(f"{one}switch/", {"enabled": "0"})
    adapter.refresh_from_db()
    assert adapter.status == AdapterStatus.DISABLED
    alice.post(f"{one}switch/", {"enabled": "1"})
    adapter.refresh_from_db()
    assert adapter.status == AdapterStatus.ACTIVE
    alice.post(f"{one}delete/")
    assert not LoraAdapter.objects.exists()


def test_what_a_move_left_behind_leads_to_the_move(
    alice: Client, people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.old)
    plan = make_plan(people.alice, engines)
    adapter = leave_adapter(people.alice, engines, "style")
    adapter.training_stats["migration_notes"][0]["plan"] = str(plan.pk)
    adapter.save()
    text = alice.get(ADDRESS).content.decode()
    assert f'href="/migrate/{plan.pk}/"' in text
    assert "take the move back" not in text

    until = timezone.now() + timedelta(days=3)
    Plan.objects.update(status=PlanStatus.COMPLETED, retention_until=until)

    text = alice.get(ADDRESS).content.decode()
    assert "Adapters need retraining" in text
    assert "Left behind by your move from llama-8b to qwen-4b" in text
    assert "take the move back until" in text
    answer = alice.post(f"{ADDRESS}{adapter.pk}/switch/", {"enabled": "1"})
    assert answer.status_code == 409
    adapter.refresh_from_db()
    assert adapter.status == AdapterStatus.INVALIDATED


def test_questions_do_not_grow(alice: Client, people: People, engines: Engines) -> None:
    def count() -> int:
        alice.get(ADDRESS)
        with CaptureQueriesContext(connection) as caught:
            assert alice.get(ADDRESS).status_code == 200
        return len(caught)

    use_engine(people.alice, engines.old)
    for number in range(2):
        leave_adapter(people.alice, engines, f"left {number}")
    few = count()
    for number in range(12):
        leave_adapter(people.alice, engines, f"more {number}")
        keep(people, engines, f"style {number}")

    assert count() == few
