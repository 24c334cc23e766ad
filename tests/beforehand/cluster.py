"""Makes a database cluster that has the tests' tables, to be copied by each process of a run.

``python -m tests.beforehand.cluster FOLDER`` leaves it there, stopped. An initdb and a hundred migrations
take each process as long as copying takes all of them together.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import django
from django.conf import settings
from django.test.utils import setup_databases

from samproject.supervisor.embedded import EmbeddedServices
from samproject.supervisor.locations import Locations
from tests.beforehand.database import do_not_wait_for_the_disk

NAME = "postgres"
VARIABLE = "SAM_TESTS_CLUSTER"
"""Names the folder of the cluster that the processes copy; without it each makes its own."""


def make_cluster(folder: Path) -> None:
    """Leave a stopped cluster with all tables; nothing where the tests use a PostgreSQL of their own."""
    if not settings.SAM_EMBEDDED_POSTGRES:
        return
    with EmbeddedServices(settings.SAM_LOCATIONS, redis=False):
        do_not_wait_for_the_disk()
        setup_databases(verbosity=0, interactive=False)
    settings.SAM_LOCATIONS.postgres_data.rename(folder / NAME)


def copy_cluster(locations: Locations) -> bool:
    """Give a new data folder the cluster that was made beforehand; False when there is none."""
    made = os.environ.get(VARIABLE)
    if not made or locations.postgres_data.exists():
        return False
    # As root the files belong to the servers' user, and stay so.
    command = ["cp", "-a", made, str(locations.postgres_data)]
    subprocess.run(command, check=True)
    return True


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    make_cluster(Path(sys.argv[1]))
