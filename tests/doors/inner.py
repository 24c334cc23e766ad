"""Public functions of the front doors that no face reaches, and why."""

from __future__ import annotations

from tests.doors.backups import BACKUP_INNER
from tests.doors.folders import FOLDER_INNER
from tests.doors.moves import MOVE_INNER
from tests.doors.table import CONTROLLER, LIBRARY, SERVICES

FOR_PROGRAMS = "Programs of this process ask it; each face has its own query with pages."

INNER: dict[str, str] = {
    **BACKUP_INNER,
    **MOVE_INNER,
    **FOLDER_INNER,
    f"{SERVICES}.preferences.leaves_something_behind": "Asked before choose_preference, which refuses by it.",
    f"{CONTROLLER}.start_due_migrations": "The clock calls it, and nobody else.",
    f"{CONTROLLER}.execute_where_possible": "The clock and mass moves call it; a person is asked where to move a plan.",
    f"{LIBRARY}.get_available_models": FOR_PROGRAMS,
    f"{LIBRARY}.get_downloaded_models": FOR_PROGRAMS,
    f"{LIBRARY}.download_model": "It waits for the download's end; faces start one and look on.",
    "people.explain_not_deletable": "A part of deleting, which asks it first.",
    "people.explain_group_not_deletable": "A part of deleting, which asks it first.",
    "people.describe_belongings": "The admin's question before it deletes.",
    f"{SERVICES}.preferences.lock_preference": "A lock within a face's own transaction.",
    f"{SERVICES}.preferences.has_prompts": "A page's question whether an address leads anywhere.",
    f"{SERVICES}.preferences.prompt_families_of": "The families whose prompts a list shows.",
    f"{SERVICES}.defaults.validate_default": "A part of setting a default, for the admin's form.",
    f"{SERVICES}.tokens.find_owner": "How each door finds out who asks.",
    f"{SERVICES}.tokens.hash_token": "How each door finds out who asks.",
    f"{SERVICES}.tokens.with_token": "How each door finds out who asks.",
    f"{SERVICES}.tokens.note_use": "How each door finds out who asks.",
    f"{SERVICES}.usage.add_usage": "Counting, which an answer does by itself.",
    f"{SERVICES}.usage.check_quota": "Counting, which an answer does by itself.",
    f"{SERVICES}.usage.estimate_tokens": "Counting, which an answer does by itself.",
    f"{SERVICES}.usage.reserved_tokens": "Counting, which an answer does by itself.",
    f"{SERVICES}.usage.today": "A date.",
    f"{SERVICES}.usage.with_quota": "Counting, which an answer does by itself.",
    f"{SERVICES}.invitations.find_by_address": "A condition, asked where somebody is invited or given an address.",
    f"{SERVICES}.invitations.find_invitation": "A part of the page behind an invitation's link.",
    f"{SERVICES}.invitations.has_open_invitation": "A part of the organisation's own sign-in.",
    f"{SERVICES}.invitations.accept_for_address": "A part of the organisation's own sign-in.",
    f"{SERVICES}.roles.is_curator": "A condition, asked at every door.",
    f"{SERVICES}.roles.is_operator": "A condition, asked at every door.",
    f"{SERVICES}.roles.is_administrator": "A condition, asked at every door.",
    f"{SERVICES}.notices.count_unread": "A number beside the bell of every page.",
}
"""Public for other rooms of the code, and nothing that somebody does."""
