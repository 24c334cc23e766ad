"""What `manage.py up` says once something answers: where it is, and what to do next."""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from django.conf import settings
from django.contrib.auth.models import User
from django.db import OperationalError, connections
from django.db.models import Q

from engines.models import CatalogModel, CopyStatus, HostStatus, ModelCopy
from engines.services.engine_choice import count_people_by_engine
from engines.services.people.roles import ADMINISTRATOR
from samproject.supervisor.roster import FLOWER_PREFIX, FLOWER_USER
from samproject.supervisor.supervise import Notice

CONNECT_SECONDS = 0.5
MOST_NAMED = 3


def announce_web(host: str, port: int) -> Notice:
    """Return what to say of the web server at this address once it answers."""
    return Notice(partial(is_listening, (host, port)), partial(_describe_web, (host, port)))


def announce_flower(host: str, port: int) -> Notice:
    """Return what to say of Flower at this address once it answers."""
    return Notice(partial(is_listening, (host, port)), partial(_describe_flower, (host, port)))


def is_listening(at: tuple[str, int]) -> bool:
    """Whether a server listens there; it does so once it has loaded all that it answers with."""
    try:
        socket.create_connection(at, CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def _describe_web(at: tuple[str, int]) -> Sequence[str]:
    address = f"http://{at[0]}:{at[1]}"
    lines = [f"home {address}/   admin {address}/admin/   API {address}/api/docs/"]
    try:
        step = find_next_step(address)
    except OperationalError:
        # The database is just being started again; the address is right all the same.
        step = ""
    finally:
        connections.close_all()
    return [*lines, step] if step else lines


def _describe_flower(at: tuple[str, int]) -> Sequence[str]:
    password = settings.SAM_DATA_DIR / "flower-password"
    return [
        f"Flower http://{at[0]}:{at[1]}/{FLOWER_PREFIX}/ (user {FLOWER_USER}, password in {password})"
    ]


def find_next_step(address: str) -> str:
    """Return what a new installation still lacks; empty when people can work."""
    leads = Q(is_superuser=True) | Q(groups__name=ADMINISTRATOR)
    if not User.objects.filter(leads, is_active=True).exists():
        return (
            "next: make the first administrator in another terminal with `manage.py createsuperuser`, "
            f"then sign in at {address}/"
        )
    if not CatalogModel.objects.exists():
        return "next: fill the catalog with `manage.py catalog starter`, or in the admin"
    if not count_people_by_engine():
        return (
            f"next: nobody has an engine yet: choose one at {address}/migrate/, or everybody's with "
            "`manage.py default set ENGINE`"
        )
    return ""


def find_files_of_others(name: str) -> list[str]:
    """Return a sentence for each other host of this machine's own database whose engines nobody can serve now."""
    there = ModelCopy.objects.filter(status=CopyStatus.DOWNLOADED)
    here = there.filter(host__name=name)
    alone = there.exclude(revision__in=here.values("revision"))
    engines = defaultdict(list)
    for host, engine in (
        alone.exclude(host__name=name)
        .exclude(host__status=HostStatus.RETIRED)
        .order_by("host__name", "revision__model__model_id")
        .values_list("host__name", "revision__model__model_id")
    ):
        engines[host].append(engine)
    return [_describe_strayed(host, name, held) for host, held in engines.items()]


def _describe_strayed(host: str, name: str, engines: list[str]) -> str:
    more = f" and {len(engines) - MOST_NAMED} more" if len(engines) > MOST_NAMED else ""
    return (
        f"the files of {', '.join(engines[:MOST_NAMED])}{more} belong to the host {host}, and this machine runs as "
        f"{name}, so they answer nobody. If it is the same machine, stop and start with SAM_HOST_NAME={host}; "
        f"otherwise download them again with `sam download start`."
    )
