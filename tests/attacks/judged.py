"""Sends one generated body, and judges whether what comes back is what a client understands."""

from __future__ import annotations

import json
import time
from random import Random
from typing import Any, NamedTuple

import httpx2

from tests.attacks.bodies import make_body
from tests.attacks.valid_bodies import DOORS, Door

STUCK_SECONDS = 400.0
"""After which a stream is one that does not end; engines that wait send a sign of life, so silence proves nothing."""
LONGEST_SENTENCE = 1_500
OUR_FAULT = 500
DESCRIBED = 503
"""No host that has it, an engine that is busy: described, and nothing that broke."""


class Sent(NamedTuple):
    seed: int
    door: Door
    status: int
    text: str


def send(client: httpx2.Client, seed: int) -> Sent:
    draw = Random(seed)  # noqa: S311 - repeatable on purpose
    door = DOORS[seed % len(DOORS)]
    body = make_body(door, draw)
    deadline = time.monotonic() + STUCK_SECONDS
    headers = {"Content-Type": "application/json"}
    with client.stream("POST", door.path, content=body, headers=headers) as answer:
        received = b""
        for piece in answer.iter_raw():
            received += piece
            assert time.monotonic() < deadline, f"a stream does not end: {received[-200:]!r}"
    return Sent(seed, door, answer.status_code, received.decode())


def what_is_wrong(sent: Sent) -> str:
    """Why an answer is not what a client understands; empty where it is."""
    if sent.status >= OUR_FAULT and sent.status != DESCRIBED:
        return "an error of ours"
    if sent.status == 200:
        return "" if is_whole(sent) else "an answer without its end"
    sentence = refusal_of(sent.door.protocol, sent.text)
    if not sentence.endswith((".", "!", "?")) or len(sentence) > LONGEST_SENTENCE:
        return "a refusal that is no sentence in the form of its protocol"
    return ""


def is_whole(sent: Sent) -> bool:
    """Whether an answer is one value of JSON, or a stream that came to its end or names its error."""
    text = sent.text.strip()
    if sent.door.protocol == "ollama":
        last = json.loads(text.rpartition("\n")[2])
        return "error" in last or "embeddings" in last or last["done"] is True
    if not text.startswith(("data:", "event:", ":")):
        return isinstance(json.loads(text), dict)
    ends = {
        "/v1/messages": ("message_stop", '"type":"error"'),
        "/v1/responses": ("response.completed", "response.incomplete", "response.failed"),
    }.get(sent.door.path, ("[DONE]", '"error"'))
    return any(end in text.rpartition("\n\n")[2] or end in text[-20_000:] for end in ends)


def refusal_of(protocol: str, text: str) -> str:
    """The sentence of a refusal in the form of its protocol; empty where it has another."""
    try:
        told = json.loads(text)
        if protocol == "ollama":
            return str(told["error"]) if isinstance(told["error"], str) else ""
        if protocol == "anthropic" and told["type"] != "error":
            return ""
        inner: dict[str, Any] = told["error"]
        fields = {"message", "type", "param", "code"}
        if protocol == "openai" and set(inner) != fields:
            return ""
        return str(inner["message"]) if isinstance(inner["type"], str) else ""
    except (ValueError, KeyError, TypeError):
        return ""
