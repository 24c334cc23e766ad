"""The whole installation in one folder and back: the database at one moment, then the files that it names.

In this order, because files are named by their content and never change: what the snapshot names was stored
before it. What somebody deletes between the two is missing, and the manifest says so.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, cast

import msgspec
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections, transaction
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from engines.archive import ArchiveReader, ArchiveWriter, MasterKeyRing, verify_archive
from engines.exceptions import ArtifactMissingError, ConflictError, InvalidRequestError, SamError
from engines.files.artifacts import ArtifactStore
from engines.files.durable import BLOCK, durable_file, rename_durably
from engines.files.private import private_folder
from engines.models import LoraAdapter, VectorIndex
from engines.parsing import convert
from engines.services.backups.keys import backup_keys
from migrations_app.models import Backup
from samproject.database.base import DatabaseWrapper
from samproject.database.newer import OWN_APPS
from samproject.supervisor.errors import SupervisorError
from samproject.supervisor.processes import Program, run_to_end
from samproject.supervisor.programs import postgres_programs

FORMAT = "sam-system-1"
MANIFEST, DATABASE, FILES = "manifest.json", "database.sealed", "files"
DUMP = "database.dump"


class SystemBackupError(SamError):
    """The database does not answer, or a disk does not take it, so nothing was written or put back."""

    code = "system_backup_failed"


class Manifest(TypedDict):
    """What a folder holds, written last."""

    format: str
    made_at: str
    migrations: dict[str, str]
    database_sha256: str
    files: list[str]
    missing: list[str]


@dataclass(slots=True)
class SystemSummary:
    """What was written or put back, and as of which moment; ``missing`` was not there whole."""

    made_at: str
    files: int = 0
    bytes: int = 0
    missing: list[str] = field(default_factory=list)


def back_system_up(folder: Path) -> SystemSummary:
    """Write everything into a new folder, which appears when it is complete.

    The dump is sealed by the backup key. Raises InvalidRequestError when the folder is there already or
    lies where SAM keeps its own, SystemBackupError when it cannot be written, SupervisorError when PostgreSQL's
    programs fail; then nothing of it stays.
    """
    # PostgreSQL's programs run in another folder.
    folder = folder.absolute()
    if folder.exists():
        raise InvalidRequestError(f"{folder} is there already; name a folder that is not.")
    if folder.resolve().is_relative_to(settings.SAM_DATA_DIR.resolve()):
        raise InvalidRequestError(
            f"{folder} lies in the data folder {settings.SAM_DATA_DIR} and would be lost with it; name one elsewhere."
        )
    draft = folder.with_name(f"{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        summary = _write_system(draft)
        rename_durably(draft, folder)
    except OSError as error:
        raise SystemBackupError(
            f"{folder} cannot be written: {error}. Nothing is kept of it."
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return summary


def _write_system(draft: Path) -> SystemSummary:
    private_folder(draft)
    store, keys = ArtifactStore(settings.SAM_ARTIFACT_STORE), backup_keys()
    with _one_snapshot() as snapshot:
        _dump(draft / DUMP, snapshot)
        named, migrations = _named_files(), _migrations()
    digest = _seal(draft / DUMP, draft / DATABASE, keys)
    summary = SystemSummary(timezone.now().isoformat())
    kept = [key for key in named if _copy_out(key, store, draft / FILES, summary)]
    manifest: Manifest = {
        "format": FORMAT,
        "made_at": summary.made_at,
        "migrations": migrations,
        "database_sha256": digest,
        "files": kept,
        "missing": summary.missing,
    }
    with durable_file(draft / MANIFEST) as file:
        file.write(json.dumps(manifest, indent=1).encode())
    return summary


def put_system_back(folder: Path) -> SystemSummary:
    """Put such a folder back into an installation that has no people yet; all of it is proven first.

    Stop web and workers before. Raises ConflictError when somebody is here already, ArchiveError for a
    damaged folder or another key, InvalidRequestError for no such folder or one of a newer SAM, SystemBackupError
    when a disk does not take it; then nothing is changed.
    """
    folder = folder.absolute()
    manifest, keys = _read_manifest(folder), backup_keys()
    _require_empty()
    summary = verify_archive(folder / DATABASE, None, keys)
    if summary.sha256 != manifest["database_sha256"]:
        raise InvalidRequestError("The database in this folder is not the one that it describes.")
    done = SystemSummary(manifest["made_at"], missing=manifest["missing"])
    try:
        _require_files(folder, manifest)
        _put_files_back(folder, manifest, done)
        _load(folder, keys)
    except OSError as error:
        raise SystemBackupError(
            f"{folder} cannot be put back: {error}. The database is as it was."
        ) from error
    call_command("migrate", interactive=False, verbosity=0)
    return done


@contextmanager
def _one_snapshot() -> Iterator[str]:
    """Give the name of a snapshot that other programs may read at, while it is held."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute("SELECT pg_export_snapshot()")
            yield str(cursor.fetchone()[0])
    except OperationalError as error:
        raise _no_answer(error) from error


def _no_answer(error: OperationalError) -> SystemBackupError:
    return SystemBackupError(
        f"The database does not answer: {' '.join(str(error).split())} "
        "Start it (`manage.py up --services-only`)."
    )


def _named_files() -> list[str]:
    return sorted(
        {
            *LoraAdapter.objects.values_list("artifact_key", flat=True),
            *Backup.objects.values_list("artifact_key", flat=True),
            *VectorIndex.objects.exclude(file_key="").values_list("file_key", flat=True),
        }
    )


