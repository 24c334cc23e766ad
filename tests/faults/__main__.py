"""Write docs/fault-matrix.md anew: ``.venv/bin/python -m tests.faults``."""

from __future__ import annotations

import os
from pathlib import Path

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()

from tests.faults.matrix_page import PAGE, page  # noqa: E402 - the tables need Django

(Path(__file__).resolve().parents[2] / PAGE).write_text(page())
