"""Flower with its metrics behind the same login: ``python -m samproject.web.flower …``.

Flower leaves that page open to every user of the machine whatever its login is.
"""

from __future__ import annotations

from celery.bin.celery import main
from flower.views.monitor import Metrics
from tornado.web import authenticated

Metrics.get = authenticated(Metrics.get)

if __name__ == "__main__":
    main()
