"""Tables know no drivers: what ``migrate`` imports loads no engine and no library of one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PROBE = """
import importlib, pathlib, sys
import django
from django.conf import settings

apps = ["django.contrib.contenttypes", "django.contrib.auth", "engines", "migrations_app"]
settings.configure(INSTALLED_APPS=apps)
django.setup()
names = [
    f"{app}.migrations.{path.stem}"
    for app in ("engines", "migrations_app")
    for path in sorted(pathlib.Path(app, "migrations").glob("0*.py"))
]
for name in names:
    importlib.import_module(name)
print(len(names))
drivers = ("engines.runtimes", "engines.host_runtimes", "llama_cpp", "torch")
print(*(name for name in sys.modules if name.startswith(drivers)))
"""


def test_importing_every_migration_loads_no_engine() -> None:
    result = subprocess.run(
        [sys.executable, "-c", PROBE], cwd=PROJECT, capture_output=True, text=True, check=True
    )

    number, loaded = result.stdout.split("\n")[:2]
    assert int(number) >= 10
    assert loaded == ""
