"""The log of requests: who asked for which path, never what stands behind the question mark."""

from __future__ import annotations

import copy
import logging
from typing import Any

from uvicorn.config import LOGGING_CONFIG

PATH = 2
"""Where the path stands among the arguments of a record: address, method, path, version, status."""


class WithoutQuery(logging.Filter):
    """Cuts the query off: it may hold a person's question, or a signature."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the record without its query."""
        if isinstance(record.args, tuple) and len(record.args) > PATH:
            arguments = list(record.args)
            arguments[PATH] = str(arguments[PATH]).partition("?")[0]
            record.args = tuple(arguments)
        return True


def _without_queries() -> dict[str, Any]:
    config = copy.deepcopy(LOGGING_CONFIG)
    config["filters"] = {"without_query": {"()": WithoutQuery}}
    config["handlers"]["access"]["filters"] = ["without_query"]
    return config


LOGGING = _without_queries()
"""For uvicorn's ``log_config``."""
