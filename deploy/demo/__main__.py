"""``python -m deploy.demo``: start SAM here, move a person to another engine and back, prove it."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path
from typing import Any

import django
from rich.console import Console

from deploy.demo.site import Site, default_data_folder, environment, usable_port
from engines.exceptions import SamError

_WEB_PORT = 8000
_FLOWER_PORT = 5555
_PLAIN_WIDTH = 150
_STOPPED_BY_USER = 130


def main() -> int:
    """Run the quickstart; 0 only if every proof held."""
    arguments = _arguments()
    data = arguments.data_dir or default_data_folder(os.environ)
    settings = environment(os.environ, data.expanduser().absolute())
    # This process reads the same settings as the servers it starts, and no others.
    os.environ.clear()
    os.environ.update(settings)
    console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False)
    try:
        return 0 if _play(console, arguments, settings) else 1
    except SamError as error:
        console.print(str(error), markup=False, style="red")
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
        return _STOPPED_BY_USER


def _play(console: Console, arguments: argparse.Namespace, settings: dict[str, str]) -> bool:
    django.setup()
    # Only now: what the story imports needs Django's settings.
    story: Any = importlib.import_module("deploy.demo.story")
    site = Site(
        data=Path(settings["SAM_DATA_DIR"]),
        port=usable_port(arguments.port),
        flower_port=usable_port(arguments.flower_port),
    )
    held: bool = story.run(console, site, settings, once=arguments.once)
    return held


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the proofs")
    parser.add_argument("--data-dir", type=Path, help="where everything is kept")
    parser.add_argument("--port", type=int, default=_WEB_PORT, help="of the web server")
    parser.add_argument("--flower-port", type=int, default=_FLOWER_PORT, help="of Flower")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
