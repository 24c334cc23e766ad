"""Whether a newer SAM used the database: an older one would work on tables that it does not know."""

from __future__ import annotations

from django.db import connection
from django.db.migrations.loader import MigrationLoader

from engines.exceptions import ConflictError

OWN_APPS = frozenset({"engines", "migrations_app"})
"""Those whose migrations are never squashed away, so that one which is not here is newer."""


def refuse_newer_database() -> None:
    """Raise ConflictError, with both ways on, where the database has migrations of SAM's that are not here."""
    loader = MigrationLoader(connection)
    newer = sorted(
        key
        for key in loader.applied_migrations
        if key[0] in OWN_APPS and key not in loader.disk_migrations
    )
    if not newer:
        return
    apps = sorted({app for app, _ in newer})
    back = " and ".join(
        f"`manage.py migrate {app} {name}`"
        for app in apps
        for _, name in loader.graph.leaf_nodes(app)
    )
    app, name = newer[-1]
    raise ConflictError(
        f"A newer SAM used this database: it has the migration {app} {name}, which is not here. Start the newer "
        "one again. To go back to this one and keep what was written since, run with the newer one `manage.py up "
        f"--services-only` and, in another terminal, {back}; docs/upgrading.md says more."
    )
