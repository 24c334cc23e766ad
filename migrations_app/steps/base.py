"""What a step is given and what it may raise."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from engines.archive import MasterKeyRing
from engines.exceptions import ConflictError, SamError
from engines.faults import faultpoint
from engines.files.artifacts import ArtifactStore
from engines.models import Host, KnowledgeBase, ModelRevision
from engines.runtimes.base import BaseModelEngine
from engines.services.knowledge.embeddings import Embedder
from engines.specs import EmbeddingSpec, EngineSpec
from migrations_app.models import Plan, Step
from migrations_app.plans.time_left import Amount
from migrations_app.plans.transitions import Claim
from migrations_app.serving.client import LiveClient
from migrations_app.states import task_name


class TryAgainError(SamError):
    """The step's effects could not be committed yet; the runner runs the handler once more."""

    code = "try_again"
    transient = True


class DrainingError(SamError):
    """The worker is to stop; the step goes back without counting as a failure."""

    code = "draining"
    transient = True


class YieldedError(SamError):
    """Others wait for their turn on this host; the step goes behind them and keeps what it did."""

    code = "yielded"
    transient = True


class ProbeFailedError(SamError):
    """The new engine did not prove itself; nothing was switched."""

    code = "probe_failed"


class ChangedByOthersError(ConflictError):
    """What the plan was made against has changed; make a new plan."""

    code = "changed_by_others"


class StepContext(Protocol):
    """A claimed step and the tools of the worker that holds it."""

    step: Step
    plan: Plan
    claim: Claim
    host: Host | None
    models_dir: Path
    scratch_dir: Path
    store: ArtifactStore
    keys: MasterKeyRing
    live: LiveClient

    def embedder(
        self, revision: ModelRevision, spec: EmbeddingSpec
    ) -> AbstractContextManager[Embedder]:
        """Lend an embedder: a child process on a host, a host's live worker elsewhere."""

    def engine(self, spec: EngineSpec) -> AbstractContextManager[BaseModelEngine]:
        """Lend a loaded engine; hosts only."""

    def progress(self, fraction: float, detail: str, amount: Amount | None = None) -> None:
        """Tell people how far it is (0 to 1), then do what ``checkpoint`` does.

        With ``amount`` people are also told how fast it goes and how long it still takes.
        """

    def checkpoint(self) -> None:
        """Raise LeaseLostError, CancelAskedError or DrainingError when the step must stop."""

    def give_way(self, *, midway: bool = False) -> None:
        """Raise YieldedError when others wait for their turn on this host; looks at most once a second.

        For steps that go on later from where they were, after something was done. ``midway`` in a
        piece of work only for what does not take long.
        """


def mark_halfway(ctx: StepContext) -> None:
    """Mark the middle of a step for the fault tests; nothing in production."""
    faultpoint(f"{task_name(ctx.plan.kind, ctx.step.kind)}:half")


def bases_of(plan: Plan) -> list[KnowledgeBase]:
    """Return the bases a plan moves, in the order in which they are locked."""
    if plan.base_id is not None:
        return list(KnowledgeBase.objects.filter(pk=plan.base_id))
    return list(KnowledgeBase.objects.filter(owner_id=plan.user_id).order_by("pk"))


def required_host(ctx: StepContext) -> Host:
    """Return the step's host; a host step without one is a programming error."""
    if ctx.host is None:
        raise TypeError(f"The step {ctx.step.kind} runs on a host, but has none.")
    return ctx.host


def facts_for_json(**facts: Any) -> dict[str, Any]:
    """Round floats, so that a stored result reads well."""
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in facts.items()}
