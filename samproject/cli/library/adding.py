"""What ``sam catalog add`` does when it is given no entry, but a place where models are."""

from __future__ import annotations

import importlib
import shlex
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from engines.exceptions import SamError
from engines.transfer.hub_place import is_hub_address
from migrations_app.local_caller import COMMAND_TYPED_BY, find_machine_user
from samproject.cli.errors import CommandError
from samproject.cli.profile import find_profile
from samproject.cli.session import Session
from samproject.cli.shown import show_size

FITS = {True: "yes", False: "no", None: "?"}
"""Unknown while no host has told its memory."""


def is_on_disk(place: str) -> bool:
    """Whether a place is a file or folder of this machine, and not an id or a repository."""
    if place.startswith((".", "/", "~")):
        return True
    with suppress(PermissionError):
        if Path(place).is_dir():
            return True
    return place.lower().endswith(".gguf") and not is_hub_address(place)


def add_from_disk(session: Session, path: Path, fields: dict[str, Any]) -> dict[str, Any]:
    """Put a model of this machine into this host's store and the catalog; return what became of it."""
    if find_profile() is not None:
        raise CommandError(
            "A file is added on the host that is to have it: run `sam logout` there first, and then "
            "this command as the user who runs SAM."
        )
    if session.person is not None:
        raise CommandError("Whoever runs SAM on this machine adds files; leave out --user.")
    # The database is reached, and Django is loaded, by the client of this machine.
    session.api.get("/hosts")
    library = importlib.import_module("migrations_app.library").get_model_library_manager()
    typed_by = COMMAND_TYPED_BY.set(find_machine_user())
    session.say(f"Reading {path}; a large model takes minutes.")
    try:
        added = library.add_file(_expanded(path), fields)
    except SamError as error:
        raise CommandError(str(error)) from error
    finally:
        COMMAND_TYPED_BY.reset(typed_by)
    session.say(
        f"{added.entry.model_id} ({added.entry.role}) is on {added.copy.host.name}, verified."
    )
    report = asdict(added.report)
    kept = {name: to_builtins(asked) for name, asked in added.report.instructions.items()}
    return {**report, "instructions": kept}


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise CommandError(
            f"{path} names the home of a user who is not on this machine."
        ) from error


def list_hub_models(session: Session, repo: str) -> None:
    """Show a repository's models with the best for our hosts, and the command that takes one."""
    answer = session.api.get("/hub-files", repo=repo)
    files = answer["files"]
    session.table(
        ["model", "size", "files", "fits", ""],
        [
            (
                file["name"],
                show_size(file["size"]),
                file["parts"],
                FITS[file["fits"]],
                "best for our hosts" if file["is_best"] else "",
            )
            for file in files
        ],
        answer,
    )
    if not answer["chosen"]:
        session.say(
            f"{answer['repo']} has no GGUF model that is whole there; look for a repository with -GGUF."
        )
        return
    session.say(f"To take one: {_command(answer)}")


def _command(answer: dict[str, Any]) -> str:
    suggested = answer["suggested"]
    words = ["sam", "catalog", "add", suggested["model_id"], "--name", suggested["model_id"]]
    words += ["--family", suggested["model_family"], "--role", suggested["role"]]
    words += ["--repo", answer["repo"], "--file", answer["chosen"]]
    if answer["revision"] != "main":
        words += ["--revision", answer["revision"]]
    return shlex.join(words)
