"""``manage.py catalog``: list, import, export, add, starter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from django.core.management.base import CommandError, CommandParser
from django.template.defaultfilters import filesizeformat

from engines.models import CatalogModel
from engines.services.catalog.exchange import ImportReport
from engines.services.catalog.fields import list_curated_fields
from migrations_app.library import get_model_library_manager
from migrations_app.management.console import ActionCommand


class Command(ActionCommand):
    help = "The model catalog."
    actions_help = {
        "list": "Show every entry and whether a host has it.",
        "import": "Write the entries of a JSON file in the seed's format.",
        "export": "Write the catalog as JSON to a file, or to the output.",
        "add": "Add one entry, or change what is named of it.",
        "starter": "Write the starter catalog that SAM ships.",
    }

    def arguments_import(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        self.arguments_starter(parser)

    def arguments_starter(self, parser: CommandParser) -> None:
        what = "Write over what curators set in entries that are there; without it they are left."
        parser.add_argument("--overwrite", action="store_true", help=what)
        self._confirm(parser)

    def arguments_export(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, nargs="?")

    def arguments_add(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("model_id")
        add("--name", dest="display_name", required=True, help="What people read.")
        add("--family", dest="model_family", required=True)
        add("--repo", dest="huggingface_repo", help="organisation/repository on the Hub")
        add("--file", dest="filename", help="The GGUF file in it.")
        add("--runtime", help=f"{CatalogModel.FILE_RUNTIME} unless given.")
        add("--folder", help="Of a runtime of folders.")
        add("--endpoint", help="Of a server that runs the model.")
        add("--remote-name", help="What that server calls it.")
        add("--context-length", type=int, help="Tokens; 0: not known.")
        add("--role", choices=["chat", "embedding"])
        add("--embedding-model", help="The companion that embeds for it.")
        add("--revision", dest="wanted_revision", help="main unless given.")
        add("--sha256")
        self._confirm(parser)

    def _confirm(self, parser: CommandParser) -> None:
        what = "Also write what moves the vectors of people who use an entry."
        parser.add_argument("--confirm", action="store_true", help=what)

    def do_list(self) -> None:
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

    def do_import(self, file: Path, *, overwrite: bool, confirm: bool) -> None:
        library = get_model_library_manager()
        document = _read_json(file)
        self._report(library.import_catalog(document, overwrite=overwrite, confirmed=confirm))

    def do_export(self, file: Path | None) -> None:
        text = json.dumps(get_model_library_manager().export_catalog(), indent=2)
        if file is None:
            self.say(text)
            return
        try:
            file.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror}.") from error
        self.say(f"Written to {file}.")

    def do_add(self, options: Mapping[str, object], *, confirm: bool) -> None:
        given = {name: options[name] for name in list_curated_fields() if name in options}
        entry = {name: value for name, value in given.items() if value is not None}
        library = get_model_library_manager()
        self._report(library.import_catalog({"models": [entry]}, overwrite=True, confirmed=confirm))

    def do_starter(self, *, overwrite: bool, confirm: bool) -> None:
        library = get_model_library_manager()
        self._report(library._create_default_catalog(overwrite=overwrite, confirmed=confirm))

    def _report(self, report: ImportReport) -> None:
        for name in report.created:
            self.say(f"{name}: created.")
        for name, fields in report.updated.items():
            self.say(f"{name}: updated ({fields}).")
        for name, why in report.left.items():
            self.say(f"{name}: {why}")
        for name, why in report.refused.items():
            self.stderr.write(f"{name}: {why}")
        if report.prompts:
            self.say(f"Prompts written for {', '.join(report.prompts)}.")
        self.say(
            f"{len(report.created)} entries created, {len(report.updated)} updated, "
            f"{len(report.unchanged)} unchanged, {len(report.left)} left as curated."
        )
        if report.refused:
            raise CommandError(f"{len(report.refused)} entries were refused; they changed nothing.")


def _read_json(path: Path) -> Mapping[str, object]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path} is no JSON text: {error}.") from error
    if not isinstance(document, dict):
        raise CommandError(f'{path} holds no catalog: it begins with an object with "models".')
    return document
