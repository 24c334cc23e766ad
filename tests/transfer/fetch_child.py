"""A real process that downloads: ``python -m tests.transfer.fetch_child ENDPOINT DESTINATION [LIMIT]``.

LIMIT caps the size of any file it writes, in bytes, as a full disk would.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from engines.exceptions import SamError
from engines.network.guard import allow_places, place_of_url
from engines.transfer.download import download
from engines.transfer.hub import resolve_file
from tests.transfer.support import NAME, QUICK, REPO, ignore, never


def main() -> None:
    endpoint, destination, *limit = sys.argv[1:]
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit[0]), int(limit[0])))
    allow_places([place_of_url(endpoint)])
    remote = resolve_file(REPO, NAME, endpoint=endpoint)
    try:
        download(remote, Path(destination), progress=ignore, cancelled=never, options=QUICK)
    except SamError as error:
        sys.exit(f"{error.code}: {error}")


if __name__ == "__main__":
    main()
