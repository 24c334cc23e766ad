"""The rows of backups."""

from __future__ import annotations

from tests.doors.door import Door

BY_RULE = (
    "A rule on the page prunes by itself; by hand it is for REST, the command line and the staff."
)
AFTER_A_LOSS = "It belongs to the work after a loss, which is done at the command line."
BACKUP, RULE = "migrations_app.backup", "migrations_app.backuprule"
RULES = "migrations_app.plans.backup_rules"

BACKUP_DOORS: dict[str, Door] = {
    "backups.start_backup": Door(
        ("api:backup-list",),
        ("backup make",),
        ("auth.user back_up", "engines.enginepreference back_up"),
        ("settings-backups",),
    ),
    "backups.start_restore": Door(
        ("api:backup-restore",),
        ("backup restore",),
        (f"{BACKUP} restore",),
        ("settings-backup-restore",),
    ),
    "backups.verify_backup": Door(
        ("api:backup-verify",),
        ("backup verify",),
        (f"{BACKUP} verify",),
        ("settings-backup-verify",),
    ),
    "backups.delete_backup": Door(
        ("api:backup-detail",),
        ("backup delete",),
        (f"{BACKUP} remove",),
        ("settings-backup-delete",),
    ),
    "backups.prune_backups": Door(
        ("api:backup-prune",), ("backup prune",), (f"{BACKUP} prune",), not_meant={"page": BY_RULE}
    ),
    "backups.find_backups": Door(
        ("api:backup-find",),
        ("backup find",),
        not_meant={"admin": AFTER_A_LOSS, "page": AFTER_A_LOSS},
    ),
    f"{RULES}.rule_for": Door(
        ("api:backup-rule", "api:organisation-backup-rule"),
        ("backup rule",),
        (RULE,),
        page=("settings-backups",),
    ),
    f"{RULES}.set_rule": Door(
        ("api:backup-rule", "api:organisation-backup-rule"),
        ("backup rule",),
        (RULE,),
        page=("settings-backups",),
    ),
    f"{RULES}.clear_rule": Door(
        ("api:backup-rule", "api:organisation-backup-rule"),
        ("backup rule",),
        (RULE,),
        page=("settings-backups",),
    ),
}
BACKUP_INNER: dict[str, str] = {
    f"{RULES}.needed_backups": "A list's question which of them stay whatever the rule says.",
    "backups.start_due_backups": "The clock calls it, and nobody else.",
    "backups.rotate_keys": "Who has the keys runs `manage.py rotate_backup_keys` beside them.",
}
