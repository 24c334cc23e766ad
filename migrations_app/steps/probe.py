"""Proof before the switch: the new engine answers, counts agree, and meaning is found."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from engines.exceptions import EngineCrashed, EngineError, EngineKilled, UnsafeModelFileError
from engines.models import CopyStatus, HostStatus, ModelCopy, ModelRevision, VectorIndex
from engines.runtimes.base import BaseModelEngine
from engines.services.catalog.copies import (
    copy_of,
    engine_spec,
    is_present,
    mark_unsafe,
    refuse_unsafe,
)
from engines.services.catalog.speeds import note_answer_speed
from engines.services.knowledge.fingerprints import spec_of
from engines.services.knowledge.indexes import index_counts
from engines.services.people.search_history import searches_of
from migrations_app.models import IndexSwitch
from migrations_app.plans.transitions import Outcome
from migrations_app.states import PlanKind
from migrations_app.steps.base import (
    ProbeFailedError,
    StepContext,
    facts_for_json,
    mark_halfway,
    required_host,
)
from migrations_app.steps.fetch import bring_missing
from migrations_app.steps.index_switches import (
    going_on_without_deleted,
    switches_of,
    switches_that_move,
)
from migrations_app.steps.meaning import (
    CHANCE,
    SAMPLE,
    SEED_BITS,
    SOUND_SAMPLE,
    Comparison,
    Question,
    ask,
    ask_own,
    compare,
    compare_scripts,
    count_same_vectors,
    draw_questions,
    prove_sound,
    rank_answers,
)
from migrations_app.steps.quality import HITS, Quality, measure_own, measure_ranks
from migrations_app.steps.token_losses import (
    TokenLosses,
    count_token_losses,
    list_unknown_scripts,
)

QUESTION = "Say one word."
PROBE_TOKENS = 16
OWN_SAMPLE = 50
"""Of the person's own searches that are asked again."""
ADVICE = {
    PlanKind.MIGRATE: "Choose another engine or embedder, or plan again without re-embedding: "
    "then search keeps the old index and its embedder.",
    PlanKind.RE_EMBED: "Choose another embedder, or keep the one this base has.",
}


ACCEPT = "Nothing was switched. Whoever wants it all the same plans again and accepts losses."


def probe(ctx: StepContext) -> Outcome:
    """Load the target for real, then prove every new index; raises ProbeFailedError."""
    bring_missing(ctx)
    answer = {}
    if ctx.plan.kind == PlanKind.MIGRATE:
        answer = _probe_engine(ctx, ctx.plan.to_revision, must_show_all=True)
    mark_halfway(ctx)
    switches = switches_that_move(switches_of(ctx.plan)) if ctx.plan.re_embed_knowledge else []
    # A new sample at each attempt: a plan is not refused for ever by one unlucky draw.
    seed = secrets.randbits(SEED_BITS)
    proofs = []
    with going_on_without_deleted(switches):
        for switch in switches:
            proofs.append(_probe_index(ctx, switch, seed))
            ctx.progress(0.5 + 0.5 * len(proofs) / len(switches), "Proving that meaning is found.")
    failed = sum(proof["not_embeddable"] for proof in proofs)
    drawn = f" (sample {seed})" if proofs else ""
    trouble = f" {failed} chunks cannot be embedded." if failed else ""
    told = [one for proof in proofs for one in proof["tokens"].get("sentences", ())]
    trouble += "".join(f" {one}" for one in told)
    trouble += "".join(f" Accepted: {one}" for proof in proofs for one in proof["accepted"])
    sentence = f"The new engine answers; {len(proofs)} indexes proved{drawn}.{trouble}"
    return Outcome(sentence, {"engine": answer, "indexes": proofs, "seed": seed})


