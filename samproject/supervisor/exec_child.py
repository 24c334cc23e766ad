"""Run as a script: become another user, tie this process to its parent's life, become the command.

usage: exec_child.py SIGNAL PARENT_PID UID:GID[:GROUP...]|- COMMAND [ARGUMENT...]

The kernel sends SIGNAL when the parent's starting thread ends, even by SIGKILL. The order matters:
changing the user clears that wish, exec keeps it. Standard library only, for a start in 20 ms.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(death_signal: str, parent: str, owner: str, *command: str) -> None:
    """Prepare this process and become ``command``; never returns."""
    # Whatever the user's own is: logs, vectors and adapters are nobody else's business.
    os.umask(0o077)
    if owner != "-":
        _become(*(int(part) for part in owner.split(":")))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl refused PR_SET_PDEATHSIG")
    if os.getppid() != int(parent):
        # The parent died before the wish was registered: nobody will ever stop this process.
        sys.exit("The supervisor is gone.")
    os.execv(command[0], command)  # noqa: S606 - becoming the given command is the whole purpose


def _become(uid: int, gid: int, *groups: int) -> None:
    os.setgroups(groups)
    os.setgid(gid)
    os.setuid(uid)


if __name__ == "__main__":
    main(*sys.argv[1:])
