"""The web application; ``python -m samproject.web`` serves it as it is meant to be served."""

from __future__ import annotations

import importlib
import os

from django.core.signals import request_started
from django.db import close_old_connections, reset_queries

from samproject.web.application import load_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "samproject.settings")

django_application = load_application()
# The gate knows tables, which it may from here on.
application = importlib.import_module("samproject.web.body_gate").BodyGate(django_application)

# Each request has threads of its own, so there is nothing left in them of an earlier one; to look
# for it would cost a thread and a turn in it before the request is read.
for clean in (reset_queries, close_old_connections):
    request_started.disconnect(clean)
