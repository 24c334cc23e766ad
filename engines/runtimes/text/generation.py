"""The options of a generation, and its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Literal, NamedTuple, TypeGuard, get_args

from msgspec import Meta, Struct, inspect

from engines.exceptions import ContextLengthError, InvalidRequestError
from engines.runtimes.text.response_format import (
    Choice,
    Json,
    forced_tools,
    parse_choice,
    parse_format,
    parse_tools,
    schema_of,
)

RANDOM_SEED = 0xFFFFFFFF
MAX_STOP_WORDS = 16
MAX_TOKENS = 2**31 - 1
FORM = ("response_format", "tools", "tool_choice", "parallel_tool_calls")
"""Options that say what form an answer has."""

Penalty = Annotated[float, Meta(ge=-2.0, le=2.0)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Level = Literal["minimal", "low", "medium", "high", "xhigh", "max"]
Effort = Level | Annotated[int, Meta(ge=1, le=MAX_TOKENS)]
"""A level, or how many tokens the reasoning may have."""
EFFORTS: tuple[Level, ...] = get_args(Level)
"""From the least on."""


class SamplingOptions(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an answer's tokens are drawn, as a caller asks for it: names and limits of the options.

    None leaves the default, which GenerationOptions gives.
    """

    max_tokens: Annotated[int, Meta(ge=0, le=MAX_TOKENS)] | None = None
    temperature: Annotated[float, Meta(ge=0.0, le=10.0, description="0 means greedy.")] | None = (
        None
    )
    top_p: Share | None = None
    top_k: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    min_p: Share | None = None
    stop: str | Annotated[list[str], Meta(max_length=MAX_STOP_WORDS)] | None = None
    seed: Annotated[int, Meta(ge=0, le=RANDOM_SEED)] | None = None
    repeat_penalty: Annotated[float, Meta(ge=0.1, le=10.0)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None


class AskedOptions(SamplingOptions, frozen=True, kw_only=True, omit_defaults=True):
    """All that a caller may ask of a generation; None leaves the default."""

    thinking: bool | None = None
    effort: Effort | None = None
    response_format: Json | None = None
    tools: list[Json] | None = None
    tool_choice: Choice | None = None
    parallel_tool_calls: bool | None = None

    def given_options(self) -> dict[str, object]:
        """Return the options that were asked for by name, for an engine's keyword arguments."""
        values = {name: getattr(self, name) for name in AskedOptions.__struct_fields__}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """AskedOptions with the defaults filled in, which are llama.cpp's own."""

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
    effort: Effort | None = None
    """How much it reasons, where its template can be told; ``None`` leaves it to the model."""
    response_format: Json | None = None
    """The form of the answer, as in OpenAI's API; ``None`` is plain text."""
    tools: tuple[Json, ...] = ()
    """What the model may call, as in OpenAI's API."""
    tool_choice: Choice = "auto"
    """``auto``, ``none``, ``required``, or the one tool that must be called."""
    parallel_tool_calls: bool | None = None
    """Whether an answer may call several tools; ``None`` leaves it to the model."""
    owner: str = ""
    """Who asks: where the runtime can, the computed prompt is reused for the same owner's next request and
    for nobody else's. Without an owner nothing is cached."""

    @property
    def schema(self) -> Json | None:
        """The JSON schema that the answer must keep."""
        return schema_of(self.response_format)

    @property
    def must_call(self) -> list[Json]:
        """The functions of which one must be called."""
        return forced_tools(tuple(self.tools), self.tool_choice)

    @property
    def may_call(self) -> list[Json]:
        """The functions that the model may call if it wants to."""
        return [tool["function"] for tool in self.tools] if self.tool_choice == "auto" else []

    @property
    def shown_tools(self) -> tuple[Json, ...]:
        """The tools that the prompt describes."""
        return () if self.tool_choice == "none" else tuple(self.tools)

    @property
    def template_thinking(self) -> bool | None:
        """The thinking switch for a template; off for an answer of a set form, unless asked for."""
        if self.thinking is not None:
            return self.thinking
        # A grammar begins with the first token, where such a model would begin to think.
        if self.is_constrained:
            return False
        # Some templates leave the reasoning out of what nobody asks to be reasoned about.
        return None if self.effort is None else True

    @property
    def template_effort(self) -> Effort | None:
        """The effort for a template; the least where no reasoning is wanted, for models without a switch."""
        return "minimal" if self.thinking is False else self.effort

    @property
    def is_constrained(self) -> bool:
        """Whether the answer must have a form that a model alone does not keep."""
        return self.schema is not None or bool(self.must_call)

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
        effort = _effort(values.pop("effort", None))
        form = _form(values)
        owner = _owner(values.pop("owner", ""))
        for name, value in values.items():
            _check_number(name, value)
        return cls(stop=stop, thinking=thinking, effort=effort, owner=owner, **form, **values)

    def as_parameters(self) -> Json:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model wants to be called."""

    name: str
    arguments: str
    """JSON, as the model wrote it."""


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
    reused_tokens: int = 0
    """Tokens of the prompt that were computed for an earlier answer."""
    counted_tokens: int = 0
    """Tokens as a server counted them, where it does not send their ids."""

    @property
    def completion_tokens(self) -> int:
        """Tokens generated, reasoning included."""
        return len(self.tokens) or self.counted_tokens


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer."""

    text: str
    is_reasoning: bool = False
    """Part of the reasoning, not of the answer."""
    tool_call: ToolCall | None = None
    """A call that the runtime itself separated from the text."""


def _form(values: Json) -> Json:
    """Take the options of the answer's form out of the values, and parse them."""
    tools = parse_tools(values.pop("tools", ()))
    several = values.pop("parallel_tool_calls", None)
    return {
        "response_format": parse_format(values.pop("response_format", None)),
        "tools": tools,
        "tool_choice": parse_choice(values.pop("tool_choice", "auto"), tools),
        "parallel_tool_calls": _switch("parallel_tool_calls", several),
    }


class NumberLimits(NamedTuple):
    """What a numeric option may be."""

    is_whole: bool
    low: float
    high: float


def _limits() -> dict[str, NumberLimits]:
    """Return the numeric options with the limits that SamplingOptions gives them."""
    found: dict[str, NumberLimits] = {}
    described = inspect.type_info(SamplingOptions)
    for field in described.fields if isinstance(described, inspect.StructType) else ():
        kinds = field.type.types if isinstance(field.type, inspect.UnionType) else ()
        for kind in kinds:
            # A description stands around the type that it describes.
            inner = kind.type if isinstance(kind, inspect.Metadata) else kind
            if not isinstance(inner, (inspect.IntType, inspect.FloatType)):
                continue
            if inner.ge is not None and inner.le is not None:
                is_whole = isinstance(inner, inspect.IntType)
                found[field.name] = NumberLimits(is_whole, inner.ge, inner.le)
    return found


NUMBER_LIMITS = _limits()
"""Of each numeric option; a face that describes or checks them reads them here."""


def _check_number(name: str, value: object) -> None:
    is_whole, low, high = NUMBER_LIMITS[name]
    kinds = (int,) if is_whole else (int, float)
    fits = isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high
    if not fits:
        kind = "a whole number" if is_whole else "a number"
        raise InvalidRequestError(f"{name} must be {kind} from {low} to {high}, not {value!r}.")


def _switch(name: str, given: object) -> bool | None:
    if given is None or isinstance(given, bool):
        return given
    raise InvalidRequestError(f"{name} must be true or false, not {given!r}.")


def is_effort(given: object) -> TypeGuard[Effort]:
    """Say whether it is a level or a number of tokens."""
    if isinstance(given, str):
        return given in EFFORTS
    return isinstance(given, int) and not isinstance(given, bool) and 1 <= given <= MAX_TOKENS


def _effort(given: object) -> Effort | None:
    if given is None or is_effort(given):
        return given
    raise InvalidRequestError(
        f"effort must be {', '.join(EFFORTS[:-1])} or {EFFORTS[-1]}, or a whole number of tokens from 1 to "
        f"{MAX_TOKENS}, not {given!r:.60}."
    )


def require_answer_room(prompt: int, context: int, wanted: int) -> int:
    """Return how many tokens an answer may have beside a prompt of so many; ``wanted`` is 0 for all.

    Raises InvalidRequestError for an empty prompt, ContextLengthError for one that fills the context.
    """
    if not prompt:
        raise InvalidRequestError("The prompt is empty; write something to be answered.")
    room = context - prompt
    if room <= 0:
        raise prompt_too_long(str(prompt), context)
    return min(wanted, room) if wanted else room


def prompt_too_long(tokens: str, context: int) -> ContextLengthError:
    """Return the refusal of a prompt of so many tokens, in words by which clients know by how much to shorten it."""
    return ContextLengthError(
        f"The prompt is too long: {tokens} tokens > {context} maximum of the context; "
        "shorten the prompt or use an engine with a longer context."
    )


def _owner(given: object) -> str:
    if isinstance(given, str):
        return given
    raise InvalidRequestError(f"owner must be a text, not {given!r}.")


def _stop_words(given: object) -> tuple[str, ...]:
    words = (given,) if isinstance(given, str) else given
    if (
        isinstance(words, (list, tuple))
        and len(words) <= MAX_STOP_WORDS
        and all(isinstance(word, str) for word in words)
    ):
        return tuple(words)
    raise InvalidRequestError(f"stop must be a text or at most {MAX_STOP_WORDS} texts.")
