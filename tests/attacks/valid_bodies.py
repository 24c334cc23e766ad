"""Valid bodies for the doors of programs, of which hostile ones are made."""

from __future__ import annotations

from typing import Any, NamedTuple

Json = dict[str, Any]

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "pattern": "^[A-Z]"},
        "days": {"type": "integer", "minimum": 1},
        "near": {"type": "array", "items": {"type": "string"}},
        "kind": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/kind"}]},
    },
    "$defs": {"kind": {"enum": ["a", "b"]}},
    "required": ["city"],
}
FUNCTION = {"name": "get_weather", "description": "The weather.", "parameters": SCHEMA}
TOOL = {"type": "function", "function": FUNCTION}
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city": "Graz"}'},
}
FORM = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
HISTORY: list[Json] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Hi."}, {"type": "text", "text": "Oh."}]},
    {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": [CALL]},
    {"role": "tool", "content": "Rain.", "tool_call_id": "call_1"},
]
SAMPLING: Json = {
    "temperature": 0.7,
    "top_p": 0.9,
    "top_k": 40,
    "min_p": 0.05,
    "seed": 7,
    "stop": ["x", "y"],
    "frequency_penalty": 0.1,
    "presence_penalty": 0.1,
    "repeat_penalty": 1.1,
}
SAID: Json = {"model": "sam", "max_tokens": 4}
ASKED: list[Json] = [{"role": "user", "content": "Hi."}]
BLOCKS: list[Json] = [
    {"role": "user", "content": [{"type": "text", "text": "Hi."}]},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "s"},
            {"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"city": "Graz"}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": "Rain.", "is_error": False}
        ],
    },
]
ITEMS: list[Json] = [
    {"role": "user", "content": [{"type": "input_text", "text": "Hi."}]},
    {"type": "reasoning", "id": "r1", "summary": [{"type": "summary_text", "text": "Hm."}]},
    {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": "Rain."},
]


class Door(NamedTuple):
    """An address with valid bodies for it."""

    path: str
    protocol: str
    """Whose form its refusals have: ``openai``, ``anthropic`` or ``ollama``."""
    valid: tuple[Json, ...]


DOORS = (
    Door(
        "/v1/chat/completions",
        "openai",
        (
            {**SAID, "messages": ASKED, **SAMPLING},
            {**SAID, "messages": HISTORY, "tools": [TOOL], "tool_choice": "auto"},
            {**SAID, "messages": ASKED, "response_format": FORM, "stream": True},
            {
                **SAID,
                "messages": ASKED,
                "stream": True,
                "stream_options": {"include_usage": True},
                "chat_template_kwargs": {"enable_thinking": False},
                "reasoning": {"effort": "low"},
                "knowledge": {"k": 1},
            },
        ),
    ),
    Door(
        "/v1/completions",
        "openai",
        ({**SAID, "prompt": "Hi", **SAMPLING}, {**SAID, "prompt": ["Hi"], "stream": True}),
    ),
    Door(
        "/v1/embeddings",
        "openai",
        (
            {"model": "sam", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 8},
            {"model": "sam", "input": [[1, 2, 3], [4]]},
        ),
    ),
    Door(
        "/v1/responses",
        "openai",
        (
            {"model": "sam", "input": "Hi.", "max_output_tokens": 16, "temperature": 0.5},
            {
                "model": "sam",
                "input": ITEMS,
                "instructions": "Be brief.",
                "max_output_tokens": 16,
                "tools": [{"type": "function", "strict": True, **FUNCTION}],
                "reasoning": {"effort": "low"},
                "stream": True,
            },
            {
                "model": "sam",
                "input": "Hi.",
                "max_output_tokens": 16,
                "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}},
            },
        ),
    ),
    Door(
        "/v1/messages",
        "anthropic",
        (
            {**SAID, "messages": ASKED, "system": [{"type": "text", "text": "Be brief."}]},
            {
                **SAID,
                "messages": BLOCKS,
                "tools": [{"name": "get_weather", "description": "d", "input_schema": SCHEMA}],
                "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
                "thinking": {"type": "enabled", "budget_tokens": 1024},
                "stop_sequences": ["x"],
                "stream": True,
            },
        ),
    ),
    Door(
        "/v1/rerank",
        "openai",
        (
            {
                "model": "sam",
                "query": "rain",
                "documents": ["a", {"text": "b"}],
                "top_n": 1,
                "return_documents": True,
            },
        ),
    ),
    Door(
        "/api/chat",
        "ollama",
        (
            {
                "model": "sam",
                "messages": [
                    *ASKED,
                    {
                        "role": "assistant",
                        "content": "",
                        "tool_calls": [
                            {"function": {"name": "get_weather", "arguments": {"city": "Graz"}}}
                        ],
                    },
                    {"role": "tool", "content": "Rain.", "tool_name": "get_weather"},
                ],
                "tools": [TOOL],
                "options": {"num_predict": 4, "temperature": 0.5, "stop": ["x"], "num_ctx": 512},
            },
            {
                "model": "sam",
                "messages": ASKED,
                "stream": False,
                "format": SCHEMA,
                "options": {"num_predict": 4},
            },
        ),
    ),
    Door(
        "/api/generate",
        "ollama",
        (
            {
                "model": "sam",
                "prompt": "Hi",
                "system": "Be brief.",
                "think": False,
                "options": {"num_predict": 4, "seed": 1},
                "keep_alive": "5m",
            },
            {"model": "sam", "prompt": "Hi", "raw": True, "options": {"num_predict": 4}},
        ),
    ),
    Door("/api/embed", "ollama", ({"model": "sam", "input": ["a", "b"], "truncate": True},)),
)
