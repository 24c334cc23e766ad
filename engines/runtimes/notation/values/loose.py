"""Objects and calls that neither JSON nor Python reads: quotes inside of texts, single backslashes, words without quotes.

A quote ends its text where what follows can only follow a text: the next key, the next value, or brackets up to the
end. So a text of which that cannot be told is read by nobody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from engines.runtimes.notation.scanning import NAME, NotACallError, load_json, skip_space
from engines.runtimes.text.response_format import Json

WORDS = {"True": True, "False": False, "None": None, "true": True, "false": False, "null": None}
"""Values as Python and JSON write them."""
MAX_LEVELS = 64
_QUOTED_KEY = r"""(?:"[^"\n]{0,200}"|'[^'\n]{0,200}')\s*:"""
_BARE_KEY = r"[^\W\d][\w.\-/]{0,200}\s*[:=]"
_END = r"(?:```\s*)?\Z"
_NEXT = r"(?<=\n)\{\s*[\"']"
"""Another object, on a line of its own."""
_CLOSED = r"[}\]](?:\s*(?:,\s*)?[}\]])*\s*"
_CLOSED_CALL = r"[}\])](?:\s*(?:,\s*)?[}\])])*\s*"
_ENDS_KEY = re.compile(r"\s*:")
_ENDS_MEMBER = {
    True: re.compile(
        rf"\s*(?:(?:,\s*)?{_QUOTED_KEY}|(?:,\s*)?{_CLOSED}(?:{_END}|{_NEXT}|(?:,\s*)?{_QUOTED_KEY}|,\s*[{{\[\"']))"
    ),
    False: re.compile(
        rf"\s*(?:,\s*{_BARE_KEY}|(?:,\s*)?{_CLOSED_CALL}(?:{_END}|,\s*(?:{_BARE_KEY}|[{{\[\"']|\w)|(?<=\n)[^\W\d][\w.\-/]*\())"
    ),
}
"""By whether the keys stand between quotes."""
_ENDS_ITEM = re.compile(r"""\s*(?:,\s*["'{\[\w\-]|(?:,\s*)?\])""")
_KEY = re.compile(_BARE_KEY)
_WORD = re.compile(r"""[^\s,{}\[\]()"':=]+(?:[ \t]+[^\s,{}\[\]()"':=]+)*""")
_NUMBER = re.compile(r"[+-]?\d[\d.]*(?:[eE][+-]?\d+)?")
_REST = re.compile(rf"\s*(?:,\s*\{{|{_NEXT}|[\s,}}\]]*{_END})")
_ESCAPE = re.compile(r"""\\(u[0-9a-fA-F]{4}|["\\/bfnrt'])|\\|(")""")


def read_loose_object(text: str, at: int) -> tuple[Json, int]:
    """Return the object at a place of a whole text and its end, behind which brackets or another one may stand.

    Raises NotACallError.
    """
    has_quoted_keys = re.compile(r"""\{\s*["'}]""").match(text, at) is not None
    reader = _Reader(text.rstrip(), at, has_quoted_keys=has_quoted_keys)
    value = reader.read_members("{", "}", MAX_LEVELS)
    if _REST.match(reader.text, reader.at) is None:
        raise NotACallError
    return value, reader.at


def read_loose_value(text: str) -> Any:
    """Return the object or the list that a whole text is; NotACallError."""
    has_quoted_keys = re.match(r"""[\s\[]*\{\s*[^"'}\s]""", text) is None
    reader = _Reader(text.rstrip(), 0, has_quoted_keys=has_quoted_keys)
    value = reader.read_value(MAX_LEVELS, is_item=False)
    if reader.at < len(reader.text):
        raise NotACallError
    return value


def read_loose_calls(text: str, at: int) -> tuple[list[tuple[str, Json]], int]:
    """Return the calls of a list, or the one call, at a place of a whole text, and their end; NotACallError."""
    reader = _Reader(text.rstrip(), at, has_quoted_keys=False)
    is_list = reader.skip("[")
    found = [reader.read_call()]
    while is_list and not reader.skip("]"):
        reader.skip(",")
        found.append(reader.read_call())
    return found, reader.at


