"""The shapes of model files and what their chat templates show, read from their headers and kept with the revision."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from engines.exceptions import EngineError, SamError
from engines.fit.model_shape import ModelShape
from engines.gguf.header import GgufHeader
from engines.gguf.parts import read_model_header
from engines.models import ModelRevision
from engines.runtimes.child.template_reading import read_abilities
from engines.services.catalog.hub import hub_token
from engines.transfer.model_header import HEADER_OPTIONS, read_remote_model
from engines.transfer.remote_file import DownloadOptions, RemoteFile

logger = logging.getLogger(__name__)

ONE_ATTEMPT = replace(HEADER_OPTIONS, give_up_after=0.0)


def known_shape(revision: ModelRevision | None) -> ModelShape | None:
    """Return what was read of a revision's header before, or None."""
    if revision is None or not revision.shape:
        return None
    return ModelShape.from_dict(revision.shape)


def read_shape(
    revision: ModelRevision,
    remotes: Sequence[RemoteFile],
    options: DownloadOptions = HEADER_OPTIONS,
) -> ModelShape:
    """Read a revision's header at the Hub, that of each part, and keep its shape and what its template shows.

    Raises UnsafeModelFileError and what asking the Hub raises; then nothing is kept.
    """
    header = read_remote_model(remotes, token=hub_token(remotes[0].url), options=options)
    shape = ModelShape.from_header(header)
    revision.shape, revision.abilities = shape.as_dict(), abilities_in(header)
    ModelRevision.objects.filter(pk=revision.pk).update(
        shape=revision.shape, abilities=revision.abilities
    )
    return shape


def try_to_read_shape(revision: ModelRevision, remotes: Sequence[RemoteFile]) -> None:
    """Read a shape that is not needed yet: a failure is logged, and the next need tries again."""
    if revision.shape and revision.abilities:
        return
    try:
        read_shape(revision, remotes, ONE_ATTEMPT)
    except SamError as error:
        logger.warning("the header of %s cannot be read yet: %s", revision, error)


def remember_abilities(revision: ModelRevision, path: Path) -> None:
    """Keep what the template of a file on this host shows, where its header at the Hub was not read before."""
    if not revision.abilities:
        revision.abilities = abilities_in(read_model_header(path))
        ModelRevision.objects.filter(pk=revision.pk).update(abilities=revision.abilities)


def abilities_in(header: GgufHeader) -> dict[str, bool]:
    """Return what a header's template shows; empty, which is logged, where it cannot be told: the family says it then."""
    facts = header.facts()
    try:
        told = read_abilities(facts.chat_template, facts.tool_template)
        found: dict[str, bool] = msgspec.to_builtins(told)
    except EngineError as error:
        logger.warning("what the template of %s shows cannot be told: %s", facts.name, error)
        return {}
    return found
