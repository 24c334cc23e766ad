"""What the template of a model's file says that it can do, kept with its revision."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from engines.exceptions import EngineError
from engines.gguf.header import GgufHeader
from engines.gguf.parts import read_model_header
from engines.models import ModelRevision
from engines.runtimes.child.template_reading import read_abilities

logger = logging.getLogger(__name__)


def remember_abilities(revision: ModelRevision, path: Path) -> None:
    """Keep what the template of a file on this host shows, where its header at the Hub was not read before."""
    if not revision.abilities:
        revision.abilities = abilities_in(read_model_header(path))
        ModelRevision.objects.filter(pk=revision.pk).update(abilities=revision.abilities)


def abilities_in(header: GgufHeader) -> dict[str, bool]:
    """Return what a header's template shows; empty, which is logged, where it cannot be told: the family says it then."""
    facts = header.facts()
    try:
        found: dict[str, bool] = msgspec.to_builtins(read_abilities(facts.chat_template))
    except EngineError as error:
        logger.warning("what the template of %s shows cannot be told: %s", facts.name, error)
        return {}
    return found
