"""Many people to another engine in the admin: what it would mean, and how far it is."""

from __future__ import annotations

from migrations_app.admin.moves import page
from migrations_app.admin.moves.offer import offer_move

__all__ = ["offer_move", "page"]
