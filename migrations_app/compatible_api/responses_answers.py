"""Answers in the shapes of ``/v1/responses``: whole, or as its events in their order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import count
from typing import TypedDict

from msgspec import UNSET, structs

from engines.exceptions import SamError
from engines.runtimes.text.response_format import Json
from engines.services.answers.messages import EndEvent, Event, StateEvent
from migrations_app.compatible_api import responses_bodies as bodies
from migrations_app.compatible_api.blocks import (
    Block,
    BlockClosed,
    BlockEvent,
    BlockGrew,
    blocks_of,
    in_blocks,
)
from migrations_app.compatible_api.responses_bodies import (
    CallItem,
    Item,
    ItemStatus,
    MessageItem,
    OutputText,
    ReasoningItem,
    Response,
    ResponseUsage,
    StreamedEvent,
    SummaryText,
)
from migrations_app.compatible_api.responses_requests import (
    ResponsesBody,
    names_in_namespaces,
    responses_body,
    responses_request,
)
from migrations_app.openai_api.errors import error_body
from migrations_app.openai_api.requests import AskedText, Body
from migrations_app.openai_api.response_bodies import ErrorDetail
from migrations_app.openai_api.responses import Face, Opening
from migrations_app.serving.streams.gathered import GatheredAnswer
from migrations_app.serving.streams.sse import BEAT, named_event

Names = Mapping[str, tuple[str, str]]
"""Namespaces and names of functions by what they are called here."""
ID_PREFIXES = {"text": "msg", "reasoning": "rs", "call": "fc"}


class _Place(TypedDict):
    """Which item an event is about."""

    item_id: str
    output_index: int


class ResponsesFace(Face):
    """The shape of ``/v1/responses``, for one request: its answer repeats what was asked for."""

    def __init__(self) -> None:
        self._asked: ResponsesBody | None = None
        self._names: Names = {}

    def read(self, body: Body) -> AskedText:
        """Return what is asked for; RefusedError names the field at fault."""
        self._asked = responses_body(body)
        self._names = names_in_namespaces(self._asked)
        return responses_request(self._asked)

    def whole_body(self, opening: Opening, answers: Sequence[GatheredAnswer]) -> Response:
        (answer,) = answers
        end = answer.ended
        status: ItemStatus = "incomplete" if end.finish_reason == "length" else "completed"
        items = [_item(opening, block, status, self._names) for block in blocks_of(answer)]
        return self._ended(opening, items, end)

    async def stream(
        self, opening: Opening, events: AsyncIterator[Event], asked: AskedText
    ) -> AsyncIterator[bytes]:
        numbers = count()
        async for told in self._told(opening, events):
            if told is None:
                yield BEAT
            else:
                yield _written(structs.replace(told, sequence_number=next(numbers)))

    async def _told(
        self, opening: Opening, events: AsyncIterator[Event]
    ) -> AsyncIterator[StreamedEvent | None]:
        """Yield what is told of an answer, not numbered yet; None while there is nothing to tell."""
        items: list[Item] = []
        begun = False
        try:
            async for event in in_blocks(events):
                if isinstance(event, StateEvent):
                    yield None
                    continue
                if not begun:
                    begun = True
                    yield bodies.ResponseCreated(response=self._response(opening))
                    yield bodies.ResponseInProgress(response=self._response(opening))
                if isinstance(event, EndEvent):
                    yield self._last(self._ended(opening, items, event))
                    continue
                for told in _block_events(opening, event, self._names):
                    yield told
                if isinstance(event, BlockClosed):
                    items.append(_item(opening, event.block, "completed", self._names))
        except SamError as error:
            detail = error_body(error).error
            yield bodies.ErrorHappened(code=detail.code, message=detail.message, param=detail.param)
            yield bodies.ResponseFailed(response=self._failed(opening, items, detail))

    def _last(self, ended: Response) -> StreamedEvent:
        if ended.status == "completed":
            return bodies.ResponseCompleted(response=ended)
        return bodies.ResponseIncomplete(response=ended)

    def _failed(self, opening: Opening, items: list[Item], detail: ErrorDetail) -> Response:
        failure = bodies.Failure(detail.code, detail.message)
        begun = self._response(opening)
        return structs.replace(begun, status="failed", output=items, error=failure)

    def _ended(self, opening: Opening, items: list[Item], end: EndEvent) -> Response:
        is_cut = end.finish_reason == "length"
        return structs.replace(
            self._response(opening),
            status="incomplete" if is_cut else "completed",
            output=items,
            usage=ResponseUsage.of(end),
            incomplete_details=bodies.Incomplete("max_output_tokens") if is_cut else None,
        )

    def _response(self, opening: Opening) -> Response:
        """Return an answer that begins, with what was asked for."""
        asked = self._asked
        if asked is None:
            raise RuntimeError("an answer is shown before its question was read")
        return Response(
            id=f"resp_{opening.id}",
            created_at=opening.created,
            status="in_progress",
            model=opening.engine_id,
            instructions=asked.instructions,
            max_output_tokens=asked.max_output_tokens,
            metadata=asked.metadata or {},
            parallel_tool_calls=asked.parallel_tool_calls is not False,
            reasoning=_reasoning(asked),
            temperature=asked.temperature,
            text={"format": (asked.text and asked.text.format) or {"type": "text"}},
            tool_choice=asked.tool_choice or "auto",
            tools=asked.tools or [],
            top_p=asked.top_p,
            **opening.own(),
        )


def _reasoning(asked: ResponsesBody) -> Json:
    return {"effort": asked.reasoning.effort if asked.reasoning else None, "summary": None}


def _written(event: StreamedEvent) -> bytes:
    return named_event(str(event.__struct_config__.tag), event)


def _item_id(opening: Opening, block: Block) -> str:
    return f"{ID_PREFIXES[block.kind]}_{opening.id}_{block.number}"


def _item(opening: Opening, block: Block, status: ItemStatus, names: Names) -> Item:
    """Return a block as an item; one that has just been opened is empty."""
    item_id = _item_id(opening, block)
    if block.kind == "call":
        namespace, name = names.get(block.name, (UNSET, block.name))
        return CallItem(
            id=item_id,
            call_id=block.call_id,
            name=name,
            namespace=namespace,
            arguments=block.text,
            status=status,
        )
    if block.kind == "reasoning":
        summary = [SummaryText(block.text)] if block.text else []
        return ReasoningItem(id=item_id, status=status, summary=summary)
    content = [OutputText(block.text)] if block.text else []
    return MessageItem(id=item_id, status=status, content=content)


def _block_events(opening: Opening, event: BlockEvent, names: Names) -> Iterator[StreamedEvent]:
    block, item_id = event.block, _item_id(opening, event.block)
    if isinstance(event, BlockGrew):
        yield _grown(block, item_id, event.piece)
    elif isinstance(event, BlockClosed):
        yield from _closing(block, item_id, names)
        item = _item(opening, block, "completed", names)
        yield bodies.ItemDone(output_index=block.number, item=item)
    else:
        item = _item(opening, block, "in_progress", names)
        yield bodies.ItemAdded(output_index=block.number, item=item)
        yield from _opening_parts(block, item_id)


def _opening_parts(block: Block, item_id: str) -> Iterator[StreamedEvent]:
    place = _Place(item_id=item_id, output_index=block.number)
    if block.kind == "text":
        yield bodies.PartAdded(**place, part=OutputText(""))
    elif block.kind == "reasoning":
        yield bodies.SummaryAdded(**place, part=SummaryText(""))


def _grown(block: Block, item_id: str, piece: str) -> StreamedEvent:
    place = _Place(item_id=item_id, output_index=block.number)
    if block.kind == "text":
        return bodies.TextGrew(**place, delta=piece)
    if block.kind == "reasoning":
        return bodies.SummaryGrew(**place, delta=piece)
    return bodies.CallGrew(**place, delta=piece)


def _closing(block: Block, item_id: str, names: Names) -> Iterator[StreamedEvent]:
    text, place = block.text, _Place(item_id=item_id, output_index=block.number)
    if block.kind == "text":
        yield bodies.TextDone(**place, text=text)
        yield bodies.PartDone(**place, part=OutputText(text))
    elif block.kind == "reasoning":
        yield bodies.SummaryDone(**place, text=text)
        yield bodies.SummaryPartDone(**place, part=SummaryText(text))
    else:
        _, name = names.get(block.name, ("", block.name))
        yield bodies.CallDone(**place, arguments=text, name=name)
