"""What clients send, checked field by field; nothing that would change an answer is ignored."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NoReturn, TypeGuard, TypeVar, cast

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from msgspec import structs

from engines.exceptions import InvalidRequestError
from engines.parsing import UNREADABLE, convert, fault_of, with_whole_numbers
from engines.runtimes.text.characters import join_halves
from engines.runtimes.text.generation import (
    FORM,
    RANDOM_SEED,
    GenerationOptions,
    SamplingOptions,
)
from engines.runtimes.text.openai_vocabulary import read_openai_tokens
from engines.runtimes.text.response_format import is_shallow
from engines.services.answers.messages import AnswerRequest, Question
from engines.services.knowledge.search_filters import with_moments
from migrations_app.openai_api.errors import (
    WRONG_MEDIA,
    RefusedError,
    refuse,
    too_large,
    unknown_field,
)
from migrations_app.openai_api.messages import parse_messages, tidy_messages
from migrations_app.openai_api.request_bodies import (
    INSTEAD,
    MAX_CHOICES,
    MAX_DEPTH,
    SERVED_VALUES,
    ChatBody,
    CompletionBody,
    EmbeddingBody,
    KnowledgeBody,
    RankBody,
    StreamOptions,
    TextBody,
    given_hints,
    read_wish,
)
from migrations_app.openai_api.tidying import (
    NO_LIMIT,
    split_name,
    tidy_chat,
    tidy_text,
)

Body = Mapping[str, object]
Parsed = TypeVar("Parsed", ChatBody, CompletionBody, EmbeddingBody, RankBody)

DEFAULT_COMPLETION_TOKENS = 16
"""What OpenAI's completions endpoint takes when nothing is said."""
INPUT_TYPES = {"search_query": "query", "search_document": "document", "passage": "document"}
"""What Cohere's and NVIDIA's clients call the roles of a text."""
SAMPLING = frozenset(SamplingOptions.__struct_fields__) - {"max_tokens"}
TOO_DEEP = f"The body is nested deeper than {MAX_DEPTH} levels; make it flatter."
_FIELD = re.compile(r"messages\[\d+\](\.\w+)?|\w+")
"""What a client is told of where a fault is: a field, in a message the message's."""
_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
"""As JSON writes one, and as programs do that write UTF-16 as if it were UTF-8."""


@dataclass(frozen=True, slots=True)
class AskedText:
    """A checked request for text, but for who asks and which engine answers."""

    model: str
    question: Question
    stream: bool
    include_usage: bool
    ignored: tuple[str, ...] = ()
    """What was sent and changes nothing here."""
    switch: str = ""
    """Where it was sent whether to reason; an engine without a switch answers as it does."""
    effort: str = ""
    """Where it was sent how much to think; an engine that cannot be told answers as it does."""
    others: tuple[Question, ...] = ()
    """Further questions of the same request; their answers are its other choices."""

    def requests_of(self, user_id: int, revision_id: int | None) -> list[AnswerRequest]:
        """Return what the worker is asked for a person; None leaves their active engine to it."""
        return [
            AnswerRequest(user_id=user_id, revision_id=revision_id, **structs.asdict(question))
            for question in (self.question, *self.others)
        ]


@dataclass(frozen=True, slots=True)
class AskedVectors:
    """A checked request for vectors."""

    model: str
    texts: list[str]
    role: Literal["document", "query"]
    base64: bool
    dimensions: int | None
    ignored: tuple[str, ...] = ()
    """What was sent and changes nothing here."""


Asked = TypeVar("Asked", AskedText, AskedVectors)


def of_engine(read: Callable[[Body], Asked], engine: str) -> Callable[[Body], Asked]:
    """Return a reader whose engine an address names, if it does: in the body programs name any model then."""
    return (lambda body: read({**body, "model": engine})) if engine else read


def read_body(request: HttpRequest) -> Body:
    """Return the JSON object of a request; RefusedError when it is none, or too large."""
    try:
        body = json.loads(request.body, parse_constant=_no_constant)
    except RequestDataTooBig:
        raise too_large() from None
    except RecursionError:
        raise RefusedError(TOO_DEEP) from None
    except ValueError as error:
        raise _unreadable(request, error) from None
    if not isinstance(body, dict):
        raise RefusedError("The body must be a JSON object.")
    # To walk through a body takes as long as to read it, and most cannot be that deep.
    brackets = request.body.count(b"[") + request.body.count(b"{")
    if brackets > MAX_DEPTH and not is_shallow(body, MAX_DEPTH):
        raise RefusedError(TOO_DEEP)
    # In UTF-16, which JSON may be sent in, no escape looks as it does in UTF-8.
    may_have_halves = b"\0" in request.body or _HALF_CHARACTER.search(request.body)
    return with_whole_numbers(_with_whole_characters(body) if may_have_halves else body)


