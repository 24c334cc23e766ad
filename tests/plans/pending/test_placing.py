"""Plans go where the engines fit, by what their headers say of the context they get."""

from __future__ import annotations

import pytest

from engines.fit.qwen3 import qwen3_model
from engines.models import CatalogModel, CopyStatus, Host, ModelCopy, ModelRevision
from migrations_app.plans.planning import choose_host
from tests.worker.plans import make_host

pytestmark = pytest.mark.django_db

GIB = 1024**3


def make_revision(name: str, *, size: int = GIB, shaped: bool = True) -> ModelRevision:
    model = CatalogModel.objects.create(
        model_id=name, display_name=name, model_family="qwen", filename=f"{name}.gguf"
    )
    shape = qwen3_model("qwen3-4b").shape().as_dict() if shaped else {}
    return ModelRevision.objects.create(
        model=model, commit="a" * 40, sha256="b" * 64, file_size=size, shape=shape
    )


@pytest.fixture
def small() -> Host:
    """A host that has the file and the most disk, and too little memory."""
    return make_host("small", memory_bytes=6 * GIB, disk_free_bytes=900 * GIB)


@pytest.fixture
def large() -> Host:
    return make_host("large", memory_bytes=64 * GIB, disk_free_bytes=10 * GIB)


def place(revision: ModelRevision, host: Host) -> None:
    ModelCopy.objects.create(
        revision=revision, host=host, path="/x", checksum="b" * 64, status=CopyStatus.DOWNLOADED
    )


def test_an_engine_goes_where_it_fits_although_its_file_is_elsewhere(
    small: Host, large: Host
) -> None:
    revision = make_revision("whole-context")
    place(revision, small)

    assert choose_host([revision]) == large


def test_the_engine_beside_it_needs_room_too(small: Host, large: Host) -> None:
    new, old = make_revision("new", size=3 * GIB, shaped=False), make_revision("old", shaped=False)
    ModelRevision.objects.filter(pk=old.pk).update(file_size=4 * GIB)
    old.refresh_from_db()
    place(new, small)

    assert choose_host([new]) == small
    assert choose_host([new], beside=[old]) == large


def test_where_nothing_fits_or_nothing_is_known_the_files_decide(small: Host) -> None:
    unknown = make_host("unknown", memory_bytes=0)
    revision = make_revision("whole-context")
    assert choose_host([revision]) == unknown

    unknown.delete()

    assert choose_host([revision]) == small
