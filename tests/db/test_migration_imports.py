"""Tables know no drivers: what ``migrate`` imports loads no engine; and what it does to old rows."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps

from engines.models import CatalogModel, ModelRevision
from tests.api.roles import make_model

PROJECT = Path(__file__).resolve().parents[2]
PROBE = """
import importlib, pathlib, sys
import django
import django_stubs_ext
from django.conf import settings

# As SAM's settings do: fields that name their types are subscripted.
django_stubs_ext.monkeypatch()
apps = ["django.contrib.contenttypes", "django.contrib.auth", "engines", "migrations_app"]
settings.configure(INSTALLED_APPS=apps, SAM_ALLOWED_PLACES=())
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


@pytest.mark.django_db
def test_old_revisions_learn_where_they_were_found() -> None:
    branch, commit = make_model("by-branch"), make_model("by-commit")
    found = commit.current_revision
    assert found is not None
    CatalogModel.objects.filter(pk=commit.pk).update(wanted_revision="c" * 40)
    served = make_model("served")
    ModelRevision.objects.filter(model=served).update(source="server", file_size=0)

    importlib.import_module("engines.migrations.0009_revision_origin").name_origins(apps, None)

    origins = ModelRevision.objects.values_list("repository", "filename", "wanted_revision")
    assert origins.get(model=branch) == ("org/by-branch", "by-branch.gguf", "main")
    # Its entry asks for another commit now, so it will be resolved anew.
    assert origins.get(model=commit) == ("org/by-commit", "by-commit.gguf", found.commit)
    assert origins.get(model=served) == ("", "", "")
