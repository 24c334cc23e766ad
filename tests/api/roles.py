"""Alice owns, Bob is a stranger, the rest are staff; a small catalog and one host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group, User
from django.utils import timezone
from rest_framework.test import APIClient

from engines.models import (
    CatalogModel,
    CopyStatus,
    EngineDefault,
    EnginePreference,
    Host,
    HostStatus,
    ModelCopy,
    ModelRevision,
    ModelRole,
)
from migrations_app.models import Backup, Plan
from migrations_app.plans.planning import Options, plan_migration

PASSWORD = "a long password"
GIB = 2**30


@dataclass(frozen=True)
class People:
    alice: User
    bob: User
    curator: User
    operator: User
    administrator: User


def make_people() -> People:
    def person(name: str, *roles: str) -> User:
        user = User.objects.create_user(name, password=PASSWORD)
        user.groups.set([Group.objects.get_or_create(name=role)[0] for role in roles])
        return user

    return People(
        alice=person("alice"),
        bob=person("bob"),
        curator=person("carol", "curator"),
        operator=person("oscar", "operator"),
        administrator=person("adam", "administrator"),
    )


@dataclass(frozen=True)
class Engines:
    old: CatalogModel
    new: CatalogModel
    hidden: CatalogModel
    reserved: CatalogModel
    embedder: CatalogModel
    host: Host


def make_engines() -> Engines:
    embedder = make_model("minilm", role=ModelRole.EMBEDDING)
    reserved = make_model("reserved-8b", embedding_model=embedder)
    reserved.allowed_groups.add(Group.objects.get_or_create(name="research")[0])
    return Engines(
        old=make_model("llama-8b", embedding_model=embedder),
        new=make_model("qwen-4b", family="qwen", embedding_model=embedder),
        hidden=make_model("draft-1b", published=False, embedding_model=embedder),
        reserved=reserved,
        embedder=embedder,
        host=Host.objects.create(
            name="gpu-1",
            status=HostStatus.ACTIVE,
            last_seen=timezone.now(),
            memory_bytes=64 * GIB,
            disk_free_bytes=500 * GIB,
        ),
    )


def make_model(model_id: str, *, family: str = "llama", **fields: Any) -> CatalogModel:
    model = CatalogModel.objects.create(
        model_id=model_id,
        display_name=model_id.upper(),
        model_family=family,
        huggingface_repo=f"org/{model_id}",
        filename=f"{model_id}.gguf",
        **fields,
    )
    number = f"{model.pk:x}"
    revision = ModelRevision.objects.create(
        model=model, commit=number.rjust(40, "a"), sha256=number.rjust(64, "b"), file_size=1000
    )
    model.current_revision = revision
    model.save()
    return model


def use_engine(user: User, engine: CatalogModel) -> EnginePreference:
    return EnginePreference.objects.create(
        user=user, engine=engine, revision=engine.current_revision, prompt_family="llama"
    )


def make_default(engine: CatalogModel) -> EngineDefault:
    return EngineDefault.objects.create(engine=engine)


def make_plan(user: User, engines: Engines) -> Plan:
    return plan_migration(user, "current", engines.new.model_id, Options(), actor=user)


def make_backup(plan: Plan) -> Backup:
    """The sealed archive of a plan's person, as its first step leaves it."""
    assert plan.user is not None
    return Backup.objects.create(
        plan=plan,
        user=plan.user,
        artifact_key=f"backups/aa/{'a' * 64}",
        sha256="a" * 64,
        file_size=2048,
        wrapped_key=f"{'0' * 16}.{'A' * 80}",
        contents={"secret": "what the archive holds"},
        verified_at=timezone.now(),
    )


def client_of(user: User | None) -> APIClient:
    client = APIClient()
    if user is not None:
        client.force_authenticate(user)
    return client


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is a problem of this kind and return it."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["detail"].endswith((".", "!", "?")), body["detail"]
    return body


def make_unsafe_copy(engines: Engines) -> ModelCopy:
    """The old engine's file on the host, marked as one that crashed."""
    assert engines.old.current_revision is not None
    return ModelCopy.objects.create(
        revision=engines.old.current_revision,
        host=engines.host,
        path="/models/x",
        checksum="c" * 64,
        status=CopyStatus.UNSAFE,
        error="It crashed.",
    )
