"""Separates a model's tool calls from its answer while both are streaming."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engines.runtimes.notation.call_forms import CallParser
from engines.runtimes.notation.call_marks import GROUPED
from engines.runtimes.notation.call_objects import FoundCall, make_call
from engines.runtimes.notation.description import CallForm, CallNotation
from engines.runtimes.notation.near_misses import (
    BRACKETS,
    GuessReader,
    closings_of,
    is_quoted,
    loose_calls,
    skip_leftovers,
)
from engines.runtimes.notation.scanning import (
    FENCE,
    IncompleteError,
    NotACallError,
    match_closing,
    match_mark,
    skip_pattern,
    skip_space,
)
from engines.runtimes.text.generation import Piece
from engines.runtimes.text.marks import split_undecided
from engines.runtimes.text.response_format import Json

MAX_CALL_CHARS = 1_000_000
"""What is longer is treated as text."""
SMALL_CHARS = 4096
"""So much is looked at again with every piece; more only when something may have ended."""
_MAY_END = re.compile(r"[}\])>|`]")
_BETWEEN = re.compile(r"[\s,;]*")
_STRAY = re.compile(r"[\s,;}\]`]*")
_BARE = re.compile(r"(?:\A|(?<=\n))[ \t]*([{\[]|```)")
_SEPARATORS = " \t\r\n;,"


@dataclass(slots=True)
class _Group:
    """Calls between one pair of marks, as far as they have come."""

    parser: CallParser
    written: str
    """All of it as it was written."""
    unknown: str = ""
    """Those of its calls that name no tool."""
    has_calls: bool = False


class ToolCallReader:
    """Sorts text into answer and calls, by the model's ways of writing calls.

    What only looks like a call is text as it was written, and so is a call of a tool that there is not:
    those beside it are calls all the same. White space beside a call is dropped, and so are a bracket too many
    and a closing mark behind it. Text that may be the beginning of a call is held back.
    """

    def __init__(self, notations: Sequence[CallNotation], functions: Iterable[Json]) -> None:
        """``functions`` are the tools there are, with their names and parameters."""
        known = {str(function["name"]): function for function in functions}
        own = [CallParser(notation, known) for notation in notations]
        loose = [CallParser(form, known, is_guess=True) for form in loose_calls(tuple(notations))]
        self._own_leads = _leads_of(own)
        self._sections = [
            form.section
            for form in notations
            if form.section[0].strip() and (form.section[1] or form.is_list)
        ]
        self._parsers = [*own, *loose]
        self._known = known
        marks = _leads_of(self._parsers)
        self._leads = [*marks, FENCE]
        # The longer of two that begin alike comes first.
        self._marked = re.compile("|".join(map(re.escape, marks)))
        self._bare = [parser for parser in own if parser.form.is_bare]
        self._closings = closings_of(tuple(parser.form for parser in self._parsers))
        self._guesses = GuessReader(self._parsers, known, self._closings)
        # A model that calls without marks fences what it only shows.
        self._fences_text = bool(notations) and notations[0].is_bare
        self._held = ""
        self._group: _Group | None = None
        self._space = ""
        """White space after a call; shown only where text follows."""
        self._shown = ""
        """The answer's text, where its lines matter."""
        self._called = False

    @property
    def leads(self) -> list[str]:
        """Each mark of the model's own with which calls may begin."""
        return [*self._own_leads]

    def add(self, text: str) -> list[Piece]:
        """Return what may be shown now."""
        return self._take(text, last=False)

    def finish(self, *, is_cut: bool = False) -> list[Piece]:
        """Return what was held back, at the end of the answer; of one that is cut no code is called."""
        if is_cut:
            self._parsers = [each for each in self._parsers if each.form.form is not CallForm.CODE]
        return self._take("", last=True)

    def _take(self, text: str, *, last: bool) -> list[Piece]:
        self._held += text
        if not last and len(self._held) > SMALL_CHARS and not _MAY_END.search(text):
            return self._give_up() if len(self._held) > MAX_CALL_CHARS else []
        shown: list[Piece] = []
        going = True
        while going:
            step = self._read_group if self._group else self._read_text
            pieces, going = step(last=last)
            shown += pieces
        return shown

    def _give_up(self) -> list[Piece]:
        group, self._group = self._group, None
        text, self._held = (group.written if group else "") + self._held, ""
        return self._text(text)

    def _read_text(self, *, last: bool) -> tuple[list[Piece], bool]:
        """What is not part of a call, and whether to look again."""
        try:
            self._drop_leftovers(last=last)
        except IncompleteError:
            return [], False
        at, lead = self._find_lead()
        if at < 0:
            return self._show_decided(last=last), False
        before = self._held[:at].rstrip()
        if self._called and lead in BRACKETS and not before.strip(_SEPARATORS):
            before = ""
        pieces = self._text(before)
        space, self._held = self._held[len(before) : at], self._held[at:]
        try:
            if end := self._find_end_of_nothing(is_last=last):
                self._held, self._called = self._held[end:], True
                return pieces, True
            calls, parser = self._read_first(lead, space, is_last=last)
        except IncompleteError:
            self._held = space + self._held
            if len(self._held) > MAX_CALL_CHARS:
                return pieces + self._give_up(), False
            return pieces, False
        except NotACallError:
            shown, going = self._no_call(space, len(lead), last=last)
            return pieces + shown, going
        self._space += space if space.isspace() else ""
        return pieces + self._accept(parser, calls), True

    def _no_call(self, space: str, size: int, *, last: bool) -> tuple[list[Piece], bool]:
        """Take a mark for text after which no call stands."""
        if last and self._called and not self._held[size:].strip():
            # The mark of a call that was not written any more.
            self._held = ""
            return [], False
        text, self._held = space + self._held[:size], self._held[size:]
        return self._text(text), True

    def _find_lead(self) -> tuple[int, str]:
        """Return where calls may begin, and with what; -1 where nothing of the kind has come."""
        found = self._marked.search(self._held)
        at = found.start() if found else len(self._held)
        if (bare := self._find_bare(at)) >= 0:
            return bare, FENCE if self._held.startswith(FENCE, bare) else self._held[bare]
        return (at, found[0]) if found else (-1, "")

    def _find_bare(self, end: int) -> int:
        """Return where a line before a place begins with a bracket or a fence outside of fenced code; -1 for nowhere."""
        begun = skip_pattern(_BETWEEN, self._held, 0)
        if self._called and begun < end and self._held.startswith(BRACKETS, begun):
            return begun
        for found in _BARE.finditer(self._held, 0, end):
            before = self._shown + self._held[: found.start()]
            starts_line = found.start() > 0 or self._at_line_start()
            if starts_line and before.count(FENCE) % 2 == 0:
                return found.start(1)
        return -1

    def _at_line_start(self) -> bool:
        return self._called or not self._shown or self._shown.endswith("\n")

    def _show_decided(self, *, last: bool) -> list[Piece]:
        if last:
            text, self._held = self._held, ""
            return self._text(text.rstrip() if self._called else text)
        if self._called and not self._held.strip(_SEPARATORS):
            return []
        text, self._held = split_undecided(self._held, self._leads, with_space=True)
        return self._text(text)

    def _read_first(
        self, lead: str, space: str, *, is_last: bool
    ) -> tuple[list[FoundCall], CallParser]:
        """Return the call that begins what is held behind a space, by the first notation that it fits.

        Raises IncompleteError where a notation before that may still fit, NotACallError where none does.
        """
        is_guess = lead in BRACKETS or lead == FENCE
        bare = self._bare if lead in BRACKETS else []
        is_shown = not is_guess and is_quoted(self._shown + space)
        for parser in bare if is_guess else [each for each in self._parsers if lead in each.leads]:
            if is_shown and parser.form.form is CallForm.CODE:
                # It has no end of its own, behind which the quotes could be closed.
                continue
            try:
                at = parser.match_opening(self._held, 0)
                calls = parser.read(self._held, at, is_last=is_last)
                if is_shown:
                    self._guesses.require_end(self._held, calls[-1].end, is_last=is_last)
                return calls, parser
            except IncompleteError:
                if not is_last:
                    raise
            except NotACallError:
                continue
        if not is_guess:
            raise NotACallError
        return self._guess(lead, is_last=is_last), self._guesses.plain

    def _find_end_of_nothing(self, *, is_last: bool) -> int:
        """Return where marks around no calls end that stand here, 0 for none; raises IncompleteError.

        So some models say that they call nothing (``<TOOLCALL>[]</TOOLCALL>``).
        """
        for opening, closing in self._sections:
            try:
                at = begun = skip_space(self._held, match_mark(self._held, 0, opening).end)
                if self._held.startswith("[", at) or at == len(self._held):
                    at = match_mark(self._held, at, "[\n]").end
                if closing or at > begun:
                    return match_mark(self._held, at, closing).end
            except IncompleteError:
                if not is_last:
                    raise
            except NotACallError:
                continue
        return 0

    def _guess(self, lead: str, *, is_last: bool) -> list[FoundCall]:
        follows_text = not self._called and bool(self._shown.strip())
        if follows_text and lead == FENCE and self._fences_text:
            raise NotACallError
        try:
            return self._guesses.read(self._held, must_end=follows_text, is_last=is_last)
        except IncompleteError as error:
            if is_last:
                raise NotACallError from error
            raise

    def _drop_leftovers(self, *, last: bool) -> None:
        """Drop what stands behind a call and means nothing; raises IncompleteError where that is not decided."""
        if self._called:
            end = skip_leftovers(self._held, 0, self._closings, is_last=last)
            self._held = self._held[end:]

    def _accept(self, parser: CallParser, calls: list[FoundCall]) -> list[Piece]:
        """Take calls off what is held; those of a group without a known one wait for its end."""
        end = calls[-1].end
        written, self._held = self._held[:end], self._held[end:]
        group = self._group or _Group(parser, "")
        group.written += written
        shown = []
        for call in calls:
            if call.name in self._known:
                group.has_calls = True
                shown.append(self._call(call))
            else:
                group.unknown += written[call.start : call.end]
        if parser.is_grouped:
            self._group = group
            return shown
        self._group = None
        return shown + self._rest_of(group)

    def _read_group(self, *, last: bool) -> tuple[list[Piece], bool]:
        """The next call of a group, or its end; and whether to look again."""
        group = self._group
        if group is None:
            return [], True
        found = _BETWEEN.match(self._held)
        at = found.end() if found else 0
        try:
            end = self._end_of_group(group, at, is_last=last)
            if end is None and group.parser.form.form in GROUPED:
                stray = _STRAY.match(self._held)
                at = stray.end() if stray else at
                end = self._end_of_group(group, at, is_last=last)
            if end is not None:
                return self._close(group, end), True
            calls = group.parser.read(self._held, self._item(group, at), is_last=last)
        except IncompleteError:
            if not last:
                return (self._give_up() if len(self._held) > MAX_CALL_CHARS else []), False
            return self._close(group, 0), True
        except NotACallError:
            return self._close(group, 0), True
        return self._accept(group.parser, calls), True

    def _item(self, group: _Group, at: int) -> int:
        """Where the next call of a group begins after its own mark."""
        if group.parser.form.form in GROUPED:
            return at
        return group.parser.match_next(self._held, at)

    def _end_of_group(self, group: _Group, at: int, *, is_last: bool) -> int | None:
        if at == len(self._held):
            raise IncompleteError
        try:
            mark = group.parser.section[1]
            if not mark.strip():
                return None
            start = skip_space(self._held, at)
            end = match_closing(self._held, start, mark, is_required=True, is_last=is_last)
        except NotACallError:
            return None
        return end

    def _close(self, group: _Group, end: int) -> list[Piece]:
        self._group = None
        group.written += self._held[:end]
        self._held = self._held[end:]
        return self._rest_of(group)

    def _rest_of(self, group: _Group) -> list[Piece]:
        """What of a group is text: all of it where no call is known, else the unknown ones."""
        text = group.unknown if group.has_calls else group.written
        pieces = self._text(text)
        self._called = self._called or group.has_calls
        return pieces

    def _call(self, call: FoundCall) -> Piece:
        self._called = True
        return Piece("", tool_call=make_call(call.name, call.arguments))

    def _text(self, text: str) -> list[Piece]:
        text, self._space = self._space + text, ""
        if self._called:
            # The white space after a call is shown before what follows it, never at the end.
            rest = text.lstrip()
            if not rest:
                self._space = text
                return []
            text = text if self._shown else rest
        if not text:
            return []
        self._called = False
        self._shown += text
        return [Piece(text)]


def _leads_of(parsers: Iterable[CallParser]) -> list[str]:
    return sorted({lead for parser in parsers for lead in parser.leads}, key=len, reverse=True)
