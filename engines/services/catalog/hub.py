"""Which Hub an entry's file comes from, and whether SAM's token goes there."""

from __future__ import annotations

import httpx2
from django.conf import settings

from engines.exceptions import InvalidRequestError
from engines.models import CatalogModel
from engines.transfer.redirects import same_origin


def hub_of(model: CatalogModel) -> str:
    """Return the address of the Hub that has an entry's file: its own, else the configured one."""
    return model.hub_endpoint or settings.HF_ENDPOINT


def require_repository(model: CatalogModel, repository: str = "") -> str:
    """Return where an entry's file lies at its hub: ``repository``, else what the entry names.

    InvalidRequestError for a file that was added on a host.
    """
    found = repository or model.huggingface_repo
    if not found:
        raise InvalidRequestError(
            f"{model.model_id} names no repository: it is a file that was added on a host. Add it "
            "where it is missing (`sam catalog add FILE`), or give the entry its huggingface_repo."
        )
    return found


def hub_token(url: str) -> str | None:
    """Return HF_TOKEN for an address of HF_ENDPOINT's origin, None for any other.

    Curators and imported catalogs name hubs; only the administrator's own gets the token.
    """
    if not settings.HF_TOKEN:
        return None
    is_ours = same_origin(httpx2.URL(url), httpx2.URL(settings.HF_ENDPOINT))
    return str(settings.HF_TOKEN) if is_ours else None
