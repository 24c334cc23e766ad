"""Give this test run a data folder of its own; imported before SAM's settings read it."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path


def use_scratch_data() -> None:
    """Set SAM_DATA_DIR to a new folder that goes with this process, unless it is set already.

    Processes started by a test inherit the folder and must not make (and remove) another one; test
    processes side by side (pytest-xdist) have a folder, and so servers, each.
    """
    side = os.environ.get("PYTEST_XDIST_WORKER", "")
    if "SAM_DATA_DIR" in os.environ and os.environ.get("SAM_TESTS_SIDE", side) == side:
        return
    os.environ["SAM_TESTS_SIDE"] = side
    folder = Path(tempfile.mkdtemp(prefix="sam-tests-"))
    # Started by root, the servers run as another user, who must be able to pass through.
    folder.chmod(0o711)
    atexit.register(_remove, folder, os.getpid())
    os.environ["SAM_DATA_DIR"] = str(folder)
    # Seconds for each model in each run's new folder; what is measured has tests of its own.
    os.environ["SAM_MEASURE_EMBEDDING"] = "false"
    # One person of a test may do what several do elsewhere; the limits have tests of their own.
    os.environ["SAM_ANSWERS_AT_ONCE"] = os.environ["SAM_UPLOADS_AT_ONCE"] = "0"
    # The hubs and servers of the tests; addresses of other inner networks stay refused.
    os.environ["SAM_ALLOWED_PRIVATE_HOSTS"] = "127.0.0.0/8,localhost"
    # Other programs' weights on this machine are none of a test's business.
    os.environ["HF_HUB_CACHE"] = str(folder / "hf-cache")
    os.environ["OLLAMA_MODELS"] = str(folder / "ollama")


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


use_scratch_data()
if "DATABASE_URL" in os.environ:
    os.environ.setdefault("SECRET_KEY", "only for tests")
    os.environ.setdefault("SAM_BACKUP_KEY", "5a" * 32)
