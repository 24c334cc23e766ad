"""`sam` as a program of its own, on a machine that knows nothing but an address."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = "import sys; from samproject.command_line import main; sys.argv[0] = 'sam'; main()"
PATIENCE = 120.0


@dataclass(frozen=True)
class Machine:
    """A person's computer: their home, and no database of SAM's."""

    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def login(self) -> Path:
        """Where `sam login` keeps who they are."""
        return self.home / "sam" / "login.json"

    def sam(
        self, *arguments: str, answers: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments],
            cwd=PROJECT,
            env=self._environment() | variables,
            input=answers,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            # Without a terminal of its own the password is read from the input.
            start_new_session=True,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command that is stopped with Ctrl-C."""
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            cwd=PROJECT,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # What runs the tests may have been started to ignore it.
            preexec_fn=_hear_ctrl_c,
        )

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {
            **kept,
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home),
            "SAM_DATA_DIR": str(self.home / "nothing"),
            **self.variables,
        }


def _hear_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
