"""How the admin writes times: steps take seconds, and readers sit in several time zones."""

from __future__ import annotations

DATETIME_FORMAT = "Y-m-d H:i:s T"
DATE_FORMAT = "Y-m-d"
