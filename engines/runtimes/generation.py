"""What a caller may ask of a generation, and what it learns from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from engines.exceptions import InvalidRequestError

RANDOM_SEED = 0xFFFFFFFF
LARGEST_STOP_LIST = 16
RANGES: dict[str, tuple[float, float]] = {
    "max_tokens": (0, 2**31 - 1),
    "temperature": (0.0, 10.0),
    "top_p": (0.0, 1.0),
    "top_k": (0, 2**31 - 1),
    "min_p": (0.0, 1.0),
    "seed": (0, RANDOM_SEED),
    "repeat_penalty": (0.1, 10.0),
    "frequency_penalty": (-2.0, 2.0),
    "presence_penalty": (-2.0, 2.0),
}
WHOLE = frozenset({"max_tokens", "top_k", "seed"})


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """Sampling options; the defaults are llama.cpp's own."""

    max_tokens: int = 0
    """0 means as many as the context has room for."""
    temperature: float = 0.8
    """0 means greedy."""
    top_p: float = 0.95
    top_k: int = 40
    min_p: float = 0.05
    stop: tuple[str, ...] = ()
    seed: int = RANDOM_SEED
    """The default draws a fresh one."""
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    thinking: bool | None = None
    """Whether a model with a thinking switch reasons first; ``None`` leaves it to the model."""

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> GenerationOptions:
        """Options from keyword arguments; ``None`` means the default.

        Raises InvalidRequestError that names the option and its range.
        """
        known = {field.name for field in fields(cls)}
        values = {name: value for name, value in given.items() if value is not None}
        for name in values:
            if name not in known:
                raise InvalidRequestError(
                    f"There is no generation option {name!r}; known are {', '.join(sorted(known))}."
                )
        stop = _stop_words(values.pop("stop", ()))
        thinking = _switch("thinking", values.pop("thinking", None))
        for name, value in values.items():
            _check_number(name, value)
        return cls(stop=stop, thinking=thinking, **values)

    def as_parameters(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Generation:
    """A finished answer."""

    text: str
    tokens: tuple[int, ...]
    """Sampled token ids without the one that ended the answer."""
    prompt_tokens: int
    finish_reason: str
    """``stop``, ``length`` or ``cancelled``."""
    reasoning: str = ""
    """What the model thought before it answered; no part of ``text``."""
    counted_tokens: int = 0
    """Tokens by the count of a server that does not tell which ones they were."""

    @property
    def completion_tokens(self) -> int:
        """Tokens generated, reasoning included."""
        return len(self.tokens) or self.counted_tokens


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of what a model says."""

    text: str
    is_reasoning: bool = False
    """Thought, not answered."""


def _check_number(name: str, value: object) -> None:
    low, high = RANGES[name]
    kinds = (int,) if name in WHOLE else (int, float)
    fits = isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high
    if not fits:
        kind = "a whole number" if name in WHOLE else "a number"
        raise InvalidRequestError(f"{name} must be {kind} from {low} to {high}, not {value!r}.")


def _switch(name: str, given: object) -> bool | None:
    if given is None or isinstance(given, bool):
        return given
    raise InvalidRequestError(f"{name} must be true or false, not {given!r}.")


def _stop_words(given: object) -> tuple[str, ...]:
    words = (given,) if isinstance(given, str) else given
    if (
        isinstance(words, (list, tuple))
        and len(words) <= LARGEST_STOP_LIST
        and all(isinstance(word, str) for word in words)
    ):
        return tuple(words)
    raise InvalidRequestError(f"stop must be a text or at most {LARGEST_STOP_LIST} texts.")
