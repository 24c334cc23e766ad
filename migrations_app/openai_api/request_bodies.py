"""What clients may send to ``/v1``: every field that is accepted, with its type and limits.

Source: the API reference at https://platform.openai.com/docs/api-reference. ``top_k``, ``min_p``,
``repeat_penalty``, ``cache_prompt`` … are llama.cpp's, vLLM's and OpenRouter's, sent as ``extra_body``;
``knowledge`` and ``input_type`` are SAM's.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, get_type_hints

from msgspec import UNSET, Meta, Struct, UnsetType

from engines.parsing import with_whole_numbers
from engines.runtimes.text.generation import MAX_TOKENS, Effort, SamplingOptions, is_effort
from engines.runtimes.text.response_format import Choice, Json
from engines.services.answers.messages import MAX_MESSAGES
from engines.services.knowledge.search_filters import EVERYTHING, SearchFilter

MAX_DEPTH = 200
"""Levels of lists and objects in a body; deeper ones can be read, and neither shown nor handed to a template."""
MAX_TEXTS = 2048
MAX_RANKED = 1000
MAX_CHOICES = 128
"""Answers to one request, one after the other; as many as OpenAI allows."""
NO_EFFORT: tuple[str | int, ...] = ("none", "minimal", 0)
"""Efforts of a model that shall not think."""
MAX_PASSAGES = 20
DEFAULT_PASSAGES = 4

Name = Annotated[str, Meta(min_length=1, description="Of an engine, or 'sam' for the active one.")]
FilledText = Annotated[str, Meta(min_length=1)]
Limit = Annotated[int, Meta(ge=1, le=MAX_TOKENS)]
Hint = Annotated[Any, Meta(description="About billing, caches or speed; changes no answer here.")]


def only(values: list[object]) -> Meta:
    """Describe a field of which only these values, or none, can be served."""
    return Meta(
        description="Other values cannot be served here.",
        extra_json_schema={"enum": [*values, None]},
    )


class StreamOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a stream tells beside the answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None
    continuous_usage_stats: bool | None = None
    """vLLM's; tokens are counted at the end here."""


class TextBody(SamplingOptions, frozen=True, kw_only=True, omit_defaults=True):
    """What both endpoints for text take."""

    model: Name
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Limit | None = None
    seed: int | None = None

    user: Hint = None
    metadata: Hint = None
    store: Hint = None
    service_tier: Hint = None
    safety_identifier: Hint = None
    prompt_cache_key: Hint = None
    prompt_cache_retention: Hint = None
    prediction: Hint = None
    reasoning_effort: Hint = None
    verbosity: Hint = None
    cache_prompt: Hint = None
    cache_control: Hint = None
    keep_alive: Hint = None
    id_slot: Hint = None
    request_id: Hint = None
    session_id: Hint = None
    priority: Hint = None
    provider: Hint = None
    usage: Hint = None
    add_generation_prompt: Hint = None
    skip_special_tokens: Hint = None
    timings_per_token: Hint = None
    prompt_cache_options: Hint = None
    num_ctx: Hint = None
    return_progress: Hint = None
    thinking_budget: Hint = None
    prompt_mode: Hint = None
    transforms: Hint = None
    route: Hint = None
    add_special_tokens: Hint = None
    spaces_between_special_tokens: Hint = None
    ttl: Hint = None
    draft_model: Hint = None
    # How samplers work that are off, as they have to be here.
    dynatemp_exponent: Hint = None
    xtc_threshold: Hint = None
    dry_base: Hint = None
    dry_allowed_length: Hint = None
    dry_penalty_last_n: Hint = None
    dry_sequence_breakers: Hint = None
    mirostat_tau: Hint = None
    mirostat_eta: Hint = None
    repeat_last_n: Hint = None
    repetition_penalty: Annotated[float, Meta(ge=0.1, le=10.0)] | None = None
    """vLLM's name of ``repeat_penalty``."""

    n: Annotated[int, Meta(ge=1, le=MAX_CHOICES)] | None = None
    best_of: Annotated[Any, only([1])] = None
    echo: Annotated[Any, only([False])] = None
    suffix: Annotated[Any, only([""])] = None
    functions: Annotated[Any, only([[]])] = None
    function_call: Annotated[Any, only(["none", "auto"])] = None
    logprobs: Annotated[Any, only([False])] = None
    top_logprobs: Annotated[Any, only([0])] = None
    logit_bias: Annotated[Any, only([{}])] = None
    modalities: Annotated[Any, only([["text"]])] = None
    audio: Annotated[Any, only([])] = None
    web_search_options: Annotated[Any, only([])] = None
    typical_p: Annotated[Any, only([1])] = None
    tfs_z: Annotated[Any, only([1])] = None
    top_a: Annotated[Any, only([0])] = None
    mirostat: Annotated[Any, only([0])] = None
    dynatemp_range: Annotated[Any, only([0])] = None
    xtc_probability: Annotated[Any, only([0])] = None
    dry_multiplier: Annotated[Any, only([0])] = None
    min_tokens: Annotated[Any, only([0])] = None
    ignore_eos: Annotated[Any, only([False])] = None
    moderation: Annotated[Any, only([])] = None
    typ_p: Annotated[Any, only([1])] = None
    length_penalty: Annotated[Any, only([1])] = None
    use_beam_search: Annotated[Any, only([False])] = None
    stop_token_ids: Annotated[Any, only([[]])] = None
    bad_words: Annotated[Any, only([[]])] = None
    include_stop_str_in_output: Annotated[Any, only([False])] = None
    include_reasoning: Annotated[Any, only([True])] = None
    reasoning_format: Annotated[Any, only(["auto", "parsed", "deepseek"])] = None
    enable_search: Annotated[Any, only([False])] = None
    safe_prompt: Annotated[Any, only([False])] = None
    plugins: Annotated[Any, only([[]])] = None
    continue_final_message: Annotated[Any, only([False])] = None


