"""Asks the direct process (``deploy.demo.proofs.direct``), which shares no code with SAM."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deploy.demo.errors import DemoError
from deploy.demo.site import PROJECT

_SECONDS = 600


def direct_vectors(model: Path, texts: Sequence[str]) -> NDArray[np.float64]:
    """Return unit vectors (n, d) as llama-cpp-python computes them, one text at a time."""
    return np.asarray(_ask({"work": "vectors", "model": str(model), "texts": list(texts)}))


def direct_answers(
    model: Path,
    conversations: Sequence[Sequence[Mapping[str, str]]],
    max_tokens: int,
    *,
    adapter: Path | None = None,
) -> list[dict[str, Any]]:
    """Return the greedy ``tokens`` and ``text`` that llama-cpp-python gives each conversation."""
    request = {
        "work": "answers",
        "model": str(model),
        "adapter": str(adapter) if adapter else None,
        "conversations": [list(messages) for messages in conversations],
        "max_tokens": max_tokens,
    }
    answers: list[dict[str, Any]] = _ask(request)
    return answers


def _ask(request: Mapping[str, Any]) -> Any:
    outcome = subprocess.run(
        [sys.executable, "-m", "deploy.demo.proofs.direct"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        cwd=PROJECT,
        timeout=_SECONDS,
        check=False,
    )
    if outcome.returncode:
        last = (outcome.stderr.strip().splitlines() or ["no message"])[-1]
        raise DemoError(f"llama-cpp-python could not be called directly: {last}.")
    return json.loads(outcome.stdout)
