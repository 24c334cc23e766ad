"""All benchmarks by one command: ``.venv/bin/python -m tests.benchmarks``."""

from __future__ import annotations

import os

import django
from rich.console import Console
from rich.table import Table

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()


def main() -> None:
    """Run on servers of its own, in a folder of its own, and print what was measured."""
    from django.conf import settings  # noqa: PLC0415 - only after setup
    from django.core.management import call_command  # noqa: PLC0415

    from samproject.supervisor.embedded import EmbeddedServices  # noqa: PLC0415
    from tests.benchmarks.switch import measure  # noqa: PLC0415

    with EmbeddedServices(settings.SAM_LOCATIONS):
        call_command("migrate", interactive=False, verbosity=0)
        timings = measure()
    table = Table("chunks", "median ms", "worst ms", title="The switch, its whole transaction")
    for timing in timings:
        table.add_row(f"{timing.chunks:,}", f"{timing.median_ms:.1f}", f"{timing.worst_ms:.1f}")
    console = Console()
    console.print(table)
    ratio = timings[-1].median_ms / timings[0].median_ms
    console.print(f"{timings[-1].chunks:,} against {timings[0].chunks:,} chunks: {ratio:.2f} times")


if __name__ == "__main__":
    main()
