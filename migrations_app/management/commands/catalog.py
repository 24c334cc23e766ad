"""``manage.py catalog``: list, import, export, add, publish."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.template.defaultfilters import filesizeformat

from engines.models import CatalogModel
from engines.services.catalog.exchange import ImportReport
from migrations_app.library import get_model_library_manager
from migrations_app.management.console import SamCommand


class Command(SamCommand):
    help = "The model catalog."
    actions_help = {
        "list": "Show every entry and whether a host has it.",
        "import": "Write the entries of a JSON file in the seed's format.",
        "export": "Write the catalog as JSON to a file, or to the output.",
        "add": "Add or change one entry.",
        "starter": "Write the starter catalog that SAM ships.",
    }

    def arguments_import(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def arguments_export(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, nargs="?")

    def arguments_add(self, parser: CommandParser) -> None:
        parser.add_argument("model_id")
        parser.add_argument("--name", required=True, help="What people read.")
        parser.add_argument("--family", required=True)
        parser.add_argument("--repo", default="", help="organisation/repository on the Hub")
        parser.add_argument("--file", default="", help="The GGUF file in it.")
        parser.add_argument("--runtime", default=CatalogModel.FILE_RUNTIME)
        parser.add_argument("--folder", default="", help="Of a runtime of folders.")
        parser.add_argument("--endpoint", default="", help="Of a server that runs the model.")
        parser.add_argument("--remote-name", default="", help="What that server calls it.")
        parser.add_argument("--context-length", type=int, default=0, help="Tokens; 0: not known.")
        parser.add_argument("--role", choices=["chat", "embedding"], default="chat")
        parser.add_argument("--embedding-model", help="The companion that embeds for it.")
        parser.add_argument("--revision", default="main")
        parser.add_argument("--sha256", default="")

    def do_list(self, options: dict[str, Any]) -> None:
        library = get_model_library_manager()
        self.table(
            ["model", "family", "role", "size", "published", "status"],
            [
                (
                    model.model_id,
                    model.model_family,
                    model.role,
                    filesizeformat(model.file_size) if model.file_size else "?",
                    "yes" if model.published else "no",
                    library.get_model_status(model.model_id),
                )
                for model in CatalogModel.objects.all()
            ],
        )

    def do_import(self, options: dict[str, Any]) -> None:
        self._report(get_model_library_manager().import_catalog(_read_json(options["file"])))

    def do_export(self, options: dict[str, Any]) -> None:
        text = json.dumps(get_model_library_manager().export_catalog(), indent=2)
        path: Path | None = options["file"]
        if path is None:
            self.say(text)
            return
        try:
            path.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
        self.say(f"Written to {path}.")

    def do_add(self, options: dict[str, Any]) -> None:
        entry = {
            "model_id": options["model_id"],
            "display_name": options["name"],
            "model_family": options["family"],
            "huggingface_repo": options["repo"],
            "filename": options["file"],
            "runtime": options["runtime"],
            "folder": options["folder"],
            "endpoint": options["endpoint"],
            "remote_name": options["remote_name"],
            "context_length": options["context_length"],
            "role": options["role"],
            "embedding_model": options["embedding_model"],
            "wanted_revision": options["revision"],
            "sha256": options["sha256"],
        }
        self._report(get_model_library_manager().import_catalog({"models": [entry]}))

    def do_starter(self, options: dict[str, Any]) -> None:
        self._report(get_model_library_manager()._create_default_catalog())

    def _report(self, report: ImportReport) -> None:
        self.say(f"{len(report.written)} entries written.")
        for name, why in report.refused.items():
            self.stderr.write(f"{name}: {why}")
        if report.refused:
            raise CommandError(f"{len(report.refused)} entries were refused; they changed nothing.")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path} is no JSON text: {error}.") from error
    if not isinstance(document, dict):
        raise CommandError(f'{path} holds no catalog: it begins with an object with "models".')
    return document
