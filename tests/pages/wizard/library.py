"""A catalog as an organisation has it: engines that fit, one that is recommended, one that is too large."""

from __future__ import annotations

from engines.fit.qwen3 import qwen3_models
from engines.models import (
    CatalogModel,
    CopyStatus,
    Host,
    LoraAdapter,
    ModelCopy,
    ModelRevision,
)
from engines.services.catalog.speeds import note_answer_speed
from tests.api.roles import GIB, Engines, People, make_model, use_engine

MORE = (
    ("gemma-12b", "Gemma 3 12B", "gemma", "qwen3-14b", "gemma"),
    ("mistral-7b", "Mistral 7B Instruct", "mistral", "qwen3-8b", "apache-2.0"),
    ("qwen-32b", "Qwen 3 32B", "qwen", "qwen3-32b", "apache-2.0"),
    ("qwen-235b", "Qwen 3 235B A22B", "qwen", "qwen3-235b-a22b", "apache-2.0"),
)


def furnish(people: People, engines: Engines) -> None:
    """Name and measure the engines, and give Alice the old one with two adapters."""
    Host.objects.update(gpus=["NVIDIA RTX 4090"], vram_bytes=24 * GIB)
    name(engines.old, "Llama 3.1 8B Instruct", "qwen3-8b", licence="llama3.1", tags=["english"])
    name(
        engines.new,
        "Qwen 3 4B",
        "qwen3-4b",
        licence="apache-2.0",
        tags=["multilingual"],
        recommended=True,
    )
    for model_id, title, family, shape, licence in MORE:
        model = make_model(model_id, family=family, embedding_model=engines.embedder)
        name(model, title, shape, licence=licence)
    for model in (engines.old, engines.new):
        revision = ModelRevision.objects.get(model=model)
        ModelCopy.objects.create(
            revision=revision,
            host=engines.host,
            status=CopyStatus.DOWNLOADED,
            path=f"/models/{model.model_id}",
            checksum="c",
        )
        note_answer_speed(revision, engines.host, tokens=82, seconds=2.0)
    use_engine(people.alice, engines.old)
    for number, adapter in enumerate(("legal style", "short answers")):
        LoraAdapter.objects.create(
            user=people.alice,
            name=adapter,
            base_revision=ModelRevision.objects.get(model=engines.old),
            artifact_key=f"adapters/aa/{number}",
            sha256="a" * 64,
            file_size=10,
        )


def name(model: CatalogModel, title: str, shape: str, **fields: object) -> None:
    """Give an entry its title, and its file the shape of a real one."""
    CatalogModel.objects.filter(pk=model.pk).update(
        display_name=title, context_length=32_768, **fields
    )
    found = next(m for m in qwen3_models() if m.model_id == shape).shape()
    ModelRevision.objects.filter(model=model).update(shape=found.as_dict())
