"""``sam preference``, ``adapter``, ``token``, ``usage``, ``template``: what belongs to people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from samproject.cli.client import EVERYBODY, name_in_path
from samproject.cli.completion import complete_models
from samproject.cli.errors import CommandError
from samproject.cli.session import Session, command, make_group, pick

preference = make_group("A person's active engine and prompts.")
adapter = make_group("A person's LoRA adapters.")
usage = make_group("Tokens that people used, and how many they may use a day.")
template = make_group("What each family of engines is told, before anybody's edits.")

Family = Annotated[str, typer.Argument(help="Such as qwen, llama or deepseek.")]
Text = Annotated[str | None, typer.Option(help="Left as it is unless given.")]
AdapterId = Annotated[int, typer.Argument(help="As `sam adapter list` shows it.")]
DAYS = 7


@command(preference, "show")
def show_preference(session: Session) -> None:
    """Show the engine_upgrade settings, as JSON."""
    session.show(session.api.get("/preferences"))


@command(preference, "choose")
def choose_engine(
    session: Session,
    engine: Annotated[
        str, typer.Argument(help="Its id in the catalog.", autocompletion=complete_models)
    ],
) -> None:
    """Choose an engine at once, when nothing has to move along."""
    version = session.api.etag("/preferences")
    chosen = session.api.patch("/preferences", {"active_engine_id": engine}, if_match=version)
    session.show(chosen, f"{engine} answers you now (version {chosen['version']}).")


@command(preference, "prompts")
def edit_prompts(
    session: Session,
    family: Family,
    system_prompt: Text = None,
    reasoning_prompt: Text = None,
    chat_format: Text = None,
) -> None:
    """Show or edit your prompts of one family, as JSON."""
    address = f"/prompts/{name_in_path(family)}"
    edits = _given(system_prompt, reasoning_prompt, chat_format)
    if edits:
        session.show(session.api.patch(address, edits, if_match=session.api.etag(address)))
    else:
        session.show(session.api.get(address))


@command(template, "list")
def list_templates(session: Session) -> None:
    """Show the prompts of every family."""
    found = session.api.rows("/prompt-templates")
    rows = [pick(row, "family", "system_prompt", "reasoning_prompt") for row in found]
    session.table(["family", "system", "reasoning"], rows, found)


@command(template, "set")
def set_template(
    session: Session,
    family: Family,
    system_prompt: Text = None,
    reasoning_prompt: Text = None,
    chat_format: Text = None,
) -> None:
    """Write a family's prompts; who edited theirs keeps the edit."""
    address = f"/prompt-templates/{name_in_path(family)}"
    known = [row for row in session.api.rows("/prompt-templates") if row["family"] == family]
    texts = {key: value for row in known for key, value in row.items() if key != "family"}
    texts |= _given(system_prompt, reasoning_prompt, chat_format)
    session.show(session.api.put(address, texts))


@command(template, "delete")
def delete_template(session: Session, family: Family) -> None:
    """Take a family's prompts away; the model's own template is left."""
    session.api.delete(f"/prompt-templates/{name_in_path(family)}")
    session.say("Deleted.")


@command(adapter, "list")
def list_adapters(session: Session) -> None:
    """Show your adapters, and which of them need retraining."""
    found = session.api.rows("/adapters")
    rows = [pick(row, "id", "name", "base_model", "status") for row in found]
    session.table(["adapter", "name", "engine", "status"], rows, found)


@command(adapter, "add")
def add_adapter(
    session: Session,
    file: Annotated[Path, typer.Argument(help="GGUF, or PEFT's adapter_model.safetensors.")],
    base_model: Annotated[str, typer.Option(help="The engine that it was trained on.")],
    name: Annotated[str | None, typer.Option(help="The file's name unless given.")] = None,
    config: Annotated[Path | None, typer.Option(help="PEFT's adapter_config.json.")] = None,
) -> None:
    """Upload an adapter."""
    fields = {"name": name or file.stem, "base_model": base_model}
    paths = {"file": file, **({"config": config} if config else {})}
    try:
        files = {key: (path.name, path.read_bytes()) for key, path in paths.items()}
    except OSError as error:
        raise CommandError(f"{error.filename} cannot be read: {error.strerror}.") from error
    made = session.api.upload("/adapters", fields, files)
    session.show(made, f"{made['name']} is adapter {made['id']} of {made['base_model']}.")


@command(adapter)
def enable(session: Session, number: AdapterId) -> None:
    """Let an adapter be loaded with its engine."""
    session.show(session.api.patch(f"/adapters/{number}", {"enabled": True}), "Enabled.")


@command(adapter)
def disable(session: Session, number: AdapterId) -> None:
    """Keep an adapter, but do not load it."""
    session.show(session.api.patch(f"/adapters/{number}", {"enabled": False}), "Disabled.")


@command(adapter, "delete")
def delete_adapter(session: Session, number: AdapterId) -> None:
    """Delete an adapter with its file."""
    session.api.delete(f"/adapters/{number}")
    session.say("Deleted.")


@command(usage, "show")
def show_usage(
    session: Session,
    days: Annotated[int, typer.Option(min=1, help="How many days back, today included.")] = DAYS,
) -> None:
    """List tokens by person and day."""
    found = session.api.rows("/usage", days=days)
    rows = [pick(row, "day", "person", "tokens_in", "tokens_out", "requests") for row in found]
    session.table(["day", "person", "in", "out", "requests"], rows, found)


@command(usage)
def limit(
    session: Session,
    tokens: Annotated[int, typer.Argument(min=0, help="Tokens a day, in and out together.")],
) -> None:
    """Set the tokens a day, of the --user or of everybody without a quota."""
    address = _address(session)
    quota = session.api.put(address, {"tokens_per_day": tokens})
    who = "everybody" if quota["person"] == EVERYBODY else quota["person"]
    session.show(quota, f"{who}: {quota['tokens_per_day']} tokens a day.")


@command(usage)
def unlimit(session: Session) -> None:
    """Take the quota of the --user away, or everybody's."""
    who = session.person or "Everybody"
    address = _address(session)
    session.api.delete(address)
    session.say(f"{who}: no quota of their own.")


def _given(*texts: str | None) -> dict[str, Any]:
    names = ("system_prompt", "reasoning_prompt", "chat_format")
    return {name: text for name, text in zip(names, texts, strict=True) if text is not None}


def _address(session: Session) -> str:
    person = session.take_person()
    return f"/quotas/{EVERYBODY if person is None else name_in_path(person)}"
