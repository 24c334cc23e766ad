"""A server's address is guarded like a hub's: it comes from the catalog too."""

from __future__ import annotations

import pytest

from engines.exceptions import AddressRefusedError
from engines.runtimes.registry import EngineRegistry
from engines.specs import EngineSpec


@pytest.mark.usefixtures("no_inner_addresses")
@pytest.mark.parametrize("runtime", ["openai", "ollama"])
@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:5432", "http://169.254.169.254/v1", "http://[::1]:6379"]
)
def test_an_entry_cannot_make_sam_ask_inner_services(runtime: str, endpoint: str) -> None:
    spec = EngineSpec("e", "E", "any", runtime=runtime, endpoint=endpoint)
    registry = EngineRegistry()

    for use in (registry.check, lambda s: registry.create(s).load_model()):
        with pytest.raises(AddressRefusedError, match="SAM_ALLOWED_PRIVATE_HOSTS"):
            use(spec)
    with pytest.raises(AddressRefusedError):
        registry.models(runtime, endpoint)
