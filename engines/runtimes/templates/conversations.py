"""Gives conversations to a chat template in a form in which it leaves nothing out.

A template is a program: whether it takes a conversation is found out by rendering one of the same shape
that is made of unlike words, and by looking for each of them in the prompt.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

from engines.exceptions import InvalidRequestError
from engines.runtimes.base import ChatMessage
from engines.runtimes.notation.description import CallNotation
from engines.runtimes.notation.tool_prompts import complete_tool
from engines.runtimes.templates.forms import FORMS, Form, Given, SystemPlace
from engines.runtimes.templates.shapes import Shape, make_probe, shape_of
from engines.runtimes.templates.thoughts import (
    THOUGHT,
    THOUGHTFUL,
    name_as_others_do,
    write_as_part,
)
from engines.runtimes.text.control_marks import ControlMarks
from engines.runtimes.text.response_format import Json

Render = Callable[[Sequence[Any], Sequence[Json] | None, Mapping[str, Any]], str]
"""A template: messages, tools and variables to a prompt; InvalidRequestError where it refuses."""

MAX_KNOWN = 1024
"""Shapes that a renderer remembers."""
SEARCH_SECONDS = 5.0
"""CPU time in which a form is looked for."""


class ConversationRenderer:
    """Renders conversations by one template, each shape in the form that was found for it once.

    Any thread may call it: two that look for the same form find the same one.
    """

    def __init__(self, render: Render, calls: CallNotation, *, takes_tools: bool) -> None:
        """``takes_tools`` says that the template itself describes tools, and calls are read as it has them.

        Where it does not, calls are written as ``calls``.
        """
        self._render = render
        self._calls = calls
        self._takes_tools = takes_tools
        self._known: dict[tuple[Shape, bool], Form | str] = {}
        """For each shape its form, or the sentence that says why there is none; also with tools as text."""

    def render(
        self, messages: Sequence[ChatMessage], tools: Sequence[Json], variables: Mapping[str, Any]
    ) -> str:
        """Return a prompt with every text of the messages.

        Raises InvalidRequestError with the template's own words where it takes no form of them.
        """
        shape = shape_of(messages, tools, variables)
        form = self._form_for(shape)
        try:
            return self._render_as(form, messages, tools, variables)
        except InvalidRequestError:
            if form.tools_as_text or not _has_tools(shape):
                raise
            # Templates differ in the descriptions of tools that they understand; text is always understood.
            with suppress(InvalidRequestError):
                whole = [complete_tool(tool) for tool in tools]
                return self._render_as(form, messages, whole, variables)
            with suppress(InvalidRequestError):
                written = self._form_for(shape, as_text=True)
                return self._render_as(written, messages, tools, variables)
            raise

    def render_marked(
        self,
        marks: ControlMarks,
        messages: Sequence[ChatMessage],
        tools: Sequence[Json],
        variables: Mapping[str, Any],
    ) -> str:
        """The same with the marks enclosed that stand in what people wrote, so that they stay text."""
        enclosed = marks.enclose(messages), marks.enclose_tools(tools)
        return marks.join_escaped(self.render(*enclosed, variables))

    def form_for(
        self, messages: Sequence[ChatMessage], tools: Sequence[Json], variables: Mapping[str, Any]
    ) -> Form:
        """Return the form in which such messages are rendered; InvalidRequestError where none is taken."""
        return self._form_for(shape_of(messages, tools, variables))

    def _form_for(self, shape: Shape, *, as_text: bool = False) -> Form:
        known = self._known.get((shape, as_text))
        if known is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            known = self._known[shape, as_text] = self._find_form(shape, as_text=as_text)
        if isinstance(known, str):
            raise InvalidRequestError(known)
        return known

    def _find_form(self, shape: Shape, *, as_text: bool) -> Form | str:
        """Return the first form in which a conversation of this shape is rendered whole."""
        probe = make_probe(shape)
        tried: set[str] = set()
        complaints: list[str] = []
        until = time.thread_time() + SEARCH_SECONDS
        as_text = as_text or (_has_tools(shape) and not self._takes_tools)
        for form in _forms_that_differ(shape, as_text=as_text):
            given = form.shape(probe.messages, probe.tools, self._calls)
            key = json.dumps(given)
            if key in tried:
                continue
            tried.add(key)
            try:
                prompt = self._render_given(given, dict(shape.variables))
                probe.require_whole(prompt, is_native=_has_tools(shape) and not form.tools_as_text)
            except InvalidRequestError as complaint:
                complaints.append(str(complaint))
            else:
                return form
            if time.thread_time() > until:
                break
        # What it said of the messages as they are tells most.
        return complaints[0]

    def _render_as(
        self,
        form: Form,
        messages: Sequence[ChatMessage],
        tools: Sequence[Json],
        variables: Mapping[str, Any],
    ) -> str:
        return self._render_given(form.shape(messages, tools, self._calls), variables)

    def _render_given(self, given: Given, variables: Mapping[str, Any]) -> str:
        variables = {**given.variables, **variables}
        if any(turn.get(THOUGHT) for turn in given.messages):
            write = write_as_part if self._takes_parts else name_as_others_do
            # A template may refuse a text beside a thought that it would not have seen by its first name.
            with suppress(InvalidRequestError):
                turns = [write(turn) for turn in given.messages]
                return self._render(turns, given.tools, variables)
        return self._render(given.messages, given.tools, variables)

    @cached_property
    def _takes_parts(self) -> bool:
        """Whether reasoning is a typed part of the content (Mistral's)."""
        turns = [{"role": "user", "content": "?"}, write_as_part(THOUGHTFUL)]
        try:
            prompt = self._render(turns, None, {"add_generation_prompt": False})
        except InvalidRequestError:
            return False
        # A template that takes a text only writes the list as it is.
        is_raw = "'type'" in prompt or '"type"' in prompt
        return all(THOUGHTFUL[name] in prompt for name in (THOUGHT, "content")) and not is_raw


def _forms_that_differ(shape: Shape, *, as_text: bool) -> Iterator[Form]:
    """Yield the forms without those that change what a conversation of this shape does not have."""
    calls = any(turn.calls for turn in shape.turns)
    tools = _has_tools(shape)
    # Tools that are written out are a system message.
    system = shape.has_tools or any(turn.role == "system" for turn in shape.turns)
    for form in FORMS:
        changes_calls = form.short_ids or form.written_arguments or form.split
        if form.tools_as_text and (changes_calls or not tools):
            continue
        if (changes_calls and not calls) or (form.system is not SystemPlace.OWN and not system):
            continue
        if form.tools_as_text or not as_text:
            yield form


def _has_tools(shape: Shape) -> bool:
    return shape.has_tools or any(turn.calls or turn.role == "tool" for turn in shape.turns)