def _with_whole_characters(body: Body) -> Body:
    """Join halves of characters, as clients leave where they cut a text; one alone becomes U+FFFD."""
    whole: Body = json.loads(join_halves(json.dumps(body, ensure_ascii=False)))
    return whole


def chat_request(body: Body) -> AskedText:
    """Return a checked request of ``/v1/chat/completions``; RefusedError names the field at fault."""
    fields, ignored = tidy_chat(body)
    fields["model"], is_grounded = split_name(fields.get("model"))
    fields["messages"] = tidy_messages(fields.get("messages"))
    fields["knowledge"] = _with_moments(fields.get("knowledge"))
    if fields["knowledge"] is None and is_grounded:
        fields["knowledge"] = True
    asked = _parse(fields, ChatBody)
    knowledge = KnowledgeBody() if asked.knowledge is True else asked.knowledge or None
    wish = read_wish(asked)
    question = Question(
        messages=parse_messages(asked.messages),
        max_tokens=asked.max_completion_tokens or asked.max_tokens or 0,
        thinking=wish.thinking,
        effort=wish.effort,
        knowledge=knowledge.k if knowledge else None,
        knowledge_filter=knowledge.narrowed() if knowledge else None,
    )
    question = structs.replace(question, **_sampling(asked), **_form(asked))
    read = _asked_text(asked, [question], [*ignored, *_ignored_in_chat(asked), *wish.unheard])
    return replace(read, switch=wish.switch, effort=wish.told)


def completion_request(body: Body) -> AskedText:
    """Return a checked request of ``/v1/completions``; RefusedError names the field at fault."""
    _refuse_grounded(body)
    _refuse_numbers(body.get("prompt"))
    asked = _parse(tidy_text(body).fields, CompletionBody)
    prompts = [asked.prompt] if isinstance(asked.prompt, str) else asked.prompt
    is_endless = any(body.get(name) in NO_LIMIT for name in ("max_tokens", "n_predict"))
    limit = asked.max_tokens or (0 if is_endless else DEFAULT_COMPLETION_TOKENS)
    questions = [Question(prompt=prompt, max_tokens=limit) for prompt in prompts]
    sampling = _sampling(asked)
    return _asked_text(asked, [structs.replace(one, **sampling) for one in questions], [])


def embedding_request(body: Body) -> AskedVectors:
    """Return a checked request of ``/v1/embeddings``; ``input_type`` query is an extension."""
    _refuse_grounded(body)
    fields = {**body, "input": _with_texts(body.get("input"))}
    role = fields.get("input_type")
    if isinstance(role, str):
        fields["input_type"] = INPUT_TYPES.get(role, role)
    asked = _parse(fields, EmbeddingBody)
    return AskedVectors(
        model=asked.model,
        texts=[asked.input] if isinstance(asked.input, str) else asked.input,
        role=asked.input_type,
        base64=asked.encoding_format == "base64",
        dimensions=asked.dimensions,
        ignored=tuple(given_hints(asked)),
    )


def _refuse_grounded(body: Body) -> None:
    """Refuse the name that asks for knowledge where no message is that it could be added to."""
    plain, is_grounded = split_name(body.get("model"))
    if is_grounded:
        refuse("model", f"{body['model']!r:.150} answers messages only; name {plain!r:.150} here")


def _refuse_numbers(prompt: object) -> None:
    """Refuse prompts that are numbers of who knows which tokens."""
    if isinstance(prompt, list) and any(_is_number(one) or isinstance(one, list) for one in prompt):
        refuse(
            "prompt",
            "holds numbers of tokens, which stand for another text in each model's vocabulary; send a text",
        )


def rank_request(body: Body) -> RankBody:
    """Return a checked request of ``/v1/rerank``; RefusedError names the field at fault."""
    documents = body.get("documents")
    for number, text in enumerate(documents if isinstance(documents, list) else []):
        if text == "":
            refuse(f"documents[{number}]", "is empty; leave it out")
    return _parse(body, RankBody)


def _with_texts(given: object) -> object:
    """Return what shall be embedded as texts: LangChain and others send numbers of OpenAI's tokens."""
    if not isinstance(given, list) or not given:
        return given
    if all(_is_number(one) for one in given):
        return _text_of(given, "input")
    texts = []
    for number, one in enumerate(given):
        if one in ("", []):
            refuse(f"input[{number}]", "is empty; leave it out")
        texts.append(_text_of(one, f"input[{number}]") if isinstance(one, list) else one)
    return texts


def _is_number(one: object) -> TypeGuard[int]:
    return isinstance(one, int) and not isinstance(one, bool)


def _text_of(numbers: list[object], place: str) -> str:
    """Return the text of one list of tokens; RefusedError names where it stands."""
    if not all(_is_number(one) for one in numbers):
        refuse(place, "must be a text, or numbers of tokens and nothing else")
    try:
        return read_openai_tokens(cast("list[int]", numbers))
    except ValueError as error:
        refuse(place, f"cannot be read: {error}; send texts instead")


