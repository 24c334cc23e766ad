"""Holds an answer to a grammar, token by token; imported in an engine's child only.

llama.cpp's own grammars end the process where a schema is hostile (docs/decisions/answers-are-held-to-schemas-by-llguidance.md);
llguidance counts what a grammar costs and stops.
"""

from __future__ import annotations

import ctypes
import json
import re
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as api
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from llguidance.llamacpp import lltokenizer_from_vocab
from numpy.typing import NDArray

from engines.exceptions import InvalidRequestError
from engines.runtimes.llama_cpp.native import LoadedModel
from engines.runtimes.text.printable import make_printable

LIMITS = LLParserLimits(
    initial_lexer_fuel=200_000,
    step_lexer_fuel=100_000,
    max_grammar_size=100_000,
    max_lexer_states=20_000,
    verbose_errors=False,
)
"""With these no call takes much more than a second or 100 MB; with llguidance's own some took minutes."""
EXTRA_CPU_SECONDS = 5.0
"""CPU time that a grammar may cost beyond what is expected; other answers wait for it."""
EXPECTED_CPU_SECONDS = 0.005
"""For one token."""
CANDIDATE = np.dtype([("id", "<i4"), ("logit", "<f4"), ("p", "<f4")])
"""``struct llama_token_data``."""
MAX_REASON_CHARS = 300
_PLACE = re.compile(r"^at \d+\(\d+\): ")
"""Where in a grammar llguidance found a fault."""
DEAD_END = "NoExtension"
"""How llguidance says that nothing may follow."""


class Constraint:
    """One answer's grammar as a part of llama.cpp's sampler chain."""

    # llama.cpp keeps plain addresses of the callbacks. Without a reference from here Python would free
    # them under it.
    _alive: dict[int, Constraint] = {}
    """By address of the native sampler, until llama.cpp has freed it."""

    def __init__(self, model: LoadedModel, grammar: str) -> None:
        """InvalidRequestError for a grammar that cannot be kept."""
        tokenizer = _tokenizer(model.vocab)
        self._left = EXTRA_CPU_SECONDS
        self._matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=LIMITS)
        if self._matcher.is_error():
            raise InvalidRequestError(
                f"The schema cannot be kept: {_reason(self._matcher.get_error())}. Make it simpler."
            )
        self._end_tokens = np.array(_end_tokens(model.vocab))
        self._failure = ""
        self._freed = False
        self._interface = api.llama_sampler_i(
            accept=api.llama_sampler_i_accept(self._accept),
            apply=api.llama_sampler_i_apply(self._apply),
            free=api.llama_sampler_i_free(self._free),
        )
        self.native = api.llama_sampler_init(ctypes.pointer(self._interface), None)
        self._register()

    @classmethod
    def check(cls, address: int) -> None:
        """InvalidRequestError when the grammar of the part at this address could not be kept."""
        constraint = cls._alive.get(address)
        if constraint is not None and constraint._failure:
            raise InvalidRequestError(
                f"The answer could not be held to its schema: {constraint._failure}. Make it simpler."
            )

    def _register(self) -> None:
        """Hold this one, and drop those freed before: a callback cannot free itself while it runs."""
        for address in [at for at, other in self._alive.items() if other._freed]:
            del self._alive[address]
        self._alive[address_of(self.native)] = self

    def _apply(self, _sampler: Any, given: Any) -> None:
        array = given.contents
        size = array.size * CANDIDATE.itemsize
        start = ctypes.addressof(array.data.contents)
        rows = np.frombuffer((ctypes.c_char * size).from_address(start), CANDIDATE)
        rows["logit"][~self._allowed()[rows["id"]]] = -np.inf

    def _allowed(self) -> NDArray[np.bool_]:
        """Which tokens may come next; only those that end the answer when nothing else can."""
        # CPU time of this thread: a busy host must not make a cheap grammar fail.
        started = time.thread_time()
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._left -= time.thread_time() - started - EXPECTED_CPU_SECONDS
        if self._left < 0:
            # Noted, not raised: an exception cannot cross llama.cpp's frames.
            self._failure = self._failure or "it takes too long"
        allowed = np.unpackbits(bits, bitorder="little").astype(np.bool_)
        if self._matcher.is_error():
            self._failure = self._failure or _reason(self._matcher.get_error())
        if self._failure or not allowed.any():
            # Some token must stay possible: the end of the answer is the one that harms nobody.
            allowed[:] = False
            allowed[self._end_tokens] = True
        return allowed

    def _accept(self, _sampler: Any, token: int) -> None:
        # An ended or failed grammar must not see another token: it would fail again, less clearly.
        if token in self._end_tokens or self._failure:
            return
        if not self._matcher.consume_token(token):
            self._failure = _reason(self._matcher.get_error())

    def _free(self, _sampler: Any) -> None:
        self._freed = True


def address_of(sampler: Any) -> int:
    """The address of a native sampler."""
    return ctypes.addressof(sampler.contents)


def make_mark_namer(model: LoadedModel) -> Callable[[str], str]:
    """Return the function that writes a mark as a grammar for this model names it."""

    def name(mark: str) -> str:
        tokens = model.tokenize(mark, add_special=False, parse_special=True)
        special = _tokenizer(model.vocab).is_special_token
        parts, rest = [], mark
        for token in filter(special, tokens):
            text = model.token_text(token)
            before, found, after = rest.partition(text)
            if found and text:
                # A control token has no text that a grammar could match; llguidance names it by number.
                parts += [*([json.dumps(before)] if before else []), f"<[{token}]>"]
                rest = after
        return " ".join([*parts, *([json.dumps(rest)] if rest or not parts else [])])

    return name


@lru_cache(maxsize=1)
def _tokenizer(vocab: Any) -> LLTokenizer:
    """The vocabulary as llguidance reads it; takes about two seconds for the largest."""
    return lltokenizer_from_vocab(vocab, eos_token=_end_tokens(vocab))


def _end_tokens(vocab: Any) -> list[int]:
    """The tokens that end an answer."""
    count = int(api.llama_vocab_n_tokens(vocab))
    return [token for token in range(count) if api.llama_vocab_is_eog(vocab, token)]


def _reason(error: str) -> str:
    if error.startswith(DEAD_END):
        return "no text fits it"
    # Behind it come lines of the grammar that SAM made of the schema, which nobody sent.
    first = _PLACE.sub("", error.partition("\n")[0])
    return make_printable(first, MAX_REASON_CHARS).rstrip(".") or "it is too complex"
