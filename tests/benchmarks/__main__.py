"""All benchmarks by one command: ``.venv/bin/python -m tests.benchmarks``; names choose some of them."""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys

import django
from rich.console import Console

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

NAMES = (
    "switch",
    "re_embed",
    "durations",
    "durations.turns",
    "openvino",
    "memory",
    "batch_setting",
    "checkpoints",
    "guessed_tokens",
    "engine_speed",
    "live_progress",
    "wizard_data",
    "lists",
    "engines_page",
    "knowledge.search",
    "knowledge.size",
    "knowledge.index_million",
)


def main() -> None:
    """Run each on servers and in a folder of its own, so that none finds what another wrote."""
    chosen = _chosen()
    if len(chosen) == 1:
        _run(chosen[0])
        return
    failed = [name for name in chosen if not _runs_alone(name)]
    if failed:
        raise SystemExit(f"Did not end well: {', '.join(failed)}; what it said is above.")


def _runs_alone(name: str) -> bool:
    return (
        subprocess.run([sys.executable, "-m", "tests.benchmarks", name], check=False).returncode
        == 0
    )


def _run(name: str) -> None:
    django.setup()
    from django.conf import settings  # noqa: PLC0415 - only after setup
    from django.core.management import call_command  # noqa: PLC0415

    from samproject.supervisor.embedded import EmbeddedServices  # noqa: PLC0415

    with EmbeddedServices(settings.SAM_LOCATIONS):
        call_command("migrate", interactive=False, verbosity=0)
        importlib.import_module(f"tests.benchmarks.{name}").run(Console())


def _chosen() -> list[str]:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    chosen: list[str] = parser.parse_args().names
    if unknown := set(chosen) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; choose from {NAMES}")
    return chosen or list(NAMES)


if __name__ == "__main__":
    main()
