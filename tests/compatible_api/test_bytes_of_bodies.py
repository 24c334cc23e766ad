"""The bytes of a body, as every door reads them: encodings, numbers, and what is no JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import RequestFactory

from migrations_app.openai_api.errors import RefusedError
from migrations_app.openai_api.requests import chat_request, read_body

CHAT = {"model": "sam", "messages": [{"role": "user", "content": "Hi"}]}


def sent(content: bytes, **headers: str) -> Any:
    request = RequestFactory().post(
        "/v1/completions", content, content_type="application/json", headers=headers
    )
    return read_body(request)


def test_a_whole_number_may_be_written_with_a_point() -> None:
    body = sent(b'{"max_tokens": 16.0, "seed": 1.0, "top_k": -1.0, "temperature": 1.0, "n": 1e0}')

    asked = chat_request({**CHAT, **body})
    assert (asked.question.max_tokens, asked.question.seed, asked.question.top_k) == (16, 1, 0)
    with pytest.raises(RefusedError, match="max_tokens must be a whole number"):
        chat_request({**CHAT, **sent(b'{"max_tokens": 16.5}')})


UNREAD: list[tuple[bytes, dict[str, str], str]] = [
    (b"\x1f\x8b\x08", {"content-encoding": "gzip"}, "The body is encoded as 'gzip'; send it"),
    (b"\x28\xb5\x2f", {"content-encoding": "zstd"}, "The body is encoded as 'zstd'; send it"),
    (b'{"seed": NaN}', {}, "The body holds NaN, which is no number in JSON"),
    (b'{"seed": -Infinity}', {}, "The body holds -Infinity"),
    (b'{"a": 1', {}, "at character 7."),
    ('{"a": "é"}'.encode("latin-1"), {}, "byte 7 is no utf-8."),
    (b"[" * 50_000, {}, "nested deeper than 200 levels"),
    (b'{"a": ' + b"[" * 200 + b"]" * 200 + b"}", {}, "nested deeper than 200 levels"),
    (b'{"seed": ' + b"9" * 5_000 + b"}", {}, "a number in it is too long"),
    (b"", {}, "is empty; send a JSON object."),
    (b"[]", {}, "must be a JSON object"),
]


def test_many_brackets_are_not_deep() -> None:
    assert sent(json.dumps({"a": [[[]]] * 200}).encode()) == {"a": [[[]]] * 200}


def test_a_body_that_is_json_needs_no_right_header() -> None:
    assert sent(b'{"a": 1}', **{"content-encoding": "utf-8"}) == {"a": 1}


@pytest.mark.parametrize(("content", "headers", "why"), UNREAD)
def test_a_body_that_is_no_json_is_told_why(
    content: bytes, headers: dict[str, str], why: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        sent(content, **headers)

    assert why in str(caught.value)
    assert caught.value.status == (415 if headers else 400)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_half_a_character_is_made_whole_in_every_encoding_of_json(encoding: str) -> None:
    content = json.dumps({"a": "\ud83d\ude00", "\ud83d": "b\ud83d"}).encode(encoding)

    assert sent(content) == {"a": "\U0001f600", "\ufffd": "b\ufffd"}
