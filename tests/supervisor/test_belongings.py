"""What SAM's processes own, and that nobody else of this machine may look at it."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engines.files.artifacts import ArtifactStore
from engines.files.private import private_folder
from samproject.supervisor.belongings import (
    Belongings,
    environment_for,
    process_user,
    reasons_to_stay_root,
    take_possession,
)
from samproject.supervisor.processes import Program, run_to_end
from samproject.supervisor.users import ServiceUser
from tests.supervisor.test_places import reachable_interpreter

IS_ROOT = os.geteuid() == 0
NOBODY = ServiceUser("nobody", *pwd.getpwnam("nobody")[2:4])


@pytest.fixture
def belongings(folder: Path) -> Belongings:
    data = folder / "data"
    data.mkdir()
    data.chmod(0o711)
    return Belongings(
        data,
        folders=(data / "models", data / "artifacts"),
        secrets=(data / "secret-key",),
        needed=(data,),
    )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_new_folders_are_closed_whatever_the_umask(belongings: Belongings) -> None:
    before = os.umask(0)
    try:
        take_possession(belongings, None)
    finally:
        os.umask(before)

    assert [mode(folder) for folder in belongings.folders] == [0o700, 0o700]


def test_folders_of_an_earlier_sam_are_closed_and_not_walked(belongings: Belongings) -> None:
    old = belongings.folders[1]
    (old / "deep").mkdir(parents=True)
    for path in (old, old / "deep"):
        path.chmod(0o755)

    take_possession(belongings, None)

    assert mode(old) == 0o700
    assert mode(old / "deep") == 0o755


def test_a_folder_elsewhere_keeps_its_mode(belongings: Belongings, folder: Path) -> None:
    shared = folder / "weights"
    shared.mkdir()
    shared.chmod(0o755)

    take_possession(replace(belongings, folders=(shared,)), None)

    assert mode(shared) == 0o755


def test_what_is_stored_is_private_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        key = ArtifactStore(str(folder / "store")).put_bytes(b"vectors", kind="index").key
    finally:
        os.umask(before)
    file = folder / "store" / key

    assert mode(file) == 0o400
    while file != folder:
        file = file.parent
        assert file == folder or mode(file) == 0o700


def test_an_existing_folder_is_left_as_it_is(folder: Path) -> None:
    (folder / "there").mkdir()
    (folder / "there").chmod(0o750)

    made = private_folder(folder / "there" / "a" / "b")

    assert made == folder / "there" / "a" / "b"
    assert [mode(path) for path in (made, made.parent, folder / "there")] == [0o700, 0o700, 0o750]


def test_who_is_not_root_runs_as_oneself(
    belongings: Belongings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert process_user(belongings.data / "postgres", belongings) is None
    assert reasons_to_stay_root(belongings.data / "postgres", belongings) == []


def as_root_the_data_changes_its_owner_once(belongings: Belongings) -> None:
    models, artifacts = belongings.folders
    (artifacts / "deep").mkdir(parents=True)
    (artifacts / "deep" / "file").write_text("vectors")
    belongings.secrets[0].write_text("hush")
    models.mkdir()
    (models / "weights").write_text("shared")
    (belongings.data / "elsewhere").hardlink_to(models / "weights")

    take_possession(belongings, NOBODY)

    mine = [models, artifacts, artifacts / "deep", artifacts / "deep" / "file"]
    assert {path.stat().st_uid for path in (*mine, *belongings.secrets)} == {NOBODY.uid}
    assert (belongings.data / "elsewhere").stat().st_uid == 0

    later = artifacts / "deep" / "later"
    later.write_text("of root")
    take_possession(belongings, NOBODY)
    assert later.stat().st_uid == 0


def as_root_what_is_made_in_a_users_folder_is_that_users(belongings: Belongings) -> None:
    take_possession(belongings, NOBODY)

    key = ArtifactStore(str(belongings.folders[1])).put_bytes(b"adapter", kind="adapter").key

    file = belongings.folders[1] / key
    owners = {path.stat().st_uid for path in (file, file.parent, file.parent.parent)}
    assert owners == {NOBODY.uid}


def as_root_another_user_is_taken_where_one_can_work(belongings: Belongings) -> None:
    postgres_data = belongings.data / "postgres"

    user = process_user(postgres_data, belongings)

    assert user is not None
    assert user.uid != 0
    private = belongings.data.parent / "private"
    (private / "code").mkdir(parents=True)
    private.chmod(0o700)
    walled = replace(belongings, needed=(private / "code",))
    assert process_user(postgres_data, walled) is None
    assert str(private) in reasons_to_stay_root(postgres_data, walled)[0]
    low = replace(belongings, ports=(80,))
    assert "port 80" in reasons_to_stay_root(postgres_data, low)[0]
    elsewhere = belongings.data.parent / "weights"
    elsewhere.mkdir()
    foreign = replace(belongings, folders=(elsewhere,))
    assert f"chown -R {user.name}" in reasons_to_stay_root(postgres_data, foreign)[0]


def as_root_a_program_runs_as_its_user_and_writes_private_files(belongings: Belongings) -> None:
    take_possession(belongings, NOBODY)
    target = belongings.folders[0] / "made"
    code = f"import os; open({str(target)!r}, 'w').close(); print(os.getuid(), os.getgroups())"
    log = belongings.data / "program.log"
    argv = (reachable_interpreter(), "-I", "-S", "-c", code)
    run_to_end(Program("program", argv, log, user=replace(NOBODY, groups=(44,))))

    assert log.read_text() == f"{NOBODY.uid} [44]\n"
    assert (target.stat().st_uid, mode(target)) == (NOBODY.uid, 0o600)


def as_root_secrets_in_files_of_root_reach_the_processes(belongings: Belongings) -> None:
    file = belongings.data / "token"
    file.write_text("hush\n")
    file.chmod(0o600)

    found = environment_for(NOBODY, belongings.data, {"HF_TOKEN_FILE": str(file), "OTHER": "x"})

    assert found == {
        "HOME": str(belongings.data),
        "USER": "nobody",
        "LOGNAME": "nobody",
        "HF_TOKEN": "hush",
        "HF_TOKEN_FILE": "",
    }


ROOT_CASES = [
    as_root_the_data_changes_its_owner_once,
    as_root_what_is_made_in_a_users_folder_is_that_users,
    as_root_another_user_is_taken_where_one_can_work,
    as_root_a_program_runs_as_its_user_and_writes_private_files,
    as_root_secrets_in_files_of_root_reach_the_processes,
]

if IS_ROOT:

    @pytest.mark.parametrize("case", ROOT_CASES, ids=lambda case: case.__name__)
    def test_when_started_by_root(
        case: Callable[[Belongings], None],
        belongings: Belongings,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("sys.executable", reachable_interpreter())
        case(belongings)
