"""Telling people that the engine they use was withdrawn from the catalog."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from engines.models import CatalogModel, NoticeKind
from engines.services.engine_choice import people_using
from engines.services.people.notices import Message, notify

LINK = "/engines/"


@contextmanager
def telling_of_withdrawals() -> Iterator[None]:
    """Tell who uses an engine that is published before the block and not after it, with its changes."""
    with transaction.atomic():
        before = list(CatalogModel.objects.filter(published=True).values_list("pk", flat=True))
        yield
        withdrawn = CatalogModel.objects.filter(pk__in=before, published=False)
        for engine in withdrawn.order_by("pk"):
            users = people_using(CatalogModel.objects.filter(pk=engine.pk)).order_by("pk")
            notify(users, _message(engine))


def _message(engine: CatalogModel) -> Message:
    return Message(
        NoticeKind.ENGINE_RETIRES,
        f"{engine.display_name} is withdrawn",
        "It goes on answering you for now. Move to another engine when it suits you: who has moved "
        "away comes back to it by taking the move back only.",
        LINK,
    )
