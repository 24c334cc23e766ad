"""What typed messages cost: a request and a stream of 200 events there and back, by three libraries.

Run by hand: ``python -m tests.benchmarks.message_types``. The figures decided what the messages are made of
(docs/decisions); the models here are small stand-ins of the real ones, alike in all three.
"""

from __future__ import annotations

import json
import timeit
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from rich.console import Console
from rich.table import Table

TURNS = 8
EVENTS = 200
ROUNDS = 200
REQUEST: dict[str, Any] = {
    "kind": "stream",
    "payload": {
        "user_id": 7,
        "messages": [{"role": "user", "content": "What is written there? " * 10}] * TURNS,
        "max_tokens": 256,
        "temperature": 0.7,
    },
}
STREAM: list[dict[str, Any]] = [
    {"type": "begin", "engine_id": "tiny", "revision_id": 3, "adapters": 0},
    *({"type": "text", "text": f" word {n}"} for n in range(EVENTS - 2)),
    {"type": "end", "finish_reason": "stop", "prompt_tokens": 9, "completion_tokens": EVENTS},
]
KeyNumber = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class Turn(msgspec.Struct):
    role: Literal["system", "user", "assistant", "tool"]
    content: str


class Payload(msgspec.Struct, omit_defaults=True):
    user_id: KeyNumber
    messages: list[Turn]
    max_tokens: Annotated[int, msgspec.Meta(ge=0)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=10)] | None = None


class Request(msgspec.Struct):
    kind: Literal["stream", "generate"]
    payload: Payload


class Begin(msgspec.Struct, tag_field="type", tag="begin"):
    engine_id: str
    revision_id: int
    adapters: int


class Text(msgspec.Struct, tag_field="type", tag="text"):
    text: str


class End(msgspec.Struct, tag_field="type", tag="end"):
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


class Closed(BaseModel):
    model_config = ConfigDict(strict=True)


class PydanticTurn(Closed):
    role: Literal["system", "user", "assistant", "tool"]
    content: str


class PydanticPayload(Closed):
    user_id: Annotated[int, Field(ge=1, le=2**63 - 1)]
    messages: list[PydanticTurn]
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    temperature: Annotated[float, Field(ge=0, le=10)] | None = None


class PydanticRequest(Closed):
    kind: Literal["stream", "generate"]
    payload: PydanticPayload


class PydanticBegin(Closed):
    type: Literal["begin"] = "begin"
    engine_id: str
    revision_id: int
    adapters: int


class PydanticText(Closed):
    type: Literal["text"] = "text"
    text: str


class PydanticEnd(Closed):
    type: Literal["end"] = "end"
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


PYDANTIC_EVENT: TypeAdapter[PydanticBegin | PydanticText | PydanticEnd] = TypeAdapter(
    Annotated[PydanticBegin | PydanticText | PydanticEnd, Field(discriminator="type")]
)
EVENT = msgspec.json.Decoder(Begin | Text | End)
WIRE_REQUEST = json.dumps(REQUEST).encode()
WIRE_STREAM = [json.dumps(event).encode() for event in STREAM]


def untyped_request() -> None:
    json.dumps(json.loads(WIRE_REQUEST))


def untyped_stream() -> None:
    for event in WIRE_STREAM:
        json.dumps(json.loads(event), ensure_ascii=False)


def msgspec_request() -> None:
    msgspec.json.encode(msgspec.json.decode(WIRE_REQUEST, type=Request))


def msgspec_stream() -> None:
    for event in WIRE_STREAM:
        msgspec.json.encode(EVENT.decode(event))


def pydantic_request() -> None:
    PydanticRequest.model_validate_json(WIRE_REQUEST).model_dump_json(exclude_defaults=True)


def pydantic_stream() -> None:
    for event in WIRE_STREAM:
        PYDANTIC_EVENT.dump_json(PYDANTIC_EVENT.validate_json(event))


def main() -> None:
    """Print the best of five rounds for each library."""
    table = Table("", "a request, µs", f"{EVENTS} events, µs")
    rows = {
        "json, untyped": (untyped_request, untyped_stream),
        "msgspec": (msgspec_request, msgspec_stream),
        "pydantic": (pydantic_request, pydantic_stream),
    }
    for name, calls in rows.items():
        best = [min(timeit.repeat(call, number=ROUNDS, repeat=5)) / ROUNDS for call in calls]
        table.add_row(name, *(f"{seconds * 1e6:.1f}" for seconds in best))
    Console().print(table)


if __name__ == "__main__":
    main()
