"""All benchmarks by one command: ``.venv/bin/python -m tests.benchmarks``; names choose some of them."""

from __future__ import annotations

import argparse
import importlib
import os

import django
from rich.console import Console

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()

NAMES = (
    "switch",
    "re_embed",
    "durations",
    "openvino",
    "memory",
    "batch_setting",
    "openai_overhead",
    "live_progress",
    "wizard_data",
    "lists",
    "engines_page",
    "search",
)


def main() -> None:
    """Run on servers of its own, in a folder of its own, and print what was measured."""
    from django.conf import settings  # noqa: PLC0415 - only after setup
    from django.core.management import call_command  # noqa: PLC0415

    from samproject.supervisor.embedded import EmbeddedServices  # noqa: PLC0415

    console = Console()
    chosen = _chosen()
    with EmbeddedServices(settings.SAM_LOCATIONS):
        call_command("migrate", interactive=False, verbosity=0)
        for name in chosen:
            importlib.import_module(f"tests.benchmarks.{name}").run(console)


def _chosen() -> list[str]:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    chosen: list[str] = parser.parse_args().names
    if unknown := set(chosen) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; choose from {NAMES}")
    return chosen or list(NAMES)


if __name__ == "__main__":
    main()
