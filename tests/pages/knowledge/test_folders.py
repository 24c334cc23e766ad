"""Folders of hosts over every face: administrators attach them, who writes to the base directs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from engines.models import Host, HostStatus, KnowledgeBase, WatchedFolder
from engines.services.knowledge.documents import create_base
from engines.services.knowledge.watched.attaching import attach_folder
from tests.api.roles import Engines, People, client_of, problem
from tests.sam_command import run_sam

ADDRESS = "/api/v1/watched-folders"


@pytest.fixture
def base(people: People, engines: Engines) -> KnowledgeBase:
    engines.host.folder_roots = ["/srv/shared"]
    engines.host.save()
    return create_base(owner=people.alice, name="Notes")


def wish(base: KnowledgeBase, engines: Engines, path: str = "/srv/shared/notes") -> dict[str, Any]:
    return {"base_id": base.pk, "host": engines.host.name, "path": path}


def test_only_an_administrator_attaches_and_who_reads_sees_how_it_goes(
    people: People, engines: Engines, base: KnowledgeBase
) -> None:
    for person in (people.alice, people.bob, people.curator, people.operator):
        refused = client_of(person).post(ADDRESS, wish(base, engines), format="json")
        problem(refused, 403, "permission_denied")
    admin = client_of(people.administrator)
    problem(admin.post(ADDRESS, wish(base, engines, "/etc"), format="json"), 400, "invalid_request")
    assert not WatchedFolder.objects.exists()

    made = admin.post(ADDRESS, wish(base, engines), format="json")

    assert made.status_code == 201
    assert admin.get(made["Location"]).json() == made.json()
    shown = client_of(people.alice).get(ADDRESS).json()["results"]
    assert [(row["path"], row["every_seconds"]) for row in shown] == [("/srv/shared/notes", 300)]
    assert client_of(people.bob).get(ADDRESS).json()["results"] == []
    problem(admin.post(ADDRESS, wish(base, engines), format="json"), 409, "conflict")
    problem(client_of(people.bob).delete(made["Location"]), 404, "not_found")
    assert client_of(people.alice).post(f"{made['Location']}/look-now").status_code == 200
    assert client_of(people.alice).delete(made["Location"]).status_code == 204
    assert not WatchedFolder.objects.exists()


def test_who_only_reads_a_group_s_base_directs_nothing_and_learns_no_path(
    people: People, engines: Engines, base: KnowledgeBase, visit: Callable[[User], Client]
) -> None:
    group = Group.objects.create(name="readers")
    people.alice.groups.add(group)
    shared = create_base(group=group, name="Shared")
    row = attach_folder(shared.pk, engines.host.name, "/srv/shared/x/handbook", every_seconds=60)
    WatchedFolder.objects.update(problem="/srv/shared/x/handbook is away.")

    member = client_of(people.alice)
    (shown,) = member.get(ADDRESS).json()["results"]
    page = visit(people.alice).get(f"/knowledge/{shared.pk}/").content.decode()

    assert (shown["name"], shown["path"], shown["problem"]) == ("handbook", "", "")
    assert "handbook" in page
    assert "/srv/shared" not in page
    problem(member.delete(f"{ADDRESS}/{row.pk}"), 403, "permission_denied")
    problem(member.post(f"{ADDRESS}/{row.pk}/look-now"), 403, "permission_denied")
    sent = visit(people.alice).post(f"/knowledge/{shared.pk}/folders/{row.pk}/", {"do": "let-go"})
    assert sent.status_code == 403
    assert WatchedFolder.objects.count() == 1


def test_the_page_of_a_base_attaches_looks_and_lets_go(
    people: People, engines: Engines, base: KnowledgeBase, visit: Callable[[User], Client]
) -> None:
    group = Group.objects.create(name="readers")
    shared = create_base(group=group, name="Shared")
    admin = visit(people.administrator)
    address = f"/knowledge/{shared.pk}/folders/"
    asked = {"host": engines.host.pk, "path": "/srv/other", "minutes": 5}
    refused = admin.post(address, asked)
    assert refused.status_code == 400
    assert "does not let" in refused.content.decode()
    assert visit(people.alice).get(f"/knowledge/{base.pk}/folders/").status_code == 403
    assert not WatchedFolder.objects.exists()

    assert admin.post(address, {**asked, "path": "/srv/shared/notes"}).status_code == 302
    row = WatchedFolder.objects.get()
    page = admin.get(f"/knowledge/{shared.pk}/").content.decode()
    assert "/srv/shared/notes" in page
    assert "Not looked at yet" in page
    assert admin.post(f"{address}{row.pk}/", {"do": "look"}).status_code == 302
    assert admin.post(f"/knowledge/{base.pk}/folders/{row.pk}/").status_code == 404
    assert admin.post(f"{address}{row.pk}/", {"do": "let-go"}).status_code == 302
    assert not WatchedFolder.objects.exists()


def test_the_admin_attaches_looks_and_lets_go(
    people: People, engines: Engines, base: KnowledgeBase, visit: Callable[[User], Client]
) -> None:
    User.objects.update(is_staff=True)
    admin, address = visit(people.administrator), "/admin/engines/watchedfolder/"
    form = {"base_number": base.pk, "host": engines.host.pk, "every_seconds": 60}
    assert visit(people.operator).get(address).status_code == 403
    refused = admin.post(f"{address}add/", {**form, "path": "/etc"})
    assert "does not let" in refused.content.decode()
    assert not WatchedFolder.objects.exists()

    assert admin.post(f"{address}add/", {**form, "path": "/srv/shared/notes"}).status_code == 302

    row = WatchedFolder.objects.get()
    assert (row.base, row.every_seconds) == (base, 60)
    page = admin.get(address).content.decode()
    assert "/srv/shared/notes" in page
    assert "Notes" not in page
    chosen = {"_selected_action": row.pk}
    admin.post(address, {**chosen, "action": "look_at"})
    admin.post(address, {**chosen, "action": "let_go"})
    assert not WatchedFolder.objects.exists()


def test_the_command_adds_lists_looks_and_removes(
    people: People, engines: Engines, base: KnowledgeBase
) -> None:
    options = ["--base", str(base.pk), "--host", engines.host.name, "--user", "adam"]
    said = run_sam("folder", "add", "/srv/shared/notes", *options, "--every", "1h")
    row = WatchedFolder.objects.get()
    assert said == f"/srv/shared/notes is folder {row.pk}; its host looks at it every 1h.\n"
    assert "/srv/shared/notes" in run_sam("folder", "list", "--user", "alice")
    assert "called" in run_sam("folder", "look-now", str(row.pk), "--user", "alice")
    assert "documents stay" in run_sam("folder", "remove", str(row.pk), "--user", "alice")
    assert not WatchedFolder.objects.exists()


@pytest.mark.parametrize("status", [HostStatus.LOST, HostStatus.DRAINING, HostStatus.RETIRED])
def test_a_folder_whose_host_is_not_there_is_not_in_step(
    people: People,
    engines: Engines,
    base: KnowledgeBase,
    visit: Callable[[User], Client],
    status: HostStatus,
) -> None:
    row = attach_folder(base.pk, engines.host.name, "/srv/shared/notes", every_seconds=60)
    WatchedFolder.objects.filter(pk=row.pk).update(looked_at=timezone.now(), looks=1)
    page = f"/knowledge/{base.pk}/"
    assert "In step" in visit(people.alice).get(page).content.decode()
    Host.objects.update(status=status)

    (shown,) = client_of(people.alice).get(ADDRESS).json()["results"]
    said = visit(people.alice).get(page).content.decode()

    expected = f"The host {engines.host.name} is {status}, so nobody looks at the folder"
    assert shown["problem"].startswith(expected)
    assert expected in said
    assert "In step" not in said
