"""``manage.py host``: invite, look at, drain, take back and retire the machines that run engines."""

from __future__ import annotations

from django.core.management.base import CommandParser

from engines.models import Host
from engines.services.hosts import DEFAULT_HOURS, find_host, invite_host
from migrations_app.controller import SYSTEM
from migrations_app.hosts import drain_host, resume_host, retire_host, sole_holder_impact
from migrations_app.management.console import ActionCommand


class Command(ActionCommand):
    help = "Hosts: the machines that keep model files and run engines."
    actions_help = {
        "list": "Show the hosts.",
        "invite": "Print a token with which one machine may join once under a name.",
        "show": "Show who needs what only this host holds, and every change of its status.",
        "drain": "Let a host finish what it does and take nothing new.",
        "resume": "Take a draining host back into service.",
        "retire": "Let a drained host go for good.",
    }

    def _name(self, parser: CommandParser) -> None:
        parser.add_argument("name")

    arguments_show = arguments_resume = arguments_retire = _name

    def arguments_invite(self, parser: CommandParser) -> None:
        self._name(parser)
        parser.add_argument(
            "--hours", type=int, default=DEFAULT_HOURS, help="How long it is valid."
        )

    def arguments_drain(self, parser: CommandParser) -> None:
        self._name(parser)
        parser.add_argument(
            "--knowing", action="store_true", help="Also when people need what it alone holds."
        )

    def do_list(self) -> None:
        self.table(
            ["host", "status", "last seen", "cores", "GPUs"],
            [
                (host.name, host.status, host.last_seen, host.cores, len(host.gpus))
                for host in Host.objects.order_by("name")
            ],
        )

    def do_invite(self, name: str, hours: int) -> None:
        token, _ = invite_host(name, who=SYSTEM, hours=hours)
        self.say(token)

    def do_show(self, name: str) -> None:
        host = find_host(name)
        self.say(f"{host.name} is {host.status}. {sole_holder_impact(host).sentence}".rstrip())
        self.table(
            ["at", "from", "to", "who", "why"],
            [
                (f"{event.at:%F %T}", event.from_status, event.to_status, event.who, event.why)
                for event in host.events.order_by("id")
            ],
        )

    def do_drain(self, name: str, *, knowing: bool) -> None:
        host = find_host(name)
        drain_host(host, who=SYSTEM, force=knowing)
        self.say(f"{host.name} is draining: it ends what it does and takes nothing new.")

    def do_resume(self, name: str) -> None:
        host = resume_host(find_host(name), who=SYSTEM)
        self.say(f"{host.name} is active again.")

    def do_retire(self, name: str) -> None:
        host = retire_host(find_host(name), who=SYSTEM)
        self.say(f"{host.name} is retired; stop its workers. A new token lets it join again.")
