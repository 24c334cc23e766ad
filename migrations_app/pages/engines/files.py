"""/engines/<model_id>/files/: what an operator does with an engine's file on a host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse

from engines.exceptions import ConflictError, InvalidRequestError, SamError
from engines.models import CatalogModel
from migrations_app.library import get_model_library_manager
from migrations_app.pages.engines.engine import EngineView
from migrations_app.pages.engines.parts import engine_shown_to, require_operator, text_of

NOTHING = "There is no such file there any more; look again at what the host has."


class FilesView(EngineView):
    """Download to a host, pause, resume, cancel, verify, delete, or trust again; what is refused is said beside the host."""

    def get(self, request: HttpRequest, model_id: str) -> HttpResponse:
        """Show the engine: nothing is done by looking."""
        return self.go("engine", model_id=engine_shown_to(self.person, model_id).model_id)

    def post(self, request: HttpRequest, model_id: str) -> HttpResponse:
        """Do what the pressed button says."""
        model = engine_shown_to(self.person, model_id)
        require_operator(self.person)
        host = text_of(request.POST.get("host"))
        try:
            said = self._act(model, request.POST.get("do", ""), host)
        except SamError as error:
            return self.show(model, refusal=error, host=host)
        messages.success(request, said)
        return self.go("engine", model_id=model_id)

    def _act(self, model: CatalogModel, wish: str, host: str) -> str:
        library = get_model_library_manager()
        if wish == "download":
            plan = library.start_download(model.model_id, host=host or None, actor=self.person)
            return f"{model.display_name} is on its way to {plan.host}."
        known: dict[str, tuple[Callable[..., bool], dict[str, Any], str]] = {
            "cancel": (
                library.cancel_download,
                {"actor": self.person},
                f"The download to {host} was asked to stop.",
            ),
            "pause": (
                library.pause_download,
                {"actor": self.person},
                f"The download to {host} is paused; what has arrived stays there.",
            ),
            "resume": (
                library.resume_download,
                {"actor": self.person},
                f"The download to {host} goes on from what has arrived.",
            ),
            "verify": (
                library.verify_model,
                {"actor": self.person},
                f"The file on {host} is being verified.",
            ),
            "delete": (
                library.delete_model,
                {"actor": self.person},
                f"The file on {host} is being deleted.",
            ),
            "trust": (library.clear_unsafe, {}, f"The file on {host} may be used again."),
        }
        if wish not in known or not host:
            raise InvalidRequestError(
                "Say what to do, and on which host; press one of the buttons."
            )
        act, options, said = known[wish]
        if not act(model.model_id, host=host, **options):
            raise ConflictError(NOTHING)
        return said
