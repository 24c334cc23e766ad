"""Which client was made to ask for what, and which test shows it: ``docs/clients.md`` is made of this.

``python -m tests.compatible_api.table`` writes the page anew.
"""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "clients.md"
BEGIN, END = "<!-- table -->\n", "<!-- end -->\n"
REQUESTS = (
    "chat",
    "stream",
    "tools there and back",
    "JSON schema",
    "reasoning",
    "embeddings",
    "unknown model",
    "wrong key",
    "leaves mid-stream",
)
HERE, OPENAI = "tests.compatible_api", "tests.openai_api"
NODE = f"{HERE}.test_node_client:test_the_client_for_node_does_what_the_one_for_python_does"
ANTHROPIC, OLLAMA = f"{HERE}.test_anthropic_client", f"{HERE}.test_ollama_client"
MCP = f"{HERE}.test_mcp_client"
RESPONSES, GATEWAYS = f"{HERE}.test_responses_client", f"{HERE}.test_gateways"
TALKS = f"{OPENAI}.test_openai_client:test_the_client_chats_streams_completes_embeds_and_lists"
SAME = "test_a_whole_answer_and_its_stream_say_the_same"
SCHEMA = "test_an_answer_keeps_a_schema"
LEAVES = "test_a_client_that_leaves_in_the_middle_frees_its_engine"
ERRORS = "test_errors_are_the_clients_own"
LANGCHAIN = f"{GATEWAYS}:test_langchain"
LANGCHAIN_MORE = f"{GATEWAYS}:test_langchain_embeds_and_raises"
LITELLM = f"{GATEWAYS}:test_litellm"
OPENAI_ERRORS = f"{OPENAI}.test_openai_client:test_the_client_raises_its_own_errors"
NO_EMBEDDINGS = "— the protocol has none"

Row = tuple[str, ...]
"""For each request the test that shows it, as module:function; what begins with a dash says why none does."""

CLIENTS: dict[str, Row] = {
    "`openai` for Python, `/v1/chat/completions`": (
        TALKS,
        TALKS,
        f"{OPENAI}.test_tools:test_a_call_that_must_come_is_valid_streamed_or_not",
        f"{OPENAI}.test_tools:test_json_keeps_its_schema_streamed_or_not_and_is_counted",
        f"{HERE}.test_openai_reasoning:test_reasoning_is_told_apart",
        TALKS,
        OPENAI_ERRORS,
        OPENAI_ERRORS,
        f"{HERE}.test_openai_reasoning:test_a_client_that_leaves_in_the_middle_frees_its_engine",
    ),
    "`openai` for Python, `/v1/responses`": (
        f"{RESPONSES}:{SAME}",
        f"{RESPONSES}:{SAME}",
        f"{RESPONSES}:test_a_tool_is_called_and_its_output_answered",
        f"{RESPONSES}:{SCHEMA}",
        f"{RESPONSES}:test_reasoning_is_an_item_of_its_own",
        TALKS,
        f"{RESPONSES}:{ERRORS}",
        f"{RESPONSES}:{ERRORS}",
        f"{RESPONSES}:{LEAVES}",
    ),
    "`openai` for Node": (NODE,) * len(REQUESTS),
    "`anthropic`": (
        f"{ANTHROPIC}:{SAME}",
        f"{ANTHROPIC}:{SAME}",
        f"{ANTHROPIC}:test_a_tool_is_called_and_its_result_answered",
        f"{ANTHROPIC}:{SCHEMA}",
        f"{ANTHROPIC}:test_reasoning_is_a_block_of_its_own",
        NO_EMBEDDINGS,
        f"{ANTHROPIC}:{ERRORS}",
        f"{ANTHROPIC}:{ERRORS}",
        f"{ANTHROPIC}:{LEAVES}",
    ),
    "`ollama`": (
        f"{OLLAMA}:{SAME}",
        f"{OLLAMA}:{SAME}",
        "— results are read; a call cannot be demanded",
        f"{OLLAMA}:{SCHEMA}",
        f"{OLLAMA}:test_reasoning_is_told_apart",
        f"{OLLAMA}:test_texts_are_embedded_and_models_listed",
        f"{OLLAMA}:{ERRORS}",
        f"{OLLAMA}:{ERRORS}",
        f"{OLLAMA}:{LEAVES}",
    ),
    "`langchain-openai`": (
        LANGCHAIN,
        LANGCHAIN,
        LANGCHAIN,
        LANGCHAIN,
        "— the client shows none",
        LANGCHAIN_MORE,
        LANGCHAIN_MORE,
        LANGCHAIN_MORE,
        LANGCHAIN,
    ),
    "`litellm`": (
        LITELLM,
        LITELLM,
        "— called, its result not sent back",
        *(LITELLM,) * 6,
    ),
    "`mcp`, `/mcp`": (
        *("— tools only",) * 2,
        f"{MCP}:test_a_plan_is_made_previewed_and_executed",
        "— each tool has its own",
        "— no engine answers",
        "— `search_knowledge` embeds the question",
        f"{MCP}:test_what_is_wrong_or_anothers_is_told_to_the_model",
        f"{MCP}:test_the_scope_of_a_token_decides_what_is_offered",
        "— one answer a request",
    ),
}


def table() -> str:
    """The rows as the page shows them."""
    lines = [f"| client | {' | '.join(REQUESTS)} |", "|---" * (len(REQUESTS) + 1) + "|"]
    for client, cells in CLIENTS.items():
        shown = [cell if cell.startswith("—") else "yes" for cell in cells]
        lines.append(f"| {client} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """A page with the table in it that the clients have now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