def probe_back(ctx: StepContext) -> Outcome:
    """Load the engine that a way back leads to, and prove its old indexes; raises ProbeFailedError.

    Nothing is compared: whoever goes back knows how well the old index understood.
    """
    bring_missing(ctx)
    # Whatever it loses it has lost before, and nobody is held on an engine that they want to leave.
    answer = _probe_engine(ctx, ctx.plan.to_revision, must_show_all=False)
    mark_halfway(ctx)
    switches = switches_that_move(switches_of(ctx.plan))
    seed = secrets.randbits(SEED_BITS)
    with going_on_without_deleted(switches):
        for number, switch in enumerate(switches):
            ctx.progress(0.5 + 0.5 * number / len(switches), "Proving the old indexes.")
            # Opening the file holds it against its row.
            index_counts(switch.to_index, ctx.store)
            questions = draw_questions(switch.to_index, seed, size=SOUND_SAMPLE)
            prove_sound(ctx, switch.to_index, questions)
    name = ctx.plan.to_revision.model.display_name if ctx.plan.to_revision else "No engine"
    sentence = f"{name} answers; {len(switches)} old indexes proved (sample {seed})."
    return Outcome(sentence, {"engine": answer, "indexes": len(switches), "seed": seed})


def _probe_engine(
    ctx: StepContext, revision: ModelRevision | None, *, must_show_all: bool
) -> dict[str, Any]:
    if revision is None:
        return {}
    copy = copy_of(revision, required_host(ctx))
    _require_file(copy)
    with _marked_when_it_crashes(copy), ctx.engine(engine_spec(revision, copy.path)) as engine:
        if must_show_all:
            _require_whole_conversations(revision, engine)
        prompt = engine.format_prompt([{"role": "user", "content": QUESTION}])
        # As it is read: in a plain text the template's marks would be words.
        tokens = engine.count_prompt_tokens(prompt)
        started = time.monotonic()
        text = engine.generate(prompt, max_tokens=PROBE_TOKENS, temperature=0.0)
        seconds = time.monotonic() - started
        answered = engine.count_tokens(text)
        info = engine.get_engine_info()
    if tokens < 1:
        raise ProbeFailedError(f"{revision} counts no tokens in a prompt; its tokenizer is broken.")
    note_answer_speed(revision, copy.host, tokens=answered, seconds=seconds)
    keys = ("n_ctx", "n_ctx_train", "gpu_layers", "gpu_offload", "load_seconds", "rss_bytes")
    known = {key: info[key] for key in keys if key in info}
    return facts_for_json(prompt_tokens=tokens, characters=len(text), **known)


def _require_whole_conversations(revision: ModelRevision, engine: BaseModelEngine) -> None:
    """Refuse an engine that would answer without having read what it is told or asked."""
    losses = engine.find_losses()
    if losses:
        raise ProbeFailedError(
            f"{revision} would answer without having read everything: its chat template refuses or leaves "
            f"out {', '.join(losses)}, in whatever form it gets them. Choose another engine, or have a "
            "curator add a file of this one with its publisher's template."
        )


@contextmanager
def _marked_when_it_crashes(copy: ModelCopy) -> Iterator[None]:
    """A file that cannot be loaded and asked one question is nobody's engine, and not tried again."""
    try:
        yield
    except EngineKilled:
        raise
    except EngineCrashed as error:
        mark_unsafe(copy.path, copy.host.name, str(error))
        raise ProbeFailedError(
            f"{copy.revision} crashed when it was tried and is marked unsafe: {error}"
        ) from error


def _require_file(copy: ModelCopy) -> None:
    refuse_unsafe(copy)
    if not is_present(copy):
        raise ProbeFailedError(f"{copy.revision} is not on this host any more; download it again.")


def _probe_index(ctx: StepContext, switch: IndexSwitch, seed: int) -> dict[str, Any]:
    new = switch.to_index
    # Opens the file, which is held against its row.
    counts = index_counts(new, ctx.store)
    questions = draw_questions(new, seed, size=SAMPLE)
    prove_sound(ctx, new, questions[:SOUND_SAMPLE])
    verdict = _compared(ctx, switch.from_index, new, questions)
    losses = _read_tokens(ctx, new)
    refusals = [*_unknown_to_new(ctx, switch, losses), *_refusals(verdict, seed)]
    if refusals and not ctx.plan.accept_losses:
        raise ProbeFailedError(f"{refusals[0]} {ADVICE[PlanKind(ctx.plan.kind)]} {ACCEPT}")
    return facts_for_json(
        base=new.base_id,
        in_file=counts.in_file,
        not_embeddable=counts.errors,
        sample=len(questions),
        **_told(verdict.whole),
        scripts={
            script: {**_told(one), "bound": CHANCE / len(verdict.scripts)}
            for script, one in verdict.scripts.items()
        },
        quality=verdict.quality,
        accepted=refusals,
        same_vectors=count_same_vectors(new, questions),
        not_compared=verdict.reason,
        tokens=losses or {},
    )


