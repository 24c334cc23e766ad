"""Tokenizes prompts: control tokens come from templates only; imported in an engine's child only."""

from __future__ import annotations

from llama_cpp import llama_cpp as api

from engines.runtimes.llama_cpp.native import LoadedModel
from engines.runtimes.text.control_marks import (
    ControlMarks,
    Fragment,
    looks_like_a_mark,
    strip_enclosures,
)
from engines.runtimes.text.generation import prompt_too_long

CUT_CHARS = 4096
"""llama.cpp's time grows with the square of the marks in one call; a call gets no more than this."""
WHITE_SPACE = " \t\n\v\f\r"
"""What C's ``isspace`` takes for it."""
PARSED = api.LLAMA_TOKEN_ATTR_CONTROL | api.LLAMA_TOKEN_ATTR_UNKNOWN
"""Attributes of tokens that llama.cpp parses in a text only when it is asked to."""


class PromptReader:
    """Reads prompts by one vocabulary; any thread may."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._attributes: dict[str, int] = {}
        self._longest = 1
        control: list[str] = []
        added: list[str] = []
        for token in range(int(api.llama_vocab_n_tokens(model.vocab))):
            self._note(token, control, added)
        self.marks = ControlMarks(control, added)
        # SentencePiece puts a space in front of a text; after a cut inside a text it is taken off.
        self._line = model.tokenize("\n", add_special=False, parse_special=False)

    def _note(self, token: int, control: list[str], added: list[str]) -> None:
        model = self._model
        text = model.token_text(token)
        self._longest = max(self._longest, len(text.encode("utf-8", "replace")))
        attributes = int(api.llama_vocab_get_attr(model.vocab, token))
        is_parsed = attributes & (PARSED | api.LLAMA_TOKEN_ATTR_USER_DEFINED)
        if not text or not (is_parsed or api.llama_vocab_is_eog(model.vocab, token)):
            return
        # A token that ends an answer may be declared an ordinary one; nobody may say it either.
        if attributes & PARSED or (len(text) > 1 and api.llama_vocab_is_eog(model.vocab, token)):
            control.append(text)
        elif looks_like_a_mark(text):
            added.append(text)
        self._attributes[text] = attributes

    def require_may_fit(self, text: str, context: int) -> None:
        """ContextLengthError for a text that has too many bytes for the context, however it is cut."""
        size = len(text.encode("utf-8", "replace"))
        if size > context * self._longest:
            raise prompt_too_long(f"at least {size // self._longest}", context)

    def tokens(self, text: str) -> list[int]:
        """Tokens of a prompt as it is rendered, without any the model would add."""
        if strip_enclosures(text) == text and len(text) <= CUT_CHARS:
            return self._parse(text)
        tokens: list[int] = []
        parsed: list[str] = []
        size = 0
        fragments = list(self.marks.split(text))
        for number, fragment in enumerate(fragments):
            # Between two fragments llama.cpp keeps nothing but the white space that a mark may swallow.
            is_text = not fragment.is_mark and self.marks.is_in(fragment.text)
            if is_text or (size > CUT_CHARS and self._is_start(fragment)):
                tokens += self._parse("".join(parsed))
                parsed.clear()
                size = 0
            if is_text:
                tokens += self._read_as_text(fragments, number)
            else:
                parsed.append(fragment.text)
                size += len(fragment.text)
        return tokens + self._parse("".join(parsed))

    def _is_start(self, fragment: Fragment) -> bool:
        """Whether a call of llama.cpp may begin with this fragment."""
        return fragment.is_mark and not self._has(fragment, api.LLAMA_TOKEN_ATTR_LSTRIP)

    def _has(self, fragment: Fragment, attribute: int) -> bool:
        return bool(self._attributes.get(fragment.text, 0) & attribute)

    def _parse(self, text: str) -> list[int]:
        if not text:
            return []
        return self._model.tokenize(text, add_special=False, parse_special=True)

    def _read_as_text(self, fragments: list[Fragment], number: int) -> list[int]:
        """Tokens of a fragment that looks as if it held marks."""
        text = fragments[number].text
        if number and self._has(fragments[number - 1], api.LLAMA_TOKEN_ATTR_RSTRIP):
            text = text.lstrip(WHITE_SPACE)
        after = fragments[number + 1 : number + 2]
        if after and self._has(after[0], api.LLAMA_TOKEN_ATTR_LSTRIP):
            text = text.rstrip(WHITE_SPACE)
        first, *rest = self.marks.break_apart(text)
        tokens = self._as_text(first)
        for part in rest:
            tokens += self._continue_text(part)
        return tokens

    def _continue_text(self, text: str) -> list[int]:
        tokens = self._as_text("\n" + text)
        size = len(self._line)
        # Where a line's end is joined to what follows, the space in front of the text stays.
        return tokens[size:] if tokens[:size] == self._line else self._as_text(text)

    def _as_text(self, text: str) -> list[int]:
        return self._model.tokenize(text, add_special=False, parse_special=False) if text else []
