"""Gives conversations to a chat template in a form in which it leaves nothing out.

A template is a program: whether it takes a conversation is found out by rendering one of the same shape
that is made of unlike words, and by looking for each of them in the prompt.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from engines.exceptions import InvalidRequestError
from engines.runtimes.base import ChatMessage
from engines.runtimes.notation.description import CallNotation
from engines.runtimes.templates.forms import FORMS, Form, Given, SystemPlace
from engines.runtimes.templates.shapes import Shape, make_probe, shape_of
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
        self._known: dict[Shape, Form | str] = {}
        """For each shape its form, or the sentence that says why there is none."""

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
        except InvalidRequestError as refusal:
            # It looks into the texts themselves.
            for other in self._fitting(shape, FORMS[FORMS.index(form) + 1 :], []):
                try:
                    return self._render_as(other, messages, tools, variables)
                except InvalidRequestError:
                    continue
            raise refusal from None

    def form_for(
        self, messages: Sequence[ChatMessage], tools: Sequence[Json], variables: Mapping[str, Any]
    ) -> Form:
        """Return the form in which such messages are rendered; InvalidRequestError where none is taken."""
        return self._form_for(shape_of(messages, tools, variables))

    def _form_for(self, shape: Shape) -> Form:
        known = self._known.get(shape)
        if known is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            known = self._known[shape] = self._find_form(shape)
        if isinstance(known, str):
            raise InvalidRequestError(known)
        return known

    def _find_form(self, shape: Shape) -> Form | str:
        complaints: list[str] = []
        found = next(self._fitting(shape, FORMS, complaints), None)
        # What it said of the messages as they are tells most.
        return found or complaints[0]

    def _fitting(
        self, shape: Shape, forms: Sequence[Form], complaints: list[str]
    ) -> Iterator[Form]:
        """Yield the forms in which a conversation of this shape is rendered whole."""
        probe = make_probe(shape)
        tried: set[str] = set()
        until = time.thread_time() + SEARCH_SECONDS
        for form in _forms_that_differ(forms, shape):
            given = form.shape(probe.messages, probe.tools, self._calls)
            key = json.dumps(given)
            has_tools = shape.has_tools and not form.tools_as_text
            is_native = has_tools or any(map(_has_tools, given.messages))
            if key in tried or (is_native and not self._takes_tools):
                continue
            tried.add(key)
            try:
                prompt = self._render_given(given, dict(shape.variables))
                probe.require_whole(prompt, is_native=is_native)
            except InvalidRequestError as complaint:
                complaints.append(str(complaint))
            else:
                yield form
            if time.thread_time() > until:
                return

    def _render_as(
        self,
        form: Form,
        messages: Sequence[ChatMessage],
        tools: Sequence[Json],
        variables: Mapping[str, Any],
    ) -> str:
        return self._render_given(form.shape(messages, tools, self._calls), variables)

    def _render_given(self, given: Given, variables: Mapping[str, Any]) -> str:
        return self._render(given.messages, given.tools, {**given.variables, **variables})


def _forms_that_differ(forms: Sequence[Form], shape: Shape) -> Iterator[Form]:
    """Yield the forms without those that change what a conversation of this shape does not have."""
    calls = any(turn.calls for turn in shape.turns)
    tools = calls or shape.has_tools or any(turn.role == "tool" for turn in shape.turns)
    # Tools that are written out are a system message.
    system = shape.has_tools or any(turn.role == "system" for turn in shape.turns)
    for form in forms:
        changes_calls = form.short_ids or form.written_arguments or form.split
        if form.tools_as_text and (changes_calls or not tools):
            continue
        if (changes_calls and not calls) or (form.system is not SystemPlace.OWN and not system):
            continue
        yield form


def _has_tools(message: Mapping[str, Any]) -> bool:
    return message["role"] == "tool" or bool(message.get("tool_calls"))
