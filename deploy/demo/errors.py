"""What stops the quickstart, with a sentence for its user."""

from __future__ import annotations

from engines.exceptions import SamError


class DemoError(SamError):
    """The quickstart cannot go on; the sentence says why and where to look."""

    code = "quickstart_stopped"
