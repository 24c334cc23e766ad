"""``sam host``, ``fallback``, ``default``: the machines that run engines, and which engine answers whom."""

from __future__ import annotations

from typing import Annotated

import typer

from samproject.cli.client import name_in_path
from samproject.cli.completion import complete_models
from samproject.cli.errors import CommandError
from samproject.cli.session import Session, command, make_group, pick

host = make_group("Hosts: the machines that keep model files and run engines.")
fallback = make_group(
    "Fallback engines: what answers, and says so, when an engine cannot be made ready."
)
default = make_group("Engines of those who chose none: everybody's, or a group's.")

Name = Annotated[str, typer.Argument(help="The host's name.")]
Engine = Annotated[str, typer.Argument(help="The engine that fails; any means each one.")]
DEFAULT_HOURS = 24
ANY = "any"
EVERYBODY = "everybody"
Group = Annotated[
    str | None, typer.Option("--group", help="Only this group's; everybody's without it.")
]


@command(host, "list")
def list_hosts(session: Session) -> None:
    """Show the hosts."""
    hosts = session.api.rows("/hosts")
    rows = [[*pick(h, "name", "status", "last_seen", "cores"), len(h["gpus"])] for h in hosts]
    session.table(["host", "status", "last seen", "cores", "GPUs"], rows, hosts)


@command(host)
def invite(
    session: Session,
    name: Name,
    hours: Annotated[int, typer.Option(min=1, help="How long it is valid.")] = DEFAULT_HOURS,
) -> None:
    """Print a token with which one machine may join once under a name."""
    made = session.api.post(f"/hosts/{name_in_path(name)}/invite", {"hours": hours})
    session.show(made, made["token"])


@command(host, "show")
def show_host(session: Session, name: Name) -> None:
    """Show who needs what only this host holds, and every change of its status."""
    address = f"/hosts/{name_in_path(name)}"
    found = session.api.get(address)
    depends = session.api.get(f"{address}/dependents")
    events = session.api.get(f"{address}/events")
    session.say(f"{found['name']} is {found['status']}. {depends['sentence']}".rstrip())
    session.table(
        ["at", "from", "to", "who", "why"],
        [pick(event, "at", "from_status", "to_status", "who", "why") for event in events],
        {**found, "dependents": depends, "events": events},
    )


@command(host)
def drain(
    session: Session,
    name: Name,
    knowing: Annotated[
        bool, typer.Option("--knowing", help="Also when people need what it alone holds.")
    ] = False,
) -> None:
    """Let a host finish what it does and take nothing new."""
    moved = session.api.post(f"/hosts/{name_in_path(name)}/drain", {"knowing": knowing})
    session.show(moved, f"{name} is draining: it ends what it does and takes nothing new.")


@command(host)
def limit(
    session: Session,
    name: Name,
    limits: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[LIMIT=NUMBER]...",
            help="Such as plans=4 downloads=2 embedding_threads=1 memory_bytes=8000000000; "
            "one that is not named stays, 0 takes it away. Without any they are shown.",
        ),
    ] = None,
) -> None:
    """Set how much a host does at once, in all and for one person, and how much of it SAM may use."""
    address = f"/hosts/{name_in_path(name)}"
    found = session.api.get(address)
    if limits:
        wanted = {**found["limits"], **dict(map(_parse_limit, limits))}
        found = session.api.put(f"{address}/limits", wanted)
    rows = sorted(found["limits"].items())
    if not rows and not session.as_json:
        session.say(f"{name} has no limits.")
        return
    session.table(["limit", "at most"], rows, found["limits"])


def _parse_limit(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not number.isdecimal():
        raise CommandError(f"{text!r:.80} is no limit; write its name, = and a whole number.")
    return name, int(number)


@command(host)
def resume(session: Session, name: Name) -> None:
    """Take a draining host back into service."""
    moved = session.api.post(f"/hosts/{name_in_path(name)}/resume")
    session.show(moved, f"{name} is active again.")


@command(host)
def retire(session: Session, name: Name) -> None:
    """Let a drained host go for good."""
    moved = session.api.post(f"/hosts/{name_in_path(name)}/retire")
    session.show(moved, f"{name} is retired; stop its workers. A new token lets it join again.")


@command(fallback, "set")
def set_fallback(
    session: Session,
    engine: Engine,
    answers: Annotated[
        str | None,
        typer.Argument(help="What answers; without it the engine that each person used before."),
    ] = None,
) -> None:
    """Name what answers for an engine, or for any."""
    rule = session.api.put(f"/fallbacks/{name_in_path(engine)}", {"answers": answers})
    session.show(rule, f"{': '.join(_describe_rule(rule))}.")


@command(fallback)
def remove(session: Session, engine: Engine) -> None:
    """Let an engine's failure be an error again."""
    session.api.delete(f"/fallbacks/{name_in_path(engine)}")
    session.say("Removed.")


@command(fallback, "list")
def list_rules(session: Session) -> None:
    """Show the rules."""
    rules = session.api.rows("/fallbacks")
    session.table(["engine", "answered by"], map(_describe_rule, rules), rules)


@command(fallback)
def incidents(session: Session) -> None:
    """Show when an engine answered for another."""
    found = session.api.rows("/fallback-incidents", limit=50)
    session.table(
        ["engine", "answered by", "from", "to", "reason"],
        [
            (i["engine"], i["answered_by"], i["began_at"], i["ended_at"] or "now", i["reason"])
            for i in found
        ],
        found,
    )


@command(default, "show")
def show_defaults(session: Session) -> None:
    """Show everybody's default and those of groups."""
    found = session.api.rows("/defaults")
    rows = [(row["group"] or EVERYBODY, row["engine"]) for row in found]
    session.table(["for", "engine"], rows, found)


@command(default, "set")
def set_default(
    session: Session,
    engine: Annotated[
        str, typer.Argument(help="Its id in the catalog.", autocompletion=complete_models)
    ],
    group: Group = None,
) -> None:
    """Let an engine answer those who chose none."""
    made = session.api.put(_default_address(group), {"engine": engine})
    session.show(made, f"{engine} answers {group or EVERYBODY} now, unless somebody chose another.")


@command(default)
def clear(session: Session, group: Group = None) -> None:
    """Take a default away."""
    session.api.delete(_default_address(group))
    session.say(f"Cleared for {group or EVERYBODY}.")


def _default_address(group: str | None) -> str:
    return f"/defaults/groups/{name_in_path(group)}" if group else "/defaults/organisation"


def _describe_rule(rule: dict[str, str | None]) -> tuple[str, str]:
    engine = "any engine" if rule["engine"] == ANY else str(rule["engine"])
    return engine, rule["answers"] or "the person's previous engine"
