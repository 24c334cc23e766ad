"""What a row of the table of doors says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Face = Literal["rest", "sam", "admin", "page"]

OWN = "It is the person's own; the staff does it for nobody."
STAFF = "It is the staff's; people's pages are about one's own things."
IN_A_FORM = "An administrator's form in the admin does it beside other fields."
BY_A_LINK = "Who comes has no account yet, so only the page behind the link can do it."
ON_DISK = "It reads a file of the machine that it runs on, which nobody should name from elsewhere."
BROWSER = "It is chosen once, where one looks at it: on the page."


@dataclass(frozen=True)
class Door:
    """Where a door is reached: URL names, commands, ``model`` or ``model action`` of the admin."""

    rest: tuple[str, ...] = ()
    sam: tuple[str, ...] = ()
    admin: tuple[str, ...] = ()
    page: tuple[str, ...] = ()
    not_meant: dict[Face, str] = field(default_factory=dict)
