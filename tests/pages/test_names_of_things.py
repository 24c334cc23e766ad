"""What people read in place of what programs call a thing."""

from __future__ import annotations

import pytest

from engines.services.catalog.starter.entries import starter_catalog
from migrations_app.templatetags.sam_people import browser_name

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0 Safari/537.36"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Safari/604.1"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (CHROME, "Chrome on Linux"),
        (f"{CHROME} Edg/150.0".replace("X11; Linux x86_64", "Windows NT 10.0"), "Edge on Windows"),
        (IPHONE, "Safari on iPhone"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 15.1; rv:140.0) Firefox/140.0", "Firefox on Mac"),
        ("curl/8.9", "curl/8.9"),
        ("", "unknown"),
    ],
)
def test_a_browser_is_called_by_its_name(said: str, shown: str) -> None:
    assert browser_name(said) == shown


def test_engines_of_the_starter_catalog_are_written_as_people_write_them() -> None:
    names = {entry["model_id"]: str(entry["display_name"]) for entry in starter_catalog()["models"]}

    assert names["qwen3-0.6b"] == "Qwen3 0.6B (Q4_K_M)"
    assert names["qwen3-30b-a3b"].startswith("Qwen3 30B A3B (")
    assert names["smollm2-1.7b-instruct"].startswith("SmolLM2 1.7B Instruct (")
    assert names["llama-3.2-1b-instruct:q8-0"].startswith("Llama 3.2 1B Instruct (")
    assert names["gemma-3-12b-it"].startswith("Gemma 3 12B Instruct (")
    assert names["mistral-7b-instruct-v0.3"].startswith("Mistral 7B Instruct v0.3 (")
    assert any(name.startswith("DeepSeek R1 0528 Qwen3 8B (") for name in names.values())
