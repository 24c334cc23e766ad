"""The keys of engines' servers, as the environment gives them."""

from __future__ import annotations

import json

from engines.addresses import parse_endpoint
from engines.exceptions import InvalidRequestError
from samproject.env import EnvironmentVariableError

FORM = 'write a JSON object of addresses and keys, like {"https://host/v1": "key"}'


def engine_keys(variable: str, text: str) -> dict[str, str]:
    """Return each server's key by its address; the sentence of an error shows no key."""
    if not text:
        return {}
    try:
        keys = json.loads(text)
    except (ValueError, RecursionError):
        keys = None
    if not (isinstance(keys, dict) and all(isinstance(k, str) and k for k in keys.values())):
        raise EnvironmentVariableError(f"{variable} cannot be read; {FORM}.")
    try:
        return {parse_endpoint(address): key for address, key in keys.items()}
    except InvalidRequestError as error:
        raise EnvironmentVariableError(
            f"{variable} has an address that is none; {FORM}."
        ) from error
