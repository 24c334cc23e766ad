"""Texts that somebody changed by hand, among the damages that the checker must find."""

from __future__ import annotations

from engines.models import Chunk, Document
from tests.invariants.damages import DAMAGES, damage
from tests.invariants.scene import Scene

__all__ = ["DAMAGES"]
"""With those of this module."""


@damage("changed_texts")
def _document_changed(scene: Scene) -> None:
    Document.objects.filter(pk=scene.document.pk).update(text="Another text.")


@damage("changed_texts")
def _passage_changed(scene: Scene) -> None:
    Chunk.objects.filter(document=scene.document).update(text="Another text.")
