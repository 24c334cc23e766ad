"""Greedy answers that SAM gave, held against llama-cpp-python called directly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deploy.demo.acts import Recording
from deploy.demo.models.engine_files import NEW, OLD, engine_path, ensure_adapter_file
from deploy.demo.proofs.judge import direct_answers
from deploy.demo.proofs.report import Proof
from deploy.demo.site import Site
from deploy.demo.witness import ANSWER_TOKENS, Answer


def greedy_proofs(site: Site, recording: Recording) -> list[Proof]:
    """Compare tokens of old and new engine, with and without the adapter."""
    old, new = (engine_path(site.hub_root, engine) for engine in (OLD, NEW))
    adapter = ensure_adapter_file(site.hub_root, site.demo)
    before, after, again = recording.before, recording.after, recording.again
    by_old = [before.fresh, before.continued, again.fresh, again.continued]
    by_new = [after.fresh, after.continued]
    with_adapter = direct_answers(old, _messages(by_old), ANSWER_TOKENS, adapter=adapter)
    without = direct_answers(old, _messages(by_old[:1]), ANSWER_TOKENS)
    directly_new = direct_answers(new, _messages(by_new), ANSWER_TOKENS)
    return [
        _equal(f"{OLD.model_id} with the adapter", by_old, with_adapter),
        _equal(NEW.model_id, by_new, directly_new),
        Proof(
            "The two engines answer differently",
            f"{before.fresh.text!r} and {after.fresh.text!r}",
            before.fresh.text != after.fresh.text,
        ),
        Proof(
            "The adapter changes the old engine's answer",
            f"first token without it {without[0]['tokens'][0]}, with it "
            f"{with_adapter[0]['tokens'][0]}; {_differing(without[0], with_adapter[0])} differ",
            without[0]["text"] != before.fresh.text == with_adapter[0]["text"],
        ),
    ]


def _messages(answers: Sequence[Answer]) -> list[list[dict[str, str]]]:
    return [[dict(message) for message in answer.messages] for answer in answers]


def _equal(engine: str, by_sam: Sequence[Answer], directly: Sequence[dict[str, Any]]) -> Proof:
    pairs = [(one.text, str(two["text"])) for one, two in zip(by_sam, directly, strict=True)]
    equal = [one == two for one, two in pairs]
    first = next((f"; {one!r}, not {two!r}" for one, two in pairs if one != two), "")
    tokens = sum(len(one["tokens"]) for one in directly)
    return Proof(
        f"{engine}: greedy answers are those of llama-cpp-python",
        f"{sum(equal)} of {len(equal)} equal, {tokens} tokens{first}",
        all(equal),
    )


def _differing(left: dict[str, Any], right: dict[str, Any]) -> str:
    pairs = list(zip(left["tokens"], right["tokens"], strict=False))
    return f"{sum(a != b for a, b in pairs)} of {len(pairs)}"
