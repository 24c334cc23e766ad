"""Which SAM the commands talk to: where ``sam login`` keeps its address and token."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from samproject.cli.errors import CommandError
from samproject.env import read_str

SERVER, TOKEN = "SAM_SERVER", "SAM_TOKEN"


@dataclass(frozen=True, slots=True)
class Profile:
    """Address of a SAM and the token of who asks it."""

    server: str
    token: str


def find_profile() -> Profile | None:
    """Return the SAM to talk to over HTTP; None: the one whose database this machine reaches.

    The environment comes before what ``sam login`` wrote. CommandError when only half of it is there.
    """
    server, token = read_str(SERVER), read_str(TOKEN)
    if server and token:
        return Profile(server.rstrip("/"), token)
    if server or token:
        raise CommandError(f"{SERVER} and {TOKEN} belong together; set both or none.")
    return _read(profile_path())


def profile_path() -> Path:
    """Return the file of the signed-in person of this machine."""
    home = read_str("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "sam" / "login.json"


def write_profile(profile: Profile) -> Path:
    """Keep a profile where only its owner can read it; return the file."""
    path = profile_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = path.with_suffix(".new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(profile), file)
    aside.replace(path)
    return path


def forget_profile() -> bool:
    """Remove the profile; False when there was none."""
    path = profile_path()
    found = path.exists()
    path.unlink(missing_ok=True)
    return found


def _read(path: Path) -> Profile | None:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Profile(str(kept["server"]), str(kept["token"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{path} cannot be read; sign in again with `sam login`.") from error
