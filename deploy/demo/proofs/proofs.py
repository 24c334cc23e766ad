"""The remaining claims, each computed from what was recorded and from independent calculations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby, pairwise

from deploy.demo.acts import Recording
from deploy.demo.bases import Bases
from deploy.demo.models.engine_files import NEW, OLD
from deploy.demo.proofs.cosines import TOLERANCE, Cosines
from deploy.demo.proofs.digests import digests
from deploy.demo.proofs.greedy import greedy_proofs
from deploy.demo.proofs.phases import finds, plain, smallest_error
from deploy.demo.proofs.report import Proof
from deploy.demo.questions import QUESTIONS, shared_runs
from deploy.demo.stage import Cast, Stage
from deploy.demo.traffic import Traffic
from deploy.demo.witness import Search
from migrations_app.states import STEPS_OF, PlanKind, task_name

MIN_CHUNKS = 300
_MIXED = 0.2
"""Unrelated spaces score below this; the right passages score far above."""

_REFUSED, _HIDDEN = 400, 404


def all_proofs(actors: Cast, stage: Stage, recording: Recording, cosines: Cosines) -> list[Proof]:
    """Return every claim that is not in the table of phases."""
    return [
        _enough_text(stage),
        _questions_are_fair(recording, cosines),
        _spaces_differ(recording, cosines),
        *greedy_proofs(actors.site, recording),
        *_adapter_proofs(recording),
        _answer_is_cited(recording),
        _conversation_goes_on(recording),
        _traffic(recording.forth, "moved", stage.bases, cosines, [OLD.model_id, NEW.model_id]),
        _traffic(recording.back, "taken back", stage.bases, cosines, [NEW.model_id, OLD.model_id]),
        _stranger_sees_nothing(recording),
        _note_is_found(recording),
        _digests(actors.hub),
        _flower(recording.migration_tasks, PlanKind.MIGRATE),
        _flower(recording.rollback_tasks, PlanKind.ROLLBACK),
        _times(recording),
    ]


def _enough_text(stage: Stage) -> Proof:
    own, team = stage.chunks
    return Proof(
        "Ada's base is large enough", f"{own} chunks, the team's {team}", own >= MIN_CHUNKS
    )


def _tops(searches: Sequence[Search]) -> list[tuple[str, str]]:
    return [(found.question.text, found.hits[0]["text"]) for found in searches if found.hits]


def _questions_are_fair(recording: Recording, cosines: Cosines) -> Proof:
    tops = _tops(recording.before.searches)
    shared = [run for question, passage in tops for run in shared_runs(question, passage)]
    return Proof(
        "No question shares three words in a row with its passage",
        f"{len(shared)} shared runs in {len(tops)} pairs",
        not shared and len(tops) == len(QUESTIONS),
    )


def _spaces_differ(recording: Recording, cosines: Cosines) -> Proof:
    mixed = [abs(cosines.mixed(*pair)) for pair in _tops(recording.before.searches)]
    return Proof(
        "Mixing the two spaces would be seen",
        f"question in the old, passage in the new space: at most {max(mixed):.3f}",
        max(mixed) < _MIXED,
    )


def _adapter_proofs(recording: Recording) -> list[Proof]:
    notes = recording.after.adapter["training_stats"].get("migration_notes", [])
    mine = [note for note in notes if note.get("plan") == recording.migration["id"]]
    refusal = recording.refusal
    names = [[row["name"] for row in seen.adapters] for seen in (recording.before, recording.again)]
    return [
        Proof(
            "The switch leaves one note on the adapter",
            "; ".join(
                f"{n['action']}: {n.get('from_engine')} → {n.get('to_engine')}" for n in mine
            ),
            len(mine) == 1,
        ),
        Proof(
            "The adapter is refused on the new base",
            f"{refusal.status}: {refusal.sentence}",
            refusal.status == _REFUSED and names[0] == names[1],
        ),
    ]


def _answer_is_cited(recording: Recording) -> Proof:
    """The sentence stands in the one passage that is named, and says what was asked for."""
    answer = recording.grounded
    named = [cited["text"] for cited in answer.citations]
    stands = [plain(answer.text) in plain(text) for text in named]
    return Proof(
        "An answer from her papers is true to the passage it names",
        f"{answer.engine}: {answer.text}. "
        + ", ".join(f"[{cited['number']}] {cited['title']}" for cited in answer.citations),
        answer.engine == NEW.model_id
        and stands == [True]
        and answer.question.needle in plain(answer.text),
    )


def _conversation_goes_on(recording: Recording) -> Proof:
    moments = (recording.before, recording.after, recording.again)
    kept = [
        recording.said[: len(seen.continued.messages) - 1] == list(seen.continued.messages[1:])
        for seen in moments
    ]
    writers = [seen.continued.engine for seen in moments]
    return Proof(
        "The conversation goes on, its messages unchanged",
        f"{len(recording.said)} messages; answers by {', '.join(writers)}",
        all(kept) and writers == [OLD.model_id, NEW.model_id, OLD.model_id],
    )


def _traffic(
    traffic: Traffic, moved: str, bases: Bases, cosines: Cosines, engines: list[str]
) -> Proof:
    """No error, every passage right, every score that of one space, one change of engine."""
    wrong = [found for found in traffic.searches if not finds(found, bases)]
    errors = [smallest_error(found, bases, cosines) for found in traffic.searches]
    order = [name for name, _ in groupby(traffic.engines)]
    return Proof(
        f"A second client noticed nothing while she was {moved}",
        f"{len(traffic.searches)} searches and {len(traffic.engines)} answers, "
        f"{len(traffic.errors)} errors, {len(wrong)} wrong, score ± {max(errors, default=0):.4f}; "
        f"answers by {' then '.join(order)}" + "".join(f"; {text}" for text in traffic.errors[:1]),
        not traffic.errors
        and not wrong
        and bool(errors)
        and max(errors) <= TOLERANCE
        and order == engines,
    )


def _stranger_sees_nothing(recording: Recording) -> Proof:
    hits = sum(len(found.hits) for found in recording.stranger)
    refusal = recording.stranger_refusal
    return Proof(
        "Bob finds nothing of Ada's or the team's",
        f"{hits} hits; Ada's plan: {refusal.status} {refusal.code}",
        hits == 0 and refusal.status == _HIDDEN,
    )


def _note_is_found(recording: Recording) -> Proof:
    found = (recording.note_after, recording.note_again)
    tops = [one.hits[0] for one in found if one.hits]
    right = [one for one in tops if recording.note_after.question.needle in one["text"]]
    return Proof(
        "A page written in between is found before and after the rollback",
        ", ".join(f"{hit['score']:.3f}" for hit in tops),
        len(right) == len(found),
    )


def _digests(hub: str) -> Proof:
    pairs = digests(hub)
    equal = [name for name, (disk, published) in pairs.items() if disk == published]
    shown = ", ".join(f"{name} {disk[:8]}…" for name, (disk, _) in pairs.items())
    return Proof("Files on disk have the hub's SHA-256", shown, len(equal) == len(pairs))


def _flower(tasks: dict[str, str], kind: PlanKind) -> Proof:
    expected = {task_name(kind, step): "SUCCESS" for step in STEPS_OF[kind]}
    others = {name: state for name, state in tasks.items() if state != "SUCCESS"}
    return Proof(
        f"Flower's API shows the {len(expected)} tasks of the {kind} plan as SUCCESS",
        ", ".join(others or tasks) + (f": {', '.join(others.values())}" if others else ""),
        tasks == expected,
    )


def _times(recording: Recording) -> Proof:
    """Time between the ends of a step and the one before, waiting for a worker included."""
    shown, whole = [], []
    for plan in (recording.migration, recording.rollback):
        ends = [plan["started_at"], *(step["finished_at"] for step in plan["steps"])]
        spans = [_seconds(a, b) for a, b in pairwise(ends)]
        kinds = [step["kind"] for step in plan["steps"]]
        shown += [f"{kind} {span:.1f} s" for kind, span in zip(kinds, spans, strict=True)]
        whole += [step["status"] == "completed" for step in plan["steps"]]
    return Proof("Every step completed; time per step", ", ".join(shown), all(whole))


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
