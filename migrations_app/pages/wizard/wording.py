"""What a preview says, in the words of the person it is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.template.defaultfilters import filesizeformat

from engines.models import KnowledgeBase
from migrations_app.models import Plan
from migrations_app.pages.components import Point
from migrations_app.plans.preview import DISK_RESERVE
from migrations_app.plans.titles import destination_of, leaves_none
from migrations_app.signs import Tone
from migrations_app.states import PlanKind

MAX_NAMED = 12
"""Adapters and the like that a page names; it counts them all."""
PLACES = {"gpu": "on the GPU", "gpu_and_memory": "partly on the GPU", "memory": "in memory"}

Preview = dict[str, Any]
"""A plan's preview as it was kept: one of an older version may lack what is new."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a plan, and on what it rests."""

    label: str
    value: str
    note: str
    icon: str


def spaced(number: int) -> str:
    """Write a whole number with its thousands apart."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def counted(number: int, one: str, many: str) -> str:
    """Return a number with its noun."""
    return f"{spaced(number)} {one if number == 1 else many}"


def doing(plan: Plan, reader_id: int) -> str:
    """Say what a plan does, as a part of a sentence."""
    if plan.kind != PlanKind.RE_EMBED:
        return f"moving to {destination_of(plan)}"
    return f"embedding {base_name(plan, reader_id)} anew"


def base_name(plan: Plan, reader_id: int) -> str:
    """Return what a plan embeds anew, by its name where that is the reader's to know."""
    is_told = plan.base is not None and plan.user_id in (None, reader_id)
    return f"“{plan.base.name}”" if is_told and plan.base else "a base"


def old_name(plan: Plan) -> str:
    """Return what a plan leaves; one about a base leaves the person's engine alone."""
    if plan.kind == PlanKind.RE_EMBED:
        return "your engine"
    return plan.from_engine.display_name if plan.from_engine else "no engine"


def who_answers(plan: Plan) -> str:
    """Say who answers until a plan has switched, as the beginning of a sentence."""
    if leaves_none(plan):
        return "No engine answers you"
    return (
        f"{'Your engine' if plan.kind == PlanKind.RE_EMBED else old_name(plan)} goes on answering"
    )


def duration(preview: Preview) -> str:
    """Return about how long it takes."""
    minutes = int(preview.get("estimated_minutes", 0))
    hour = 60
    if minutes <= 1:
        return "1 min"
    return f"{minutes} min" if minutes < 2 * hour else f"{minutes / hour:.0f} h"


def time_basis(preview: Preview) -> str:
    """Return on what the expected time rests: on embedding, on the download, or on both."""
    parts = [
        str(preview.get(basis, ""))
        for basis, work in (("time_basis", "to_embed"), ("download_basis", "bytes_to_fetch"))
        if preview.get(work)
    ]
    return (
        "; download: ".join(filter(None, parts))
        if len(parts) > 1
        else "".join(parts) or "nothing to embed"
    )


def figures(plan: Plan, preview: Preview) -> list[Figure]:
    """Return the few numbers that everybody looks for."""
    to_embed, chunks = preview.get("to_embed", 0), preview.get("chunks", 0)
    fetch, adapters = preview.get("bytes_to_fetch", 0), preview.get("adapters", [])
    host = preview.get("host") or "a host"
    shown = [
        Figure("Time, about", duration(preview), time_basis(preview), "clock"),
        Figure(
            "To embed",
            spaced(to_embed) if to_embed else "Nothing",
            f"of {counted(chunks, 'passage', 'passages')}" if chunks else "there is no knowledge",
            "knowledge",
        ),
        Figure(
            "To download",
            filesizeformat(fetch) if fetch else "Nothing",
            f"to {host}" if fetch else f"it is on {host} already",
            "download",
        ),
    ]
    if plan.kind == PlanKind.MIGRATE:
        stops = str(len(adapters)) if adapters else "None"
        note = "back with the old engine" if adapters else "nothing to retrain"
        shown.append(Figure("Adapters that stop", stops, note, "adapter"))
    return shown