class TextPart(Struct, frozen=True, tag_field="type", tag="text"):
    """A part of a message; others than texts are not read here."""

    text: str


class RefusalPart(Struct, frozen=True, tag_field="type", tag="refusal"):
    """What an assistant said when it refused to answer."""

    refusal: str


class ChatTurn(Struct, frozen=True, kw_only=True):
    """One message of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart | RefusalPart] | UnsetType | None = UNSET
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    """OpenRouter's name of the same."""
    tool_calls: list[Json] | None = None
    tool_call_id: str | None = None
    """Which call a tool's result answers."""
    function_call: Annotated[Any, only([])] = None


class TemplateOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The thinking switch, as vLLM's and llama.cpp's servers take it; ``thinking`` is its other name.

    And how much to think, in the names that publishers give it in their templates.
    """

    enable_thinking: bool | None = None
    thinking: bool | None = None
    reasoning_effort: Any = None
    reasoning_strength: Any = None
    thinking_effort: Any = None
    low_effort: bool | None = None
    thinking_budget: Any = None
    reasoning_budget: Any = None
    add_generation_prompt: Hint = None
    clear_thinking: Hint = None
    preserve_thinking: Hint = None


class ReasoningOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether and how much the model shall think, as OpenRouter takes it."""

    enabled: bool | None = None
    effort: str | None = None
    max_tokens: Any = None
    summary: Hint = None
    exclude: Hint = None


class Thinking(Struct, frozen=True, kw_only=True):
    """The thinking switch as DeepSeek, GLM and Anthropic take it."""

    type: Literal["enabled", "disabled", "adaptive", "auto"]
    budget_tokens: Any = None

    @property
    def is_on(self) -> bool | None:
        """Whether the model shall reason; None leaves it to the model."""
        return {"enabled": True, "disabled": False}.get(self.type)


