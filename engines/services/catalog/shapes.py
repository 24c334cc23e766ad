"""The shapes of model files, read from their first megabytes at the Hub and kept with the revision."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from engines.exceptions import SamError
from engines.fit.model_shape import ModelShape
from engines.models import ModelRevision
from engines.services.catalog.abilities import abilities_in
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
