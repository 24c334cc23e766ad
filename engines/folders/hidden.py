"""Which names of files and folders are none that people see: nothing of them is read."""

from __future__ import annotations

OF_SYSTEMS = frozenset(
    {".ds_store", "__macosx", "icon\r", "thumbs.db", "ehthumbs.db", "desktop.ini"}
)
"""What macOS and Windows keep beside people's files, where nobody sees it."""
_SYSTEMS_PREFIXES = ("._", "~$")
"""Begin the names of what macOS keeps of a file, and of what tells Office's users that a document is open."""
HIDDEN_PREFIXES = (".", *_SYSTEMS_PREFIXES)


def is_of_system(name: str) -> bool:
    """Whether a file or folder of this name was laid there by a program for itself."""
    return name.lower() in OF_SYSTEMS or name.startswith(_SYSTEMS_PREFIXES)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is none that people see."""
    return name.startswith(HIDDEN_PREFIXES) or name.lower() in OF_SYSTEMS
