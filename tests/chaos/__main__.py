"""Random chaos by one command: ``bash deploy/test.sh chaos``, or ``.venv/bin/python -m tests.chaos``."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import django

OWN = ("SAM_DATA_DIR", "DATABASE_URL", "REDIS_URL", "SAM_ARTIFACT_STORE", "SAM_MODELS_DIR")
MINUTE = 60.0


def main() -> None:
    """Run on servers and in folders of its own; exits with 1 when something is wrong afterwards."""
    if named := [name for name in OWN if name in os.environ]:
        # What it kills and empties must be nobody's.
        sys.exit(f"Unset {', '.join(named)}: chaos runs on servers and folders of its own only.")
    asked = _asked()
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    sys.exit(0 if _run(asked) else 1)


def _run(asked: argparse.Namespace) -> bool:
    from django.conf import settings  # noqa: PLC0415 - only after setup
    from django.core.management import call_command  # noqa: PLC0415

    from deploy.demo.hub.server import HubServer  # noqa: PLC0415
    from deploy.demo.models.tiny_models import write_llama_chat, write_qwen_chat  # noqa: PLC0415
    from samproject.supervisor.embedded import EmbeddedServices  # noqa: PLC0415
    from tests.chaos.chaos import Chaos, Size  # noqa: PLC0415
    from tests.chaos.world import make_crowd  # noqa: PLC0415
    from tests.world.people import hub_folder  # noqa: PLC0415
    from tests.world.workers import Workers  # noqa: PLC0415

    size = Size(asked.plans, asked.minutes * MINUTE)
    print(f"seed {asked.seed}", flush=True)  # noqa: T201
    with (
        TemporaryDirectory(prefix="sam-chaos-") as name,
        EmbeddedServices(settings.SAM_LOCATIONS) as services,
    ):
        folder = Path(name)
        call_command("migrate", interactive=False, verbosity=0)
        llama, qwen = write_llama_chat(folder / "llama.gguf"), write_qwen_chat(folder / "qwen.gguf")
        workers = Workers(folder / "data", folder / "faults")
        with HubServer(hub_folder(folder / "hub", llama, qwen)) as hub:
            crowd = make_crowd(hub.endpoint, workers, folder, asked.people)
            with workers:
                chaos = Chaos(crowd, workers, services, seed=asked.seed, say=_say)
                verdict = chaos.run(size)
    _say(str(verdict))
    return verdict.is_good


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="deploy/test.sh chaos", description=__doc__)
    parser.add_argument("--plans", type=int, default=200)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=10.0, help="How long faults strike.")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    return parser.parse_args()


if __name__ == "__main__":
    main()
