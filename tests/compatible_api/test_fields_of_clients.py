"""The fields that the official clients can send, by their own types: each is known here, or said to be unserved."""

from __future__ import annotations

from typing import Any

import ollama._types as ollama_types
import pytest
from anthropic.types import message_create_params as message_params
from openai.types import EmbeddingCreateParams
from openai.types import completion_create_params as openai_text
from openai.types.chat import completion_create_params as openai_chat
from openai.types.responses import response_create_params as responses_params

from migrations_app.compatible_api import ollama_requests as ollama
from migrations_app.compatible_api.anthropic_requests import MessagesBody
from migrations_app.compatible_api.responses_requests import ResponsesBody
from migrations_app.openai_api.request_bodies import ChatBody, CompletionBody, EmbeddingBody


def parameters_of(kind: Any) -> set[str]:
    """The fields of a body, as an official client types it."""
    return set(getattr(kind, "model_fields", None) or kind.__annotations__)


OFFICIAL: dict[str, tuple[Any, Any, set[str]]] = {
    "chat completions": (openai_chat.CompletionCreateParamsBase, ChatBody, set()),
    "completions": (openai_text.CompletionCreateParamsBase, CompletionBody, set()),
    "embeddings": (EmbeddingCreateParams, EmbeddingBody, set()),
    "responses": (
        responses_params.ResponseCreateParamsBase,
        ResponsesBody,
        {"access_programs", "image", "moderation"},
    ),
    "messages": (
        message_params.MessageCreateParamsBase,
        MessagesBody,
        {"workspace_id"},
    ),
    "Ollama's chat": (ollama_types.ChatRequest, ollama.ChatBody, set()),
    "Ollama's prompt": (
        ollama_types.GenerateRequest,
        ollama.GenerateBody,
        {"width", "height", "steps"},
    ),
    "Ollama's texts": (ollama_types.EmbedRequest, ollama.EmbedBody, set()),
    "Ollama's options": (
        ollama_types.Options,
        {"num_predict", *ollama.SAME_OPTIONS, *ollama.SERVER_OPTIONS, *ollama.DEFAULT_OPTIONS},
        set(),
    ),
}


@pytest.mark.parametrize(("official", "ours", "unserved"), OFFICIAL.values(), ids=OFFICIAL)
def test_every_field_of_the_official_clients_is_known(
    official: Any, ours: Any, unserved: set[str]
) -> None:
    known = ours if isinstance(ours, set) else set(ours.__struct_fields__)

    assert parameters_of(official) - known == unserved