def _read_tokens(ctx: StepContext, index: VectorIndex) -> TokenLosses | None:
    with ctx.embedder(index.fingerprint.revision, spec_of(index.fingerprint)) as embedder:
        return count_token_losses([index.base_id], embedder, ctx.checkpoint)


def _unknown_to_new(ctx: StepContext, switch: IndexSwitch, losses: TokenLosses | None) -> list[str]:
    """Return what the old embedder knows and the new one does not; nothing where the old one cannot tell."""
    old = switch.from_index
    if losses is None or old is None or not any(s["unknown"] for s in losses["scripts"].values()):
        return []
    if not _is_somewhere(old.fingerprint.revision):
        return []
    try:
        return list_unknown_scripts(_read_tokens(ctx, old), losses)
    except (EngineError, UnsafeModelFileError):
        # As where it is compared: that it does not answer may be why somebody leaves it.
        return []


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What the comparison with the old index says, of all texts and of each script."""

    whole: Comparison | None = None
    scripts: dict[str, Comparison] = field(default_factory=dict)
    quality: Quality | None = None
    reason: str = ""
    """Why nothing was compared."""


def _told(comparison: Comparison | None) -> dict[str, Any]:
    if comparison is None:
        return {}
    return {
        "compared": comparison.asked,
        "old_found": comparison.old_found,
        "found": comparison.new_found,
        "probability": comparison.probability,
    }


def _compared(
    ctx: StepContext, old: VectorIndex | None, new: VectorIndex, questions: Sequence[Question]
) -> _Verdict:
    """Compare with the old index; the reason where there is nothing that could answer."""
    if old is None:
        return _Verdict(reason="It is the base's first index.")
    if not _is_somewhere(old.fingerprint.revision):
        return _Verdict(reason="The old embedder is on no active host.")
    own = list_own_questions(ctx.plan.user_id)
    try:
        before, own_before = ask(ctx, old, questions), ask_own(ctx, old, own)
    except (EngineError, UnsafeModelFileError) as error:
        # Perhaps the very reason why somebody leaves it: that must not hold them.
        return _Verdict(reason=f"The old embedder does not answer: {error}")
    after, own_after = ask(ctx, new, questions), ask_own(ctx, new, own)
    ranks = rank_answers(old, questions, before, after)
    pairs = ((own_before[one], own_after.get(one, [])) for one in own if one in own_before)
    return _Verdict(
        compare([one for one in ranks if not one.is_extra]),
        compare_scripts(ranks),
        measure_ranks(ranks, measure_own(pairs)),
    )


def list_own_questions(user_id: int | None) -> list[str]:
    """Return the latest of what the person searched for, where they allow that it is kept."""
    return list(searches_of(user_id).values_list("question", flat=True)[:OWN_SAMPLE])


def _is_somewhere(revision: ModelRevision) -> bool:
    held = ModelCopy.objects.filter(revision=revision, status=CopyStatus.DOWNLOADED)
    return held.filter(host__status=HostStatus.ACTIVE).exists()


def _refusals(verdict: _Verdict, seed: int) -> Iterator[str]:
    """Yield a sentence for all texts or a script that the new index understands worse; that of a script first."""
    for script, one in verdict.scripts.items():
        if one.is_worse_among(len(verdict.scripts)):
            yield (
                f"Of {one.asked} questions about passages in {script} the new index answers "
                f"{one.new_found} among the first {HITS}, the old one {one.old_found} (sample {seed}): "
                f"the new embedder does not understand {script} as the old one does."
            )
    if verdict.whole is not None and verdict.whole.is_worse:
        yield _describe_loss(verdict.whole, seed)


def _describe_loss(comparison: Comparison, seed: int) -> str:
    return (
        f"Among the first {HITS} passages the new index has the answer to {comparison.new_found} of "
        f"{comparison.asked} questions, the old one to {comparison.old_found}; two equally good ones "
        f"differ so much in less than {CHANCE:.0%} of all samples (this one is {seed}). The new "
        "embedder understands these texts worse."
    )