@dataclass(slots=True)
class _Reader:
    """Reads values from a place on."""

    text: str
    at: int
    has_quoted_keys: bool

    def read_call(self) -> tuple[str, Json]:
        """Return the name and the named arguments of a call."""
        name = NAME.match(self.text, skip_space(self.text, self.at))
        if name is None:
            raise NotACallError
        self.at = name.end()
        return name[0], self.read_members("(", ")", MAX_LEVELS)

    def read_members(self, opening: str, closing: str, levels: int) -> Json:
        """Return the members of an object, or the arguments of a call."""
        self._take(opening)
        found: Json = {}
        while not self.skip(closing):
            key = self._key()
            found[key] = self.read_value(levels, is_item=False)
            self.skip(",")
        return found

    def _take(self, sign: str) -> None:
        if not self.skip(sign):
            raise NotACallError

    def skip(self, sign: str) -> bool:
        """Go on behind a sign; return whether it stood here."""
        begun = skip_space(self.text, self.at)
        if not self.text.startswith(sign, begun):
            return False
        self.at = begun + len(sign)
        return True

    def _key(self) -> str:
        self.at = skip_space(self.text, self.at)
        if self.text[self.at : self.at + 1] in ('"', "'"):
            key = self._quoted(_ENDS_KEY)
            self._take(":")
            return key
        found = _KEY.match(self.text, self.at)
        if found is None:
            raise NotACallError
        self.at = found.end()
        return found[0][:-1].rstrip()

    def read_value(self, levels: int, *, is_item: bool) -> Any:
        """Return the value at this place, ``is_item`` for one of a list."""
        if not levels:
            raise NotACallError
        self.at = skip_space(self.text, self.at)
        sign = self.text[self.at : self.at + 1]
        if sign == "{":
            return self.read_members("{", "}", levels - 1)
        if sign == "[":
            return self._items(levels - 1)
        if sign and sign in "\"'":
            return self._quoted(_ENDS_ITEM if is_item else _ENDS_MEMBER[self.has_quoted_keys])
        return self._word()

    def _items(self, levels: int) -> list[Any]:
        self._take("[")
        found: list[Any] = []
        while not self.skip("]"):
            found.append(self.read_value(levels, is_item=True))
            self.skip(",")
        return found

    def _word(self) -> Any:
        found = _WORD.match(self.text, self.at)
        if found is None:
            raise NotACallError
        self.at = found.end()
        if found[0] in WORDS:
            return WORDS[found[0]]
        try:
            return load_json(found[0])
        except (ValueError, RecursionError) as error:
            if _NUMBER.fullmatch(found[0]):
                raise NotACallError from error
            return found[0]

    def _quoted(self, ends: re.Pattern[str]) -> str:
        """Return a text whose quote ends it where what ``ends`` allows follows."""
        quote, begun = self.text[self.at], self.at + 1
        end = self.text.find(quote, begun)
        while end >= 0:
            if not self._is_escaped(end) and ends.match(self.text, end + 1):
                self.at = end + 1
                return _unescape(self.text[begun:end])
            end = self.text.find(quote, end + 1)
        raise NotACallError

    def _is_escaped(self, at: int) -> bool:
        begun = at
        while self.text[begun - 1] == "\\":
            begun -= 1
        return (at - begun) % 2 == 1


def _unescape(written: str) -> str:
    """Return a text without its escapes; a backslash that escapes nothing is one."""

    def as_json(found: re.Match[str]) -> str:
        if found[2]:
            return r"\""
        if found[1] is None:
            return r"\\"
        return "'" if found[1] == "'" else found[0]

    try:
        text: str = load_json(f'"{_ESCAPE.sub(as_json, written)}"')
    except ValueError as error:
        raise NotACallError from error
    return text
