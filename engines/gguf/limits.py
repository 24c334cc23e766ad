"""How large a GGUF header may be before SAM refuses to read on.

Every number is above what published models need and below what would hurt: a hostile file costs
about a second and some dozen megabytes.
"""

from __future__ import annotations

MAX_HEADER_BYTES = 64 * 1024 * 1024
MAX_METADATA_ENTRIES = 65_536
MAX_TENSORS = 65_536
MAX_KEY_BYTES = 65_535
MAX_STRING_BYTES = 64 * 1024
MAX_TEMPLATE_BYTES = 1024 * 1024
MAX_ARRAY_TEXTS = 1_000_000
"""Texts in all arrays of a header together: vocabulary and merges."""
MAX_VOCABULARY = 524_288
MAX_DIMENSIONS = 4
MAX_ELEMENTS = 2**63 - 1
MAX_ALIGNMENT = 4096
MAX_TENSOR_NAME_BYTES = 63
MAX_BLOCKS = 512
KEPT_ARRAY_VALUES = 1024
"""Longer arrays (vocabularies) are checked and counted, not kept."""
