"""The log of requests: who asked for which path, never a query, nor a key of a mail's link."""

from __future__ import annotations

import copy
import logging
import re
from typing import Any

from uvicorn.config import LOGGING_CONFIG

PATH = 2
"""Where the path stands among the arguments of a record: address, method, path, version, status."""

_KEYS = re.compile(r"(/accounts/(?:password/reset/key|confirm-email))/.+")
"""Who reads such a path may become the person, until the link is used or old."""


class WithoutQuery(logging.Filter):
    """Cuts the query off: it may hold a person's question, or a signature."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the record without its query."""
        if isinstance(record.args, tuple) and len(record.args) > PATH:
            arguments = list(record.args)
            path = str(arguments[PATH]).partition("?")[0]
            arguments[PATH] = _KEYS.sub(r"\1/...", path)
            record.args = tuple(arguments)
        return True


class WithoutTrace(logging.Filter):
    """Leaves the framework's refusals their sentence: where they were raised says nothing of who sent what."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the record; of a refusal without its trace."""
        if record.name.startswith("django.security."):
            record.exc_info = record.exc_text = None
        return True


def _without_queries() -> dict[str, Any]:
    config = copy.deepcopy(LOGGING_CONFIG)
    config["filters"] = {"without_query": {"()": WithoutQuery}}
    config["handlers"]["access"]["filters"] = ["without_query"]
    return config


LOGGING = _without_queries()
"""For uvicorn's ``log_config``."""
