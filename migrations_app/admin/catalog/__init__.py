"""The admin of the catalog: entries with their form and pages, and their files on hosts."""

from __future__ import annotations

from migrations_app.admin.catalog import copies, entries
from migrations_app.admin.catalog.entries import CatalogModelAdmin

__all__ = ["CatalogModelAdmin", "copies", "entries"]
