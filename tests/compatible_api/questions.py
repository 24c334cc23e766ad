"""What every client is made to ask for: a tool, its reply, and the form of an answer."""

from __future__ import annotations

from typing import Any

WEATHER = "weather"
PLACE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 9},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
REPLY = "Rain."
