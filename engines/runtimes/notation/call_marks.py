"""The marks before and around calls, as models write them and as far as they do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from engines.runtimes.notation.description import HOLE, CallForm, CallNotation
from engines.runtimes.notation.scanning import (
    IncompleteError,
    NotACallError,
    match_mark,
    skip_pattern,
    spellings_of,
    split_mark,
    try_mark,
)

GROUPED = (CallForm.OBJECT, CallForm.PYTHON, CallForm.LINES)
"""Forms whose calls need no mark of their own within a group."""
GROUP = "functions."
"""Stands before a tool's own name in some notations; models leave it out."""
BRACKET = re.compile(r"\s*\(?\s*")
"""What some write around arguments."""
_LIST = re.compile(r"\s*\[\s*")


@lru_cache(maxsize=1024)
def leads_of(form: CallNotation) -> tuple[str, ...]:
    """Return each text with which calls of a notation may begin."""
    found = list(form.may_open)
    for mark in (form.section[0], form.opening):
        parts = split_mark(mark.partition(HOLE)[0])
        # Some models leave out the first part of a mark of two.
        found += [parts[0], *(part for part in parts[1:] if part[0] in "<[")] if parts else []
    found += [lead.removesuffix(GROUP) for lead in found if lead.endswith(GROUP)]
    return tuple(dict.fromkeys(each for lead in found for each in spellings_of(lead)))


@dataclass(frozen=True, slots=True)
class CallMarks:
    """Matches the marks of one notation."""

    form: CallNotation

    @property
    def section(self) -> tuple[str, str]:
        """Marks around a group of calls; JSON and Python stand in groups between any marks."""
        form = self.form
        if form.section[0].strip() or not self._stands_in_groups:
            return form.section
        return form.opening, form.closing

    @property
    def is_grouped(self) -> bool:
        """Whether calls may stand together, so that what follows one may be another without a lead."""
        return any(mark.strip() for mark in self.section) or self.follows_without_mark

    @property
    def follows_without_mark(self) -> bool:
        """Whether a name shows to be a call by the mark behind it alone."""
        form = self.form
        is_named = form.form is CallForm.NAMED and bool(form.opening.strip())
        return is_named and bool(form.after_name.strip()) and not form.closing.strip()

    @property
    def leads(self) -> tuple[str, ...]:
        """Each text with which calls may begin."""
        return leads_of(self.form)

    @property
    def _stands_in_groups(self) -> bool:
        return self.form.form in GROUPED

    def match_opening(self, text: str, at: int) -> int:
        """Match what opens a group or a call, all of it or its last part."""
        marks = [self.section[0], self.form.opening]
        if self._stands_in_groups:
            # JSON and Python have brackets of their own, whatever of the marks is there.
            for mark in (*self.form.may_open, marks[0]):
                if mark.strip() and (end := try_mark(text, at, mark)) is not None:
                    # Some write it twice.
                    return try_mark(text, end, mark) or end
            return at
        if marks[0].strip() and (end := try_mark(text, at, marks[0])) is not None:
            at = end
        at = self._match_call_opening(text, at)
        return skip_pattern(_LIST, text, at) if self.follows_without_mark else at

    def _match_call_opening(self, text: str, at: int) -> int:
        opening = self.form.opening
        parts = split_mark(opening)
        marks = [opening, *self.form.may_open, *parts[1:][-1:]]
        marks += [opening.removesuffix(GROUP)] if opening.endswith(GROUP) else []
        # Models of DeepSeek leave out the tag before "function".
        rest = opening.partition(">")[2]
        marks += [rest] if rest[:1].isalpha() and "<" in rest else []
        for mark in marks:
            if (end := try_mark(text, at, mark)) is not None:
                return end
        raise NotACallError

    def match_after_name(self, text: str, at: int) -> int:
        """Match what stands between a name and its arguments, or what of it is there."""
        mark = self.form.after_name
        try:
            return match_mark(text, at, mark).end
        except NotACallError:
            # Some leave out all of it or open a bracket instead, others leave out an id or an index.
            begun = skip_pattern(BRACKET, text, at)
            if begun == len(text):
                raise IncompleteError from None
            if self.form.form is CallForm.NAMED and text[begun] == "{":
                return begun
            return match_mark(text, at, mark.rpartition(HOLE)[2]).end