class KnowledgeBody(SearchFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many passages of the person's knowledge are wanted, and of which part of it."""

    k: Annotated[int, Meta(ge=1, le=MAX_PASSAGES)] = DEFAULT_PASSAGES

    def narrowed(self) -> SearchFilter | None:
        """Return the part of the knowledge that is wanted; None for all of it."""
        names = SearchFilter.__struct_fields__
        wanted = SearchFilter(**{name: getattr(self, name) for name in names})
        return None if wanted == EVERYTHING else wanted


class ChatBody(TextBody, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The body of ``/v1/chat/completions``."""

    messages: Annotated[list[ChatTurn], Meta(min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: Limit | None = None
    response_format: Json | None = None
    tools: list[Json] | None = None
    tool_choice: Choice | None = None
    parallel_tool_calls: bool | None = None
    knowledge: bool | KnowledgeBody | None = None
    chat_template_kwargs: TemplateOptions | None = None
    reasoning_effort: Annotated[
        Any,
        Meta(
            description="none and minimal switch the reasoning off; low, medium, high, xhigh and max say how much "
            "to think, where the model's template can be told."
        ),
    ] = None
    thinking_budget: Annotated[
        Any, Meta(description="How many tokens of thinking, where the template can be told.")
    ] = None
    enable_thinking: bool | None = None
    think: bool | Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    reasoning: ReasoningOptions | None = None
    thinking: Thinking | None = None


class Wish(NamedTuple):
    """Whether and how much the model shall think, of all that was sent of it."""

    switch: str
    """By which name it was sent whether to think; empty where it was not."""
    thinking: bool | None
    told: str
    """By which name it was sent how much to think; empty where it was not."""
    effort: Effort | None
    unheard: list[str]
    """Names under which something else was sent."""


def read_wish(asked: ChatBody) -> Wish:
    """Return what was sent of thinking: whether to comes before how much, and of each the first name counts."""
    efforts = {name: one for name, one in _efforts(asked).items() if one is not None}
    levels = {name: one for name, one in efforts.items() if one not in NO_EFFORT}
    switches = _switches(asked) | {name: False for name in efforts if name not in levels}
    given = {name: switch for name, switch in switches.items() if switch is not None}
    switch, thinking = next(iter(given.items()), ("", None))
    known = (
        {} if thinking is False else {name: one for name, one in levels.items() if is_effort(one)}
    )
    told, effort = next(iter(known.items()), ("", None))
    unheard = [name for name, one in given.items() if one != thinking]
    unheard += [name for name, one in levels.items() if name not in known or one != effort]
    return Wish(switch, thinking, told, effort, [*dict.fromkeys(unheard)])


def _switches(asked: ChatBody) -> dict[str, bool | None]:
    template, reasoning = asked.chat_template_kwargs, asked.reasoning
    return {
        "chat_template_kwargs.enable_thinking": template.enable_thinking if template else None,
        "chat_template_kwargs.thinking": template.thinking if template else None,
        "enable_thinking": asked.enable_thinking,
        "think": asked.think not in NO_EFFORT if isinstance(asked.think, str) else asked.think,
        "thinking": asked.thinking.is_on if asked.thinking else None,
        "reasoning.enabled": reasoning.enabled if reasoning else None,
    }


def _efforts(asked: ChatBody) -> Json:
    """Return what was sent of how much to think, levels before numbers of tokens."""
    template = asked.chat_template_kwargs or TemplateOptions()
    reasoning = asked.reasoning or ReasoningOptions()
    return with_whole_numbers(
        {
            "chat_template_kwargs.reasoning_effort": template.reasoning_effort,
            "chat_template_kwargs.reasoning_strength": template.reasoning_strength,
            "chat_template_kwargs.thinking_effort": template.thinking_effort,
            "chat_template_kwargs.low_effort": "low" if template.low_effort else None,
            "think": asked.think if isinstance(asked.think, str) else None,
            "reasoning.effort": reasoning.effort,
            "reasoning_effort": asked.reasoning_effort,
            "chat_template_kwargs.thinking_budget": template.thinking_budget,
            "chat_template_kwargs.reasoning_budget": template.reasoning_budget,
            "thinking.budget_tokens": asked.thinking.budget_tokens if asked.thinking else None,
            "thinking_budget": asked.thinking_budget,
            "reasoning.max_tokens": reasoning.max_tokens,
        }
    )


class CompletionBody(
    TextBody, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``/v1/completions``: raw prompts."""

    prompt: FilledText | Annotated[list[FilledText], Meta(min_length=1, max_length=MAX_CHOICES)]


class EmbeddingBody(
    Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``/v1/embeddings``."""

    model: Name
    input: FilledText | Annotated[list[FilledText], Meta(min_length=1, max_length=MAX_TEXTS)]
    """Texts. LangChain's lists of numbers of tokens have become texts before this is read."""
    input_type: Literal["document", "query"] = "document"
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    """Fewer than the model's: its vectors are cut and brought back to length one."""
    user: Hint = None
    truncate: Hint = None
    """NVIDIA's and Cohere's; a long text is read in parts, whatever it says."""


class RankDocument(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text in the form in which Jina's and Cohere's clients may send it, and get it back."""

    text: FilledText


class RankBody(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The body of ``/v1/rerank``; source: the APIs of Jina and Cohere, as llama-server speaks them."""

    model: Name = "sam"
    query: FilledText
    documents: Annotated[list[FilledText | RankDocument], Meta(min_length=1, max_length=MAX_RANKED)]
    top_n: Annotated[int, Meta(ge=1)] | None = None
    return_documents: bool = False
    user: Hint = None
    truncate: Hint = None
    truncation: Hint = None
    max_tokens_per_doc: Hint = None
    max_chunks_per_doc: Hint = None
    priority: Hint = None
    """Cohere's and Voyage's: a long text is judged by its beginning."""

    @property
    def texts(self) -> list[str]:
        """Return the texts, in whichever form they were sent."""
        return [one if isinstance(one, str) else one.text for one in self.documents]


def _served_values() -> dict[str, list[object]]:
    """Return the fields of which only some values can be served, with those."""
    hints = get_type_hints(TextBody, include_extras=True)
    metas = {
        name: meta
        for name, hint in hints.items()
        for meta in getattr(hint, "__metadata__", ())
        if isinstance(meta, Meta) and meta.extra_json_schema
    }
    return {name: list((meta.extra_json_schema or {})["enum"]) for name, meta in metas.items()}


SERVED_VALUES = _served_values()
INSTEAD = {
    "functions": "send tools",
    "function_call": "send tool_choice",
    "best_of": "ask for n and choose",
}
"""What to do where leaving a field out does not help."""


def given_hints(asked: Struct) -> list[str]:
    """Return the fields that were sent and change nothing here."""
    return [name for name in _hints_of(type(asked)) if getattr(asked, name, None) is not None]


@cache
def _hints_of(kind: type[Struct]) -> tuple[str, ...]:
    # Once for each kind of body: to read its types takes longer than to read a request.
    hints = get_type_hints(kind, include_extras=True)
    return tuple(name for name, hint in hints.items() if hint == Hint)
