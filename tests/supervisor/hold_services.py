"""Start the embedded services in a folder, say so, and hold them until this process ends."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from samproject.supervisor.embedded import EmbeddedServices
from samproject.supervisor.locations import locate

with EmbeddedServices(locate(Path(sys.argv[1]))) as services:
    sys.stdout.write(" ".join(str(server.pid) for server in services.servers) + "\n")
    sys.stdout.flush()
    threading.Event().wait()
