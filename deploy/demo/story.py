"""The quickstart from its first line to its verdict."""

from __future__ import annotations

import shlex
import signal
import threading
from collections.abc import Callable, Mapping
from types import FrameType

from rich.console import Console

from deploy.demo.acts import play
from deploy.demo.models.engine_files import NEW, OLD, REAL, ensure_engine_files
from deploy.demo.models.weights import ensure_weights
from deploy.demo.people import PASSWORDS_FILE, People, ensure_people, forget_requests
from deploy.demo.proofs.cosines import TOLERANCE, Cosines
from deploy.demo.proofs.phases import phased_facts
from deploy.demo.proofs.proofs import all_proofs
from deploy.demo.proofs.report import print_phases, print_proofs
from deploy.demo.servers import hub, servers
from deploy.demo.site import Site
from deploy.demo.stage import Cast, cast, set_stage
from samproject.supervisor.roster import FLOWER_USER


def run(console: Console, site: Site, environment: Mapping[str, str], *, once: bool) -> bool:
    """Play it all; True when every proof held. Without ``once`` the servers run until Ctrl-C."""
    console.print(f"[bold]Data folder:[/] {site.data}")
    console.print(
        f"[bold]Engines:[/] {OLD.display_name} of random weights, {NEW.display_name}, and MiniLM"
    )
    for weights in REAL:
        ensure_weights(weights, site.demo)
    ensure_engine_files(site.hub_root, site.demo)
    console.print("[bold]Servers:[/]")
    with hub(site, environment) as address, servers(site, environment, _sayer(console)):
        people = ensure_people(site.demo)
        with cast(console, site, address, people) as actors:
            held = _prove(actors)
        forget_requests()
        if not once:
            print_addresses(console, site, people)
            _wait_for_ctrl_c(console)
    console.print("Everything is stopped.")
    if once:
        again = shlex.join(["bash", "deploy/quickstart.sh", "--data-dir", str(site.data)])
        console.print("To look around and sign in, start it again without --once:")
        console.print(f"  {again}", markup=False, soft_wrap=True)
    return held


def _prove(actors: Cast) -> bool:
    console = actors.console
    stage = set_stage(actors)
    recording = play(actors, stage)
    console.print("\n[bold]Proofs:[/] computing cosines and tokens in a separate process …")
    cosines = Cosines(actors.site.hub_root, recording.searches)
    phases = phased_facts(recording, stage.bases, cosines)
    proofs = all_proofs(actors, stage, recording, cosines)
    print_phases(console, phases)
    console.print("Scores are cosines; ± is the largest distance to one computed with ", end="")
    console.print(f"llama-cpp-python in a separate process (allowed: {TOLERANCE}).")
    print_proofs(console, proofs)
    verdicts = [*(row.holds for row in phases), *(proof.holds for proof in proofs)]
    failed, total = verdicts.count(False), len(verdicts)
    if failed:
        console.print(f"[bold red]{failed} of {total} did not hold.[/]")
    else:
        console.print(f"[bold green]All {total} held.[/]")
    return not failed


def _sayer(console: Console) -> Callable[[str], None]:
    def say(part: str) -> None:
        console.print(f"  [green]✓[/] {part}")

    return say


def print_addresses(console: Console, site: Site, people: People) -> None:
    """Tell a newcomer where to click, and as whom."""
    rows = [
        ("Home", f"{site.web}/"),
        ("Chat", f"{site.web}/chat/"),
        ("Admin", f"{site.web}/admin/"),
        ("API documentation", f"{site.web}/api/docs/"),
        ("Flower", f"{site.flower}/"),
        ("", f"user {FLOWER_USER}, password in {site.data / 'flower-password'}"),
    ]
    console.print()
    for name, address in rows:
        console.print(f"{name:<18} {address}", markup=False, soft_wrap=True)
    console.print("\n[bold]Sign in as[/]")
    for user, password in people.passwords.items():
        console.print(f"{user:<18} password {password}", markup=False, soft_wrap=True)
    console.print(
        f"For this demonstration only; they stay the same in this data folder, in "
        f"{site.demo / PASSWORDS_FILE}.",
        soft_wrap=True,
    )


def _wait_for_ctrl_c(console: Console) -> None:
    """Wait for SIGINT or SIGTERM, then let the servers end in order."""
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    console.print("The servers keep running; Ctrl-C stops them.")
    while not stopped.wait(1.0):
        pass
