"""What ``sam catalog add`` does when it is given no entry, but a place where models are."""

from __future__ import annotations

import shlex
from typing import Any

from samproject.cli.session import Session

GIB = 2**30
FITS = {True: "yes", False: "no", None: "?"}
"""Unknown while no host has told its memory."""


def list_hub_models(session: Session, repo: str) -> None:
    """Show a repository's models with the best for our hosts, and the command that takes one."""
    answer = session.api.get("/hub-files", repo=repo)
    files = answer["files"]
    session.table(
        ["model", "size", "files", "fits", ""],
        [
            (
                file["name"],
                f"{file['size'] / GIB:.2f} GiB",
                file["parts"],
                FITS[file["fits"]],
                "best for our hosts" if file["is_best"] else "",
            )
            for file in files
        ],
        answer,
    )
    if not files:
        session.say(f"{repo} has no GGUF model that is whole; look for a repository with -GGUF.")
        return
    chosen = next((file for file in files if file["is_best"]), files[0])
    session.say(f"To take one: {_command(answer, chosen['name'])}")


def _command(answer: dict[str, Any], name: str) -> str:
    suggested = answer["suggested"]
    words = ["sam", "catalog", "add", suggested["model_id"], "--name", suggested["model_id"]]
    words += ["--family", suggested["model_family"], "--role", suggested["role"]]
    return shlex.join([*words, "--repo", answer["repo"], "--file", name])
