"""The rows of backups."""

from __future__ import annotations

from tests.doors.door import Door

RARE = "It is done rarely and with care: by REST, the command line, or the staff."
NEEDS_A_NAME = "It begins with a person and not with a backup: by REST or the command line."
AFTER_A_LOSS = "It belongs to the work after a loss, which is done at the command line."
BACKUP, RULE = "migrations_app.backup", "migrations_app.backuprule"
RULES = "migrations_app.plans.backup_rules"

BACKUP_DOORS: dict[str, Door] = {
    "backups.start_backup": Door(
        ("api:backup-list",), ("backup make",), not_meant={"admin": NEEDS_A_NAME, "page": RARE}
    ),
    "backups.start_restore": Door(
        ("api:backup-restore",),
        ("backup restore",),
        (f"{BACKUP} restore",),
        not_meant={"page": RARE},
    ),
    "backups.verify_backup": Door(
        ("api:backup-verify",), ("backup verify",), (f"{BACKUP} verify",), not_meant={"page": RARE}
    ),
    "backups.delete_backup": Door(
        ("api:backup-detail",), ("backup delete",), (f"{BACKUP} remove",), not_meant={"page": RARE}
    ),
    "backups.prune_backups": Door(
        ("api:backup-prune",), ("backup prune",), (f"{BACKUP} prune",), not_meant={"page": RARE}
    ),
    "backups.find_backups": Door(
        ("api:backup-find",),
        ("backup find",),
        not_meant={"admin": AFTER_A_LOSS, "page": RARE},
    ),
    f"{RULES}.rule_for": Door(
        ("api:backup-rule", "api:organisation-backup-rule"),
        ("backup rule",),
        (RULE,),
        not_meant={"page": RARE},
    ),
    f"{RULES}.set_rule": Door(
        ("api:backup-rule", "api:organisation-backup-rule"),
        ("backup rule",),
        (RULE,),
        not_meant={"page": RARE},
    ),
    f"{RULES}.clear_rule": Door(
        ("api:backup-rule", "api:organisation-backup-rule"),
        ("backup rule",),
        (RULE,),
        not_meant={"page": RARE},
    ),
}
BACKUP_INNER: dict[str, str] = {
    "backups.start_due_backups": "The clock calls it, and nobody else.",
    "backups.rotate_keys": "Who has the keys runs `manage.py rotate_backup_keys` beside them.",
}
