"""``manage.py download``: fetch a model to a host."""

from __future__ import annotations

from django.core.management.base import CommandError, CommandParser

from migrations_app.library import get_model_library_manager
from migrations_app.management.console import ActionCommand


class Command(ActionCommand):
    help = "Downloads of models to hosts."
    actions_help = {
        "start": "Start a download; one that runs already is followed instead.",
        "status": "Say whether a model is downloaded, and how far a download is.",
        "cancel": "Cancel a model's open downloads on every host.",
        "verify": "Hash every host's copy again.",
        "delete": "Delete every host's copy.",
        "clear-unsafe": "Let copies that crashed an engine be used again.",
    }

    def arguments_start(self, parser: CommandParser) -> None:
        parser.add_argument("model")
        parser.add_argument("--host", help="Any active host with room unless given.")
        parser.add_argument("--wait", action="store_true", help="Show the progress to the end.")

    def _model(self, parser: CommandParser) -> None:
        parser.add_argument("model")

    arguments_status = arguments_cancel = arguments_verify = arguments_delete = _model

    def do_start(self, model: str, host: str | None, *, wait: bool) -> None:
        plan = get_model_library_manager().start_download(model, host=host)
        self.say(f"Download of {model} to {plan.host}: plan {plan.pk}.")
        if wait:
            self.follow(plan.pk)
            self.say("Downloaded and verified.")

    def do_status(self, model: str) -> None:
        library = get_model_library_manager()
        self.say(library.get_model_status(model))
        progress = library.get_download_progress(model)
        if progress:
            self.say(f"{progress['progress_percentage']} % on {progress['host']}")

    def do_cancel(self, model: str) -> None:
        self._any(get_model_library_manager().cancel_download(model), "Cancelling.")

    def do_verify(self, model: str) -> None:
        self._any(get_model_library_manager().verify_model(model), "Verifying.")

    def do_delete(self, model: str) -> None:
        self._any(get_model_library_manager().delete_model(model), "Deleting.")

    def arguments_clear_unsafe(self, parser: CommandParser) -> None:
        parser.add_argument("model")
        parser.add_argument("--host", help="Every host unless given.")

    def do_clear_unsafe(self, model: str, host: str | None) -> None:
        library = get_model_library_manager()
        self._any(library.clear_unsafe(model, host=host), "Cleared.")

    def _any(self, found: bool, sentence: str) -> None:  # noqa: FBT001 - the library's answer
        if not found:
            raise CommandError("There is nothing to do this to on any host.")
        self.say(sentence)