def knowledge_points(plan: Plan, preview: Preview) -> Iterator[Point]:
    """Say what becomes of what is searched, why, and how well it will be found."""
    chunks, to_embed = preview.get("chunks", 0), preview.get("to_embed", 0)
    if not chunks:
        yield Point(
            "There is no knowledge to move",
            "What is added later is embedded for the new engine.",
            "knowledge",
        )
        return
    passages = counted(chunks, "passage", "passages")
    if preview.get("passages_to_cut"):
        yield from _cut_points(plan, preview)
        return
    if not plan.re_embed_knowledge:
        text = f"Its {passages} stay searched with the embedder they have; you can re-embed them at any time."
        yield Point("Your knowledge stays as it is", text, "knowledge", Tone.INFO)
        return
    if preview.get("keeps_embedder"):
        text = f"The same model searches before and after, so all {passages} stay as they are."
        yield Point("Nothing is re-embedded", text, "success", Tone.SUCCESS)
        return
    embedder = (
        plan.embedder_revision.model.display_name if plan.embedder_revision else "another model"
    )
    is_move = plan.kind == PlanKind.MIGRATE
    searches = f"{destination_of(plan)} searches" if is_move else "This base is then searched"
    if to_embed and not _is_searched(plan):
        text = f"{searches} with {embedder}. It can be searched once all of it is read and proven."
        title = f"{counted(to_embed, 'text is', 'texts are')} embedded for the first time"
        yield Point(title, text, "knowledge", Tone.INFO)
        return
    if not to_embed:
        text = f"{searches} with {embedder}; the vectors of all {passages} are there already."
        yield Point("Nothing has to be computed", text, "success", Tone.SUCCESS)
    else:
        text = (
            f"{searches} with {embedder}, whose vectors cannot be mixed with those you have. "
            "The old index answers until the new one is complete and proven."
        )
        title = f"{counted(to_embed, 'text is', 'texts are')} embedded anew"
        yield Point(title, text, "knowledge", Tone.INFO)
    yield _quality_point(preview)


def _is_searched(plan: Plan) -> bool:
    """Whether anything that a plan embeds has an index already; without one there is nothing to hold the new against."""
    about = {"pk": plan.base_id} if plan.base_id else {"owner": plan.user}
    return KnowledgeBase.objects.filter(**about, live_index__isnull=False).exists()


def _cut_points(plan: Plan, preview: Preview) -> Iterator[Point]:
    changed, chunks = preview["passages_to_cut"], preview["chunks"]
    embedder = destination_of(plan)
    title = f"{spaced(changed)} of {counted(chunks, 'passage is', 'passages are')} cut and embedded anew"
    text = (
        f"Those of {counted(preview['documents_to_cut'], 'document', 'documents')}. They then follow headings and "
        f"sentences, say where they stand, and {embedder} reads each to its end. Until all are ready the old ones "
        "are found; then they change places in one moment."
    )
    yield Point(title, text, "knowledge", Tone.INFO)
    text = "Answers that quoted a passage still open the same words in their document."
    yield Point("What was quoted stays", text, "success", Tone.SUCCESS)
    text = "The documents do not change, so no word is lost; the old cuts are not kept."
    yield Point("There is no way back", text, "info", Tone.NEUTRAL)


def is_cutting(plan: Plan) -> bool:
    """Whether a plan changes the passages of a base and not its embedder."""
    done = "cut_anew" in (plan.switched or {})
    return plan.kind == PlanKind.RE_EMBED and (done or bool(plan.preview.get("passages_to_cut")))


def _quality_point(preview: Preview) -> Point:
    quality = preview.get("quality")
    if quality is None:
        return Point(
            "How well it finds is measured before the switch",
            "Both indexes answer the same questions. If the new one understands your texts worse, nothing is switched.",
            "shield",
        )
    asked = quality["asked"]
    text = (
        f"With the old embedder {quality['old_found']} of {asked} questions found their passage, with the new "
        f"one {quality['new_found']}. Yours are measured before the switch."
    )
    moves = counted(quality["moves"], "earlier move", "earlier moves")
    tone = Tone.SUCCESS if quality["new_found"] >= quality["old_found"] else Tone.WARNING
    return Point(f"Measured in {moves} between these two", text, "chart", tone)


