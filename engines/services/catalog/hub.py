"""Which Hub an entry's file comes from, and whether SAM's token goes there."""

from __future__ import annotations

import httpx2
from django.conf import settings

from engines.models import CatalogModel
from engines.transfer.redirects import same_origin


def hub_of(model: CatalogModel) -> str:
    """Return the address of the Hub that has an entry's file: its own, else the configured one."""
    return model.hub_endpoint or settings.HF_ENDPOINT


def hub_token(url: str) -> str | None:
    """Return HF_TOKEN for an address of HF_ENDPOINT's origin, None for any other.

    Curators and imported catalogs name hubs; only the administrator's own gets the token.
    """
    if not settings.HF_TOKEN:
        return None
    is_ours = same_origin(httpx2.URL(url), httpx2.URL(settings.HF_ENDPOINT))
    return str(settings.HF_TOKEN) if is_ours else None
