"""The rows of watched folders of hosts."""

from __future__ import annotations

from tests.doors.door import Door

WATCHED, FOLDER = "engines.services.knowledge.watched.attaching", "engines.watchedfolder"

FOLDER_DOORS: dict[str, Door] = {
    f"{WATCHED}.attach_folder": Door(
        ("api:watched-folder-list",), ("folder add",), (FOLDER,), ("base-attach-folder",)
    ),
    f"{WATCHED}.detach_folder": Door(
        ("api:watched-folder-detail",),
        ("folder remove",),
        (f"{FOLDER} let_go",),
        ("base-folder",),
    ),
    f"{WATCHED}.look_now": Door(
        ("api:watched-folder-look-now",),
        ("folder look-now",),
        (f"{FOLDER} look_at",),
        ("base-folder",),
    ),
    f"{WATCHED}.folders_visible_to": Door(
        ("api:watched-folder-list",), ("folder list",), (FOLDER,), ("base",)
    ),
}
FOLDER_INNER: dict[str, str] = {
    f"{WATCHED}.may_direct": "A condition, asked at every door.",
    f"{WATCHED}.validate_folder": "A part of attaching a folder, for the admin's form.",
}
