"""What reading one file may cost. Each limit has its sentence where it is held."""

from __future__ import annotations

MIB = 1024 * 1024
MAX_TEXT_BYTES = 50_000_000
"""Of the text that is in a file, and of a file that is text itself."""
MAX_FILE_BYTES = 50_000_000
HEAD_BYTES = 4096
"""Of a file, by which it is told what it is."""
READ_SECONDS = 60.0
MEMORY_BYTES = 1024 * MIB
"""Private memory of the process that reads, its libraries included."""
MAX_PAGES = 3_000
"""Of a PDF; the thickest handbooks have half of it."""
MAX_MEMBERS = 1_000
"""Of an archive, and of the parts that an office document is packed of times ten."""
MAX_PARTS = 10_000
MAX_DIRECTORY_BYTES = MIB
"""Of an archive's list of names, before it is read: a thousand names are far below."""
MAX_UNPACKED_BYTES = 200 * MIB
MAX_RATIO = 100
"""Unpacked to packed, of one member that is not small; prose has 2 to 10."""
SMALL_BYTES = MIB
MAX_CELLS = 2_000_000
"""Of one sheet, from its first used cell to its last."""
MAX_DEPTH = 200
"""Of nested JSON."""
MAX_NESTED_TAGS = 2_000
"""Of HTML: the time of its parser grows with the square of the depth. Browsers stop at 512."""
MAX_OPTIONS = 10_000
"""Of HTML's lists to choose from: the time of its parser grows with the square of their number."""
MAX_ENCLOSED = 2
"""How deep mails in mails, and what is attached to them, are followed."""
MAX_PLACES = 5_000
"""Pages, rows and the like that are kept of one document."""
