"""Which face reaches which door: one row for each public method of the system's front doors.

A face is REST, the command line, the admin or people's pages. What a face does not offer says why.
"""

from __future__ import annotations

from tests.doors.backups import BACKUP_DOORS
from tests.doors.door import (
    BROWSER,
    BY_A_LINK,
    IN_A_FORM,
    ON_DISK,
    OWN,
    STAFF,
    Door,
)
from tests.doors.folders import FOLDER_DOORS
from tests.doors.moves import MOVE_DOORS

CONTROLLER, LIBRARY = "controller.MigrationController", "library.ModelLibraryManager"
SERVICES = "engines.services.people"
ENTRY, PLAN, USER, HOST = "engines.catalogmodel", "migrations_app.plan", "auth.user", "engines.host"

DOORS: dict[str, Door] = {
    f"{CONTROLLER}.create_migration_plan": Door(
        ("api:plan-list",), ("plan create",), (f"{USER} move_people",), ("migrate",)
    ),
    **MOVE_DOORS,
    **FOLDER_DOORS,
    f"{CONTROLLER}.create_re_embed_plan": Door(
        ("api:knowledge-base-re-embed",),
        ("plan re-embed",),
        page=("base-anew",),
        not_meant={"admin": OWN},
    ),
    f"{CONTROLLER}.preview_migration": Door(
        ("api:plan-preview",), ("plan preview",), (PLAN,), ("migrate-confirm",)
    ),
    f"{CONTROLLER}.change_migration": Door(
        ("api:plan-detail",), ("plan change",), page=("migrate-options",), not_meant={"admin": OWN}
    ),
    f"{CONTROLLER}.execute_migration": Door(
        ("api:plan-execute",), ("plan execute",), (f"{PLAN} execute",), ("migrate-confirm",)
    ),
    f"{CONTROLLER}.get_migration_status": Door(
        ("api:plan-detail", "api:plan-progress"), ("plan status",), (PLAN,), ("migrate-progress",)
    ),
    f"{CONTROLLER}.cancel_migration": Door(
        ("api:plan-cancel",), ("plan cancel",), (f"{PLAN} cancel",), ("plan",)
    ),
    f"{CONTROLLER}.pause_migration": Door(
        ("api:plan-pause",), ("plan pause",), (f"{PLAN} pause",), ("engine-download",)
    ),
    f"{CONTROLLER}.resume_migration": Door(
        ("api:plan-resume",), ("plan resume",), (f"{PLAN} resume",), ("engine-download",)
    ),
    f"{CONTROLLER}.roll_back_migration": Door(
        ("api:plan-roll-back",), ("plan roll-back",), (f"{PLAN} roll_back",), ("plan",)
    ),
    f"{CONTROLLER}.retry_step": Door(
        ("api:plan-retry",), ("plan retry",), (f"{PLAN} retry",), not_meant={"page": STAFF}
    ),
    f"{CONTROLLER}.abandon_migration": Door(
        ("api:plan-abandon",), ("plan abandon",), (f"{PLAN} abandon",), not_meant={"page": STAFF}
    ),
    f"{CONTROLLER}.move_migration": Door(
        ("api:plan-move",), ("plan move",), (f"{PLAN} move",), not_meant={"page": STAFF}
    ),
    f"{CONTROLLER}.legal_actions": Door(("api:plan-detail",), ("plan status",), (PLAN,), ("plan",)),
    f"{LIBRARY}.get_model_status": Door(
        ("api:catalog-status",), ("download status",), (ENTRY,), not_meant={"page": STAFF}
    ),
    f"{LIBRARY}.start_download": Door(
        ("api:download-list",),
        ("download start",),
        (f"{ENTRY} download",),
        not_meant={"page": STAFF},
    ),
    f"{LIBRARY}.get_download_progress": Door(
        ("api:catalog-status",), ("download status",), (PLAN,), not_meant={"page": STAFF}
    ),
    f"{LIBRARY}.cancel_download": Door(
        ("api:catalog-cancel-download",),
        ("download cancel",),
        (f"{PLAN} cancel",),
        not_meant={"page": STAFF},
    ),
    f"{LIBRARY}.pause_download": Door(
        ("api:catalog-pause-download",), ("download pause",), (f"{PLAN} pause",), ("engine-files",)
    ),
    f"{LIBRARY}.resume_download": Door(
        ("api:catalog-resume-download",),
        ("download resume",),
        (f"{PLAN} resume",),
        ("engine-files",),
    ),
    f"{LIBRARY}.delete_model": Door(
        ("api:catalog-delete-files",),
        ("download delete",),
        (f"{ENTRY} delete_files",),
        not_meant={"page": STAFF},
    ),
    f"{LIBRARY}.verify_model": Door(
        ("api:catalog-verify",),
        ("download verify",),
        (f"{ENTRY} verify_files",),
        not_meant={"page": STAFF},
    ),
    f"{LIBRARY}.clear_unsafe": Door(
        ("api:catalog-clear-unsafe",),
        ("download clear-unsafe",),
        ("engines.modelcopy clear_unsafe",),
        not_meant={"page": STAFF},
    ),
    f"{LIBRARY}.try_model": Door(
        ("api:catalog-try-model",), ("catalog try",), (ENTRY,), not_meant={"page": STAFF}
    ),
    f"{LIBRARY}.delete_entry": Door(
        ("api:catalog-detail",), ("catalog delete",), (ENTRY,), not_meant={"page": STAFF}
    ),
    f"{LIBRARY}.import_catalog": Door(
        ("api:catalog-file",),
        ("catalog import", "catalog starter", "catalog add"),
        (ENTRY,),
        not_meant={"page": STAFF},
    ),
    f"{LIBRARY}.add_file": Door(
        sam=("catalog add",),
        not_meant={"rest": ON_DISK, "admin": ON_DISK, "page": STAFF},
    ),
    f"{LIBRARY}.export_catalog": Door(
        ("api:catalog-file",),
        ("catalog export",),
        (f"{ENTRY} export_json",),
        not_meant={"page": STAFF},
    ),
    "hosts.sole_holder_impact": Door(
        ("api:host-dependents",), ("host show",), (HOST,), not_meant={"page": STAFF}
    ),
    "hosts.limit_host": Door(
        ("api:host-limits",), ("host limit",), (HOST,), not_meant={"page": STAFF}
    ),
    "hosts.drain_host": Door(
        ("api:host-drain",), ("host drain",), (f"{HOST} drain",), not_meant={"page": STAFF}
    ),
    "hosts.resume_host": Door(
        ("api:host-resume",), ("host resume",), (f"{HOST} resume",), not_meant={"page": STAFF}
    ),
    "hosts.retire_host": Door(
        ("api:host-retire",), ("host retire",), (f"{HOST} retire",), not_meant={"page": STAFF}
    ),
    "people.deactivate_person": Door(
        ("api:person-deactivate",),
        ("people deactivate",),
        (f"{USER} deactivate",),
        not_meant={"page": STAFF},
    ),
    "people.reactivate_person": Door(
        ("api:person-reactivate",),
        ("people reactivate",),
        (f"{USER} reactivate",),
        not_meant={"page": STAFF},
    ),
    "people.grant_role": Door(
        ("api:person-role",), ("role grant",), not_meant={"admin": IN_A_FORM, "page": STAFF}
    ),
    "people.revoke_role": Door(
        ("api:person-role",), ("role revoke",), not_meant={"admin": IN_A_FORM, "page": STAFF}
    ),
    "people.replace_roles": Door(
        admin=(USER,),
        not_meant={
            "rest": "Roles are given and taken one by one, so that two requests do not undo each other.",
            "sam": "`sam role` gives and takes one at a time.",
            "page": STAFF,
        },
    ),
    "people.delete_person": Door(
        ("api:person-detail",), ("people delete",), (USER,), not_meant={"page": STAFF}
    ),
    "people.delete_adapter": Door(
        ("api:adapter-detail",),
        ("adapter delete",),
        page=("settings-adapter-delete",),
        not_meant={"admin": OWN},
    ),
    "people.delete_group": Door(
        admin=("auth.group",), not_meant={"rest": IN_A_FORM, "sam": IN_A_FORM, "page": STAFF}
    ),
    f"{SERVICES}.preferences.preference_of": Door(
        ("api:preferences",), ("preference show",), ("engines.enginepreference",), ("home",)
    ),
    f"{SERVICES}.preferences.choose_preference": Door(
        ("api:preferences",),
        ("preference choose",),
        not_meant={
            "admin": OWN,
            "page": "The page's way to another engine is a plan, which asks nothing when nothing has to move.",
        },
    ),
    f"{SERVICES}.preferences.prompts_of": Door(
        ("api:prompts", "api:family-prompts"),
        ("preference prompts",),
        page=("settings-prompts",),
        not_meant={"admin": OWN},
    ),
    f"{SERVICES}.preferences.edit_prompts": Door(
        ("api:family-prompts",),
        ("preference prompts",),
        page=("settings-family",),
        not_meant={"admin": OWN},
    ),
    f"{SERVICES}.preferences.set_template": Door(
        ("api:prompt-template-detail",),
        ("template set",),
        ("engines.prompttemplate",),
        not_meant={"page": STAFF},
    ),
    f"{SERVICES}.defaults.set_default": Door(
        ("api:organisation-default", "api:group-default"),
        ("default set",),
        ("engines.enginedefault",),
        not_meant={"page": STAFF},
    ),
    f"{SERVICES}.defaults.clear_default": Door(
        ("api:organisation-default", "api:group-default"),
        ("default clear",),
        ("engines.enginedefault",),
        not_meant={"page": STAFF},
    ),
    f"{SERVICES}.fallbacks.set_fallback": Door(
        ("api:fallback-detail",),
        ("fallback set",),
        ("engines.enginefallback",),
        not_meant={"page": STAFF},
    ),
    f"{SERVICES}.tokens.create_token": Door(
        ("api:token-list",), ("token",), page=("settings-tokens",), not_meant={"admin": OWN}
    ),
    f"{SERVICES}.tokens.end_tokens": Door(
        ("api:token-detail",), ("tokens",), (f"{USER} end_tokens",), ("settings-token-end",)
    ),
    f"{SERVICES}.usage.usage_rows": Door(
        ("api:usage-list",), ("usage show",), ("engines.tokenusage",), ("settings-usage",)
    ),
    f"{SERVICES}.usage.set_quota": Door(
        ("api:quota-detail",), ("usage limit",), ("engines.tokenquota",), not_meant={"page": STAFF}
    ),
    f"{SERVICES}.usage.remove_quota": Door(
        ("api:quota-detail",),
        ("usage unlimit",),
        ("engines.tokenquota",),
        not_meant={"page": STAFF},
    ),
    f"{SERVICES}.invitations.invite_person": Door(
        ("api:invitation-list",),
        ("people invite",),
        ("engines.invitation",),
        not_meant={"page": STAFF},
    ),
    f"{SERVICES}.invitations.revoke_invitation": Door(
        ("api:invitation-detail",),
        ("people revoke",),
        ("engines.invitation revoke",),
        not_meant={"page": STAFF},
    ),
    f"{SERVICES}.invitations.accept_invitation": Door(
        page=("join",), not_meant={"rest": BY_A_LINK, "sam": BY_A_LINK, "admin": BY_A_LINK}
    ),
    f"{SERVICES}.roles.roles_of": Door(
        ("api:me", "api:person-list"),
        ("whoami", "people roles", "role list"),
        (USER,),
        ("settings-account",),
    ),
    f"{SERVICES}.notices.notices_of": Door(
        ("api:notice-list",), ("notices",), page=("notices",), not_meant={"admin": OWN}
    ),
    f"{SERVICES}.notices.mark_read": Door(
        ("api:notice-read",), ("notices",), page=("notice",), not_meant={"admin": OWN}
    ),
    f"{SERVICES}.notices.mark_all_read": Door(
        ("api:notice-read-all",), ("notices",), page=("notices",), not_meant={"admin": OWN}
    ),
    f"{SERVICES}.notices.choices_of": Door(
        ("api:notice-choices",),
        page=("settings-preferences",),
        not_meant={"sam": BROWSER, "admin": OWN},
    ),
    f"{SERVICES}.notices.set_choices": Door(
        ("api:notice-choices",),
        page=("settings-preferences",),
        not_meant={"sam": BROWSER, "admin": OWN},
    ),
    **{
        f"{SERVICES}.search_history.{name}": Door(
            ("api:search-history",),
            page=(page,),
            not_meant={"sam": BROWSER, "admin": OWN},
        )
        for name, page in (
            ("is_history_kept", "settings-preferences"),
            ("searches_of", "settings-preferences"),
            ("set_history_kept", "settings-searches"),
        )
    },
    f"{SERVICES}.conversations.create_conversation": Door(
        ("api:conversation-list",), ("chat",), page=("chat",), not_meant={"admin": OWN}
    ),
    f"{SERVICES}.conversations.find_conversations": Door(
        ("api:conversation-list",),
        ("conversations list", "conversations search"),
        page=("chat",),
        not_meant={"admin": OWN},
    ),
    f"{SERVICES}.conversations.rename_conversation": Door(
        ("api:conversation-detail",),
        ("conversations rename",),
        page=("conversation-rename",),
        not_meant={"admin": OWN},
    ),
    f"{SERVICES}.conversations.delete_conversation": Door(
        ("api:conversation-detail",),
        ("conversations delete",),
        page=("conversation-delete",),
        not_meant={"admin": OWN},
    ),
    f"{SERVICES}.sessions.list_sessions": Door(
        ("api:sessions",), ("sessions",), page=("settings-sessions",), not_meant={"admin": OWN}
    ),
    f"{SERVICES}.sessions.end_session": Door(
        ("api:session",), ("sessions",), page=("settings-sessions",), not_meant={"admin": OWN}
    ),
    f"{SERVICES}.sessions.end_sessions": Door(
        ("api:sessions",), ("sessions",), (f"{USER} deactivate",), ("settings-sessions",)
    ),
    "engines.services.knowledge.documents.create_base": Door(
        ("api:knowledge-base-list",),
        ("base create",),
        page=("knowledge",),
        not_meant={"admin": OWN},
    ),
    "engines.services.knowledge.documents.rename_base": Door(
        ("api:knowledge-base-detail",),
        ("base rename",),
        page=("base-settings",),
        not_meant={"admin": OWN},
    ),
    "engines.services.knowledge.documents.delete_base": Door(
        ("api:knowledge-base-detail",),
        ("base delete",),
        ("engines.knowledgebase",),
        ("base-delete",),
    ),
    "engines.services.knowledge.documents.add_document": Door(
        ("api:document-list",),
        page=("base-write",),
        not_meant={"sam": "It adds files; a text is written into one.", "admin": OWN},
    ),
    "engines.services.knowledge.folders.take_delivery": Door(
        ("api:document-file",),
        ("documents add",),
        page=("base-upload",),
        not_meant={"admin": OWN},
    ),
    "engines.services.knowledge.folders.add_read_file": Door(
        ("api:document-list",),
        not_meant={
            "sam": "`documents add` puts a file to its path.",
            "page": "An upload puts a file to its path.",
            "admin": OWN,
        },
    ),
    "engines.services.knowledge.folders.replace_with_file": Door(
        page=("document-replace",),
        not_meant={
            "rest": "A text is sent to the document, or a file to its path.",
            "sam": "`documents add` updates a file at its path.",
            "admin": OWN,
        },
    ),
    "engines.services.knowledge.documents.update_document": Door(
        ("api:document-detail",),
        page=("document-edit", "document-replace"),
        not_meant={
            "sam": "A file is added anew and the old document deleted; its text is edited on the page.",
            "admin": OWN,
        },
    ),
    "engines.services.knowledge.documents.delete_document": Door(
        ("api:document-detail",),
        ("documents delete",),
        page=("document-delete",),
        not_meant={"admin": OWN},
    ),
    **BACKUP_DOORS,
}
