"""``manage.py rotate_backup_keys``: after a new SAM_BACKUP_KEY, so that the older one can be thrown away."""

from __future__ import annotations

from collections.abc import Mapping

from migrations_app.backups import rotate_keys
from migrations_app.management.console import SamCommand


class Command(SamCommand):
    help = (
        "Wrap the key of every backup with the SAM_BACKUP_KEY in use. The earlier keys stand in "
        "SAM_BACKUP_OLD_KEYS until this has ended; then they can be destroyed."
    )

    def run(self, options: Mapping[str, object]) -> None:
        count = rotate_keys()
        self.say(f"{count} backups were wrapped anew; the earlier keys open none of them any more.")
