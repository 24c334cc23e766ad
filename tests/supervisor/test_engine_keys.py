"""The keys of engines' servers come from the environment and are shown nowhere."""

from __future__ import annotations

import pytest
from pytest_django.fixtures import Settings

from engines.host_runtimes import engine_registry
from engines.runtimes.servers.openai import OpenAICompatibleEngine
from engines.specs import EngineSpec
from samproject.engine_keys import engine_keys
from samproject.env import EnvironmentVariableError


def test_keys_are_read_by_address_with_or_without_a_slash_at_its_end() -> None:
    read = engine_keys("SAM_ENGINE_KEYS", '{"https://a/v1/": "one", "http://b:8000/v1": "two"}')

    assert read == {"https://a/v1": "one", "http://b:8000/v1": "two"}
    assert engine_keys("SAM_ENGINE_KEYS", "") == {}


@pytest.mark.parametrize(
    "text",
    [
        "secret",
        '["secret"]',
        '{"https://a/v1": 7}',
        '{"https://a/v1": ""}',
        '{"a": "secret"}',
        "[" * 9999,
    ],
)
def test_what_cannot_be_keys_is_a_sentence_without_them(text: str) -> None:
    with pytest.raises(EnvironmentVariableError, match="write a JSON object of addres") as caught:
        engine_keys("SAM_ENGINE_KEYS", text)

    assert "secret" not in str(caught.value)


def test_a_key_reaches_the_engine_of_its_own_address_only(settings: Settings) -> None:
    settings.SAM_ENGINE_KEYS = {"https://a/v1": "one"}
    engine_registry.cache_clear()
    try:
        own, other = (
            engine_registry().create(EngineSpec("e", "E", "m", runtime="openai", endpoint=place))
            for place in ("https://a/v1/", "https://b/v1")
        )
    finally:
        engine_registry.cache_clear()

    assert isinstance(own, OpenAICompatibleEngine)
    assert isinstance(other, OpenAICompatibleEngine)
    assert (own.options.api_key, other.options.api_key) == ("one", "")
    assert "one" not in str(own.get_engine_info())