def loss_points(plan: Plan, preview: Preview, *, tells_content: bool) -> Iterator[Point]:
    """Say what stops working, and what to do about it."""
    adapters = [adapter["name"] for adapter in preview.get("adapters", [])]
    if adapters:
        verb = "stops" if len(adapters) == 1 else "stop"
        again = "it works" if len(adapters) == 1 else "they work"
        text = (
            f"An adapter belongs to the engine it was trained on. Train anew for {destination_of(plan)} if you "
            f"need it there; if you take the move back, {again} again."
        )
        names = named(adapters) if tells_content else ()
        title = f"{counted(len(adapters), 'adapter', 'adapters')} {verb} working"
        yield Point(title, text, "adapter", Tone.WARNING, names)
    missed = preview.get("lost_uses", []) if tells_content else []
    if missed:
        title = f"What you use and {destination_of(plan)} lacks"
        yield Point(title, "", "warning", Tone.WARNING, missed)
    lost = preview.get("lost", [])
    if lost:
        yield Point(
            f"{destination_of(plan)} cannot do all that {old_name(plan)} can",
            "",
            "engine",
            Tone.WARNING,
            lost,
        )
    context = preview.get("context")
    if context and 0 < context["after"] < context["before"]:
        cut = context["conversations_cut"]
        text = f"{spaced(context['after'])} tokens instead of {spaced(context['before'])}. "
        if cut:
            verb = "is" if cut == 1 else "are"
            text += f"{counted(cut, 'conversation', 'conversations')} {verb} longer: only the latest part is read, all of it is kept."
        else:
            text += "None of your conversations is longer."
        yield Point(
            "The context is shorter", text, "document", Tone.WARNING if cut else Tone.NEUTRAL
        )


def place_points(plan: Plan, preview: Preview) -> Iterator[Point]:
    """Say where the new engine will run, and whether there is room."""
    host = preview.get("host") or "a host"
    needed, has = preview.get("memory_needed_bytes", 0), preview.get("memory_bytes", 0)
    engines = [
        f"{need['model_id']}: {filesizeformat(need['needs_bytes'])}, {PLACES.get(need['where'], 'no room')}"
        for need in preview.get("engines_in_memory", [])
    ]
    fits = preview.get("fits_together")
    if fits is False:
        text = (
            f"Side by side they need {filesizeformat(needed)}, the host has {filesizeformat(has)}. They then run one "
            "after the other, which is slower; a smaller engine or another host avoids that."
        )
        yield Point(
            f"Old and new engine do not fit on {host} together", text, "host", Tone.WARNING, engines
        )
    else:
        yield Point(f"It runs on {host}", "", "host", Tone.NEUTRAL, engines)
    disk, free = preview.get("disk_needed_bytes", 0), preview.get("disk_free_bytes", 0)
    text = f"{filesizeformat(disk)} needed, {filesizeformat(free)} free."
    if disk + DISK_RESERVE > free:
        yield Point(
            "The disk may be too small",
            f"{text} An operator can free some, or move the plan.",
            "warning",
            Tone.WARNING,
        )
    else:
        yield Point("The disk has room", text, "folder")


def server_points(preview: Preview) -> Iterator[Point]:
    """Say whose texts leave SAM's hosts."""
    for warning in preview.get("warnings", []):
        if "runs on the server" in warning:
            yield Point("Texts leave our hosts", warning, "external", Tone.WARNING)


def named(names: Sequence[str]) -> list[str]:
    """Return as many names as a page shows."""
    more = len(names) - MAX_NAMED
    return [*names[:MAX_NAMED], *([f"and {more} more"] if more > 0 else [])]


def option_points(plan: Plan, preview: Preview) -> Iterator[Point]:
    """Repeat what was chosen, each option with what it means."""
    if plan.kind != PlanKind.MIGRATE:
        return
    adapters = preview.get("adapters")
    if plan.backup_lora_adapters or not adapters:
        yield Point(
            "A sealed backup is made first",
            "Everything that is yours, encrypted, and read back to prove it.",
            "shield",
            Tone.SUCCESS,
        )
    else:
        yield Point(
            "A sealed backup is made first, without adapters",
            "Their files stay in the store all the same.",
            "shield",
        )
    if plan.update_prompt_templates:
        yield Point(
            "Prompts become those of the new engine’s family",
            "What you wrote for the old one waits for your return.",
            "prompt",
        )
    else:
        yield Point(
            "Your prompts stay as they are",
            "They were written for another family; you can change them later.",
            "prompt",
        )
