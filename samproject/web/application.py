"""SAM as one ASGI application, loaded whole before anybody asks it."""

from __future__ import annotations

import importlib

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIHandler

from engines.long_lived import loading


def load_application() -> ASGIHandler:
    """Set up Django and load its routes with every view: otherwise the first to ask waits for them."""
    with loading():
        application = get_asgi_application()
        importlib.import_module(settings.ROOT_URLCONF)
    return application
