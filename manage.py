#!/usr/bin/env python
"""SAM's command line, run from the repository."""

from __future__ import annotations

from samproject.command_line import main

if __name__ == "__main__":
    main()