def _parse(body: Body, kind: type[Parsed]) -> Parsed:
    """Return a body with its types; null means that a field is left out."""
    given = {name: value for name, value in body.items() if value is not None}
    if unknown := set(given) - set(kind.__struct_fields__):
        raise unknown_field(unknown)
    for name, values in SERVED_VALUES.items():
        if name in given and given[name] not in values:
            instead = INSTEAD.get(name, "leave it out")
            refuse(name, f"cannot be {given[name]!r:.60} here; {instead}")
    if issubclass(kind, TextBody):
        _check_sampling(given)
    try:
        return convert(given, kind)
    except UNREADABLE as error:
        fault = fault_of(error, kind)
        field = _FIELD.match(fault.place)
        raise RefusedError(f"{fault}.", param=field[0] if field else None) from None


def _check_sampling(given: Body) -> None:
    """Refuse what no engine takes, in the words that tell its limits."""
    for name in SAMPLING & set(given):
        value = given[name]
        # OpenAI's seeds are signed and wider than llama.cpp's.
        if name == "seed" and isinstance(value, int):
            continue
        try:
            GenerationOptions.parse({name: value})
        except InvalidRequestError as error:
            raise RefusedError(str(error), param=name) from None


def _asked_text(asked: TextBody, questions: list[Question], ignored: list[str]) -> AskedText:
    options = asked.stream_options
    if options not in (None, StreamOptions()) and not asked.stream:
        refuse("stream_options", "goes with stream only")
    include_usage = bool(options and options.include_usage)
    all_ignored = (*given_hints(asked), *ignored)
    first, *others = _choices(asked, questions)
    return AskedText(
        asked.model, first, asked.stream, include_usage, all_ignored, others=tuple(others)
    )


def _choices(asked: TextBody, questions: list[Question]) -> list[Question]:
    """Return each question as often as it is to be answered, each time with another seed."""
    count = asked.n or 1
    if count * len(questions) > MAX_CHOICES:
        refuse("n", f"times the number of prompts is above {MAX_CHOICES}; send several requests")
    choices = [question for question in questions for _ in range(count)]
    if asked.seed is None:
        return choices
    return [
        structs.replace(choice, seed=(asked.seed + number % count) % RANDOM_SEED)
        for number, choice in enumerate(choices)
    ]


def _ignored_in_chat(asked: ChatBody) -> list[str]:
    inner = {"chat_template_kwargs": asked.chat_template_kwargs, "reasoning": asked.reasoning}
    return [
        f"{place}.{name}"
        for place, options in inner.items()
        if options is not None
        for name in given_hints(options)
    ]


def _with_moments(knowledge: object) -> object:
    """Read the moments of a filter, which may be written in any form of ISO 8601."""
    if not isinstance(knowledge, Mapping):
        return knowledge
    try:
        return with_moments(knowledge)
    except InvalidRequestError as error:
        raise RefusedError(str(error), param="knowledge") from None


def _sampling(asked: TextBody) -> dict[str, object]:
    """Return the sampling options that were sent."""
    given = {name: value for name in SAMPLING if (value := getattr(asked, name)) is not None}
    if asked.repetition_penalty is not None:
        given.setdefault("repeat_penalty", asked.repetition_penalty)
    if asked.seed is not None:
        given["seed"] = asked.seed % RANDOM_SEED
    return given


def _form(asked: ChatBody) -> dict[str, object]:
    """Return what form the answer shall have; of tools the names must be known before one is chosen."""
    given: dict[str, object] = {}
    for name in FORM:
        value = getattr(asked, name)
        if value in (None, [], {"type": "text"}):
            continue
        given[name] = value
        try:
            GenerationOptions.parse(given)
        except InvalidRequestError as error:
            raise RefusedError(str(error), param=name) from None
    return given


def _no_constant(name: str) -> NoReturn:
    raise RefusedError(f"The body holds {name}, which is no number in JSON; leave it out.")


def _unreadable(request: HttpRequest, error: ValueError) -> RefusedError:
    """Return what is wrong with a body that is no JSON, and where."""
    # Asked now only: some programs say utf-8 here, and send JSON as it is.
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        return RefusedError(
            f"The body is encoded as {encoding!r:.30}; send it as it is.",
            status=WRONG_MEDIA,
            code="unsupported_encoding",
        )
    if not request.body:
        return RefusedError("The body is empty; send a JSON object.")
    why = "a number in it is too long"
    if isinstance(error, json.JSONDecodeError):
        why = f"{error.msg} at character {error.pos}"
    elif isinstance(error, UnicodeDecodeError):
        why = f"byte {error.start} is no {error.encoding}"
    return RefusedError(f"The body is not JSON that can be read: {why}.")