def _migrations() -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT app, max(name) FROM django_migrations GROUP BY app ORDER BY app")
        return dict(cursor.fetchall())


def _dump(path: Path, snapshot: str) -> None:
    _run_program(
        "pg_dump", "--format=custom", f"--snapshot={snapshot}", "--no-owner", f"--file={path}"
    )


def _seal(dump: Path, sealed: Path, keys: MasterKeyRing) -> str:
    with ArchiveWriter(sealed, keys.current) as archive:
        archive.add_file(DUMP, dump)
        summary = archive.close()
    dump.unlink()
    return summary.sha256


def _copy_out(key: str, store: ArtifactStore, files: Path, summary: SystemSummary) -> bool:
    """Copy a file, checked against its name; False when it is damaged, or somebody deleted it meanwhile."""
    try:
        summary.bytes += store.verify(key).size
        with store.open(key) as source, durable_file(files / key) as target:
            shutil.copyfileobj(source, target, BLOCK)
    except ArtifactMissingError:
        summary.missing.append(key)
        return False
    summary.files += 1
    return True


def _read_manifest(folder: Path) -> Manifest:
    try:
        manifest: Any = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidRequestError(
            f"{folder} is no backup of a system: {MANIFEST} cannot be read ({error})."
        ) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise InvalidRequestError(f"{folder} is of a format that is not known here; update SAM.")
    try:
        stated = convert(manifest, Manifest)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(f"{folder / MANIFEST} is damaged: {error}.") from error
    known = {config.label for config in apps.get_app_configs()}
    if strange := sorted(set(stated["migrations"]) - known):
        raise InvalidRequestError(f"The backup has tables of {strange[0]}, which is not installed.")
    there = MigrationLoader(None).disk_migrations
    for own in OWN_APPS & set(stated["migrations"]):
        if (own, stated["migrations"][own]) not in there:
            raise InvalidRequestError(
                f"The backup was made by a newer SAM: it has the migration {own} "
                f"{stated['migrations'][own]}, which is not here. Update SAM."
            )
    return stated


def _require_empty() -> None:
    try:
        with connection.cursor() as cursor:
            tables = set(connection.introspection.table_names(cursor))
            cursor.execute("SELECT 1")
            if "auth_user" not in tables:
                return
            cursor.execute("SELECT EXISTS (SELECT 1 FROM auth_user)")
            inhabited = bool(cursor.fetchone()[0])
    except OperationalError as error:
        raise _no_answer(error) from error
    if inhabited:
        raise ConflictError(
            "This installation has people already, and nothing of theirs is overwritten; restore into a "
            "new one (another SAM_DATA_DIR or DATABASE_URL)."
        )


def _require_files(folder: Path, manifest: Manifest) -> None:
    """Prove every file before the first change."""
    kept = ArtifactStore(str((folder / FILES).absolute()))
    for key in manifest["files"]:
        kept.verify(key)


def _put_files_back(folder: Path, manifest: Manifest, done: SystemSummary) -> None:
    store = ArtifactStore(settings.SAM_ARTIFACT_STORE)
    for key in manifest["files"]:
        done.bytes += store.put_file(folder / FILES / key, kind=key.split("/")[0]).size
        done.files += 1


def _load(folder: Path, keys: MasterKeyRing) -> None:
    """Load the dump in one transaction; until it has succeeded there are no tables at all."""
    private_folder(settings.SAM_DATA_DIR / "scratch")
    dump = settings.SAM_DATA_DIR / "scratch" / "system.dump"
    dump.unlink(missing_ok=True)
    try:
        with ArchiveReader(folder / DATABASE, None, keys) as archive, durable_file(dump) as target:
            for member in archive.members():
                while block := member.read():
                    target.write(block)
        with connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        # Statements that were prepared know the tables that are gone.
        connections.close_all()
        cast(DatabaseWrapper, connections[DEFAULT_DB_ALIAS]).close_pool()
        name = str(connection.settings_dict["NAME"])
        _run_program(
            "pg_restore", "--single-transaction", "--exit-on-error", "--no-owner",
            f"--dbname={name}", str(dump),
        )  # fmt: skip
    finally:
        dump.unlink(missing_ok=True)


def _run_program(name: str, *arguments: str) -> None:
    """Run a program of PostgreSQL on this installation's database; the password is in no argument."""
    program = Program(
        name=name,
        argv=(_program(name), *arguments),
        log=private_folder(settings.SAM_LOCATIONS.logs) / f"{name}.log",
        environment=_environment(),
        stop_signal=signal.SIGINT,
    )
    run_to_end(program)


def _program(name: str) -> str:
    try:
        own = postgres_programs(settings.SAM_LOCATIONS.programs, None) / name
    except SupervisorError:
        own = Path(shutil.which(name) or name)
    return str(own)


def _environment() -> dict[str, str]:
    parameters = connection.get_connection_params()
    names = {
        "host": "PGHOST",
        "port": "PGPORT",
        "user": "PGUSER",
        "password": "PGPASSWORD",
        "dbname": "PGDATABASE",
        "sslmode": "PGSSLMODE",
    }
    given = {names[key]: str(value) for key, value in parameters.items() if key in names and value}
    return {"PATH": os.defpath, "LC_ALL": "C", **given}
