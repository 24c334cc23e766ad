"""``manage.py up``: everything SAM needs on this machine, until Ctrl-C."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser
from django.db import OperationalError, connections

from engines.db.session_locks import in_turn
from engines.runtimes.child.sandbox import missing_parts
from engines.services.hosts import admit_host, join_host
from migrations_app.management.console import SamCommand, parse_options
from samproject.database.newer import refuse_newer_database
from samproject.generated_secrets import generated_secret
from samproject.management.first_steps import announce_flower, announce_web, find_files_of_others
from samproject.supervisor.belongings import (
    environment_for,
    process_user,
    reasons_to_stay_root,
    take_possession,
)
from samproject.supervisor.embedded import EmbeddedServices
from samproject.supervisor.errors import SupervisorError
from samproject.supervisor.processes import Child
from samproject.supervisor.roster import WORKERS, Site, Wishes, inherited_environment, roster
from samproject.supervisor.site import site_belongings
from samproject.supervisor.supervise import Notice, Supervisor
from samproject.supervisor.users import ServiceUser

FLOWER_HOST = "127.0.0.1"
MIGRATION_LOCK = 0x53414D02
"""Any number that no other advisory lock of this database has."""


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What to run on this machine, and where it listens."""

    host: str
    port: int
    flower_port: int
    web: bool
    beat: bool
    flower: bool
    workers: list[str]
    services_only: bool


class Command(SamCommand):
    help = (
        "Start SAM on this machine and keep it running until Ctrl-C: its own PostgreSQL and Redis "
        "(unless DATABASE_URL and REDIS_URL are set), web, workers, beat and Flower."
    )

    # Each process checks what it loads; the supervisor itself serves no addresses.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Add what to run and where it listens."""
        parser.add_argument("--host", default="127.0.0.1", help="address of the web server")
        parser.add_argument("--port", type=int, default=8000, help="port of the web server")
        parser.add_argument("--flower-port", type=int, default=5555, help="port of Flower")
        parser.add_argument(
            "--no-web", dest="web", action="store_false", help="leave the web server out"
        )
        parser.add_argument("--no-beat", dest="beat", action="store_false", help="leave beat out")
        parser.add_argument(
            "--no-flower", dest="flower", action="store_false", help="leave Flower out"
        )
        parser.add_argument(
            "--workers", nargs="*", choices=WORKERS, default=list(WORKERS), help="workers to run"
        )
        parser.add_argument(
            "--services-only", action="store_true", help="only the embedded PostgreSQL and Redis"
        )

    def run(self, options: Mapping[str, object]) -> None:
        """Run until SIGINT, SIGTERM or SIGHUP; exits 1 with a sentence when it cannot start."""
        asked = parse_options(UpOptions, options)
        supervisor = Supervisor(self.say, settings.SAM_RESTART_SECONDS)
        supervisor.listen_to_signals()
        # Logs are written by the supervisor itself.
        os.umask(0o077)
        services = EmbeddedServices(
            settings.SAM_LOCATIONS,
            postgres=settings.SAM_EMBEDDED_POSTGRES,
            redis=settings.SAM_EMBEDDED_REDIS,
        )
        with services:
            for server in services.servers:
                self.say(f"{server.name}: running (process {server.pid})")
            children = self._children(asked)
            supervisor.run(services.servers, children, _notices(asked) if children else [])
        self.say("SAM has stopped.")

    def _children(self, asked: UpOptions) -> list[Child]:
        if asked.services_only:
            return []
        _check_ports(asked)
        self._migrate()
        if {"work", "live"} & set(asked.workers):
            self._admit(is_control="control" in asked.workers)
        site = _site(self._hand_over(asked), asked)
        if site.origin:
            given = inherited_environment().get("SAM_ORIGIN", site.origin)
            settings.SAM_LOCATIONS.origin.write_text(given)
        children = [Child(program) for program in roster(site, _wishes(asked))]
        self.say("starting; the addresses follow when they answer")
        return children

    def _hand_over(self, asked: UpOptions) -> ServiceUser | None:
        """Give SAM's processes what is theirs; say what protects this machine less than it could."""
        belongings = site_belongings(asked.port, serves=asked.web)
        postgres_data = settings.SAM_LOCATIONS.postgres_data
        for sentence in missing_parts():
            self.say(f"warning: {sentence}")
        for sentence in reasons_to_stay_root(postgres_data, belongings):
            self.say(f"warning: web and workers run as root. {sentence}")
        user = process_user(postgres_data, belongings)
        take_possession(belongings, user)
        if user is not None:
            self.say(f"web and workers run as user {user.name}")
        return user

    def _migrate(self) -> None:
        try:
            # Hosts that start together take turns: two cannot make the same table.
            with in_turn(MIGRATION_LOCK):
                refuse_newer_database()
                call_command("migrate", interactive=False, verbosity=0)
        except OperationalError as error:
            raise CommandError(
                f"The database does not answer: {error}. Check DATABASE_URL."
            ) from error
        finally:
            connections.close_all()
        self.say("database: tables are up to date")

    def _admit(self, *, is_control: bool) -> None:
        """Have this machine's host known before its workers start; HostRefusedError without a right to it.

        A machine that runs SAM's control plane holds everything already; any other one needs a token.
        """
        name = settings.SAM_HOST_NAME
        try:
            if is_control:
                admit_host(name, who="manage.py up", why="It runs SAM's control plane.")
            else:
                join_host(name, settings.SAM_JOIN_TOKEN)
            if settings.SAM_EMBEDDED_POSTGRES:
                settings.SAM_LOCATIONS.host_name.write_text(name)
                for sentence in find_files_of_others(name):
                    self.say(f"warning: {sentence}")
        finally:
            connections.close_all()

    def say(self, sentence: str) -> None:
        """Write one line at once: somebody waits for it."""
        super().say(sentence)
        self.stdout.flush()


def _notices(asked: UpOptions) -> list[Notice]:
    about = [announce_web(asked.host, asked.port)] if asked.web else []
    return [*about, announce_flower(FLOWER_HOST, asked.flower_port)] if asked.flower else about


def _check_ports(asked: UpOptions) -> None:
    """Raise SupervisorError for a port in use: its server would be started again for ever."""
    if asked.web:
        _check_port(asked.host, asked.port, "--port")
    if asked.flower:
        _check_port(FLOWER_HOST, asked.flower_port, "--flower-port")


def _check_port(host: str, port: int, option: str) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # As the servers do: a port whose last connections still end is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SupervisorError(
            f"SAM cannot listen on {host}:{port} ({reason}); choose another with {option}."
        ) from error


def _site(user: ServiceUser | None, asked: UpOptions) -> Site:
    home = settings.SAM_DATA_DIR
    return Site(
        user=user,
        extra=environment_for(user, home, inherited_environment()) if user is not None else {},
        project=settings.BASE_DIR,
        logs=settings.SAM_LOCATIONS.logs,
        host_name=settings.SAM_HOST_NAME,
        settings_module=settings.SETTINGS_MODULE,
        origin=f"http://{asked.host}:{asked.port}" if asked.web else "",
    )


def _wishes(asked: UpOptions) -> Wishes:
    return Wishes(
        web_host=asked.host,
        web_port=asked.port if asked.web else 0,
        flower_port=asked.flower_port if asked.flower else 0,
        flower_password=generated_secret(settings.SAM_DATA_DIR / "flower-password"),
        workers=asked.workers,
        beat=asked.beat,
    )
