"""What Unfold draws anew in every row of a list though it is the same in all of them, drawn once.

The framework offers no place for this: its tags call functions of their own modules. Half of the time
of a page of 50 rows went into it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold import utils as unfold_utils
from unfold.admin import checkbox
from unfold.templatetags import unfold_list

PLACE = "place-of-the-row"


def draw_checkbox(key: object) -> SafeString:
    """Draw the box that selects a row by its key."""
    before, after = _split_checkbox()
    return format_html("{}{}{}", before, key, after)


@cache
def _split_checkbox() -> tuple[SafeString, SafeString]:
    before, after = checkbox.render(ACTION_CHECKBOX_NAME, PLACE).split(PLACE)
    return SafeString(before), SafeString(after)


def install() -> None:
    """Have Unfold's lists draw their headers once a page, and its signs for yes and no once a process."""
    draw_headers: Callable[[Any], Iterable[dict[str, Any]]] = unfold_list.result_headers

    def draw_once(listed: Any) -> list[dict[str, Any]]:
        # Each row asks for them, as a phone shows them beside its values.
        if "drawn_headers" not in vars(listed):
            listed.drawn_headers = list(draw_headers(listed))
        headers: list[dict[str, Any]] = listed.drawn_headers
        return headers

    unfold_list.result_headers = draw_once
    unfold_utils._boolean_icon = cache(unfold_utils._boolean_icon)
