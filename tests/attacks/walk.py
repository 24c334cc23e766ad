"""Every route of the REST API with a decision: who may do what with whose things.

The decisions are the table "Who may do what" of the design. The routes come from the router itself, so
a new one fails until somebody has decided about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern
from rest_framework.viewsets import ViewSetMixin

from migrations_app.api.urls import urlpatterns

METHODS = ("get", "post", "put", "patch", "delete")
THROUGH, HIDDEN, FORBIDDEN, UNSIGNED = "through", "404", "403", "401"

Decision = dict[str, str]
"""By whose thing it is: ``own``, ``other`` or ``group``; of a route without a thing, ``own`` alone."""


@dataclass(frozen=True)
class Route:
    """One method of one address."""

    name: str
    method: str
    pattern: str

    def __str__(self) -> str:
        return f"{self.method} {self.name}"

    @property
    def noun(self) -> str:
        return next((noun for noun in NOUNS if self.name.startswith(noun)), "")

    def address(self, values: dict[str, Any]) -> str:
        """Fill the variables."""
        variable = r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)"
        filled = re.sub(variable, lambda found: str(values[found[1]]), self.pattern)
        return "/api/v1/" + filled.strip("^$")


NOUNS = ("plan", "adapter", "knowledge-base", "document", "conversation", "message", "token")
"""What belongs to somebody."""
READS_GROUPS = {"knowledge-base", "document"}


def routes() -> Iterator[Route]:
    """Yield every method of every route but the catch-all."""
    for pattern in urlpatterns:
        if isinstance(pattern, URLPattern) and pattern.name != "unknown":
            for method in _methods(pattern.callback):
                yield Route(str(pattern.name), method, str(pattern.pattern))


def _methods(view: Any) -> Iterator[str]:
    actions: dict[str, str] | None = getattr(view, "actions", None)
    kind = view.cls
    served = kind.http_method_names
    if issubclass(kind, ViewSetMixin) and actions is not None:
        yield from (method for method in METHODS if method in actions and method in served)
        return
    yield from (method for method in METHODS if hasattr(kind, method) and method in served)


# What each role gets. A stranger is always 401, but for signing in.

EVERYBODY = ("user", "curator", "operator", "administrator")
OWN_THING: dict[str, Decision] = {role: {"own": THROUGH, "other": HIDDEN} for role in EVERYBODY}
"""One's own, and nobody else's, whatever one's role."""
OWN_PAGE: dict[str, Decision] = {role: {"own": THROUGH} for role in EVERYBODY}
"""A page about the caller, or what a caller makes."""
PLANS: dict[str, Decision] = {
    role: {"own": THROUGH, "other": THROUGH if role in ("operator", "administrator") else HIDDEN}
    for role in EVERYBODY
}
"""Operators run plans for others."""


def only(*allowed: str) -> dict[str, Decision]:
    """A route of these roles; the others are told that they may not."""
    return {role: {"own": THROUGH if role in allowed else FORBIDDEN} for role in EVERYBODY}


def closed_but_to(*allowed: str) -> dict[str, Decision]:
    """The same for a thing that the world of these tests has none of."""
    return {role: {} if role in allowed else {"own": FORBIDDEN} for role in EVERYBODY}


def base(*, written: bool) -> dict[str, Decision]:
    """A base or its documents: one's own; a group's is read by its members, written by curators."""
    return {
        role: {
            "own": THROUGH,
            "other": HIDDEN,
            "group": THROUGH if not written or role in ("curator", "administrator") else FORBIDDEN,
        }
        for role in EVERYBODY
    }


OPERATORS = only("operator", "administrator")
CURATORS = only("curator", "administrator")
STAFF = only("curator", "operator", "administrator")
ADMINISTRATORS = only("administrator")
HIDDEN_OF_OTHERS: dict[str, Decision] = {role: {"other": HIDDEN} for role in EVERYBODY}
"""As ``OWN_THING``, of what the world of these tests has none."""

DECISIONS: dict[str, dict[str, Decision]] = {
    "get catalog-list": OWN_PAGE,
    "post catalog-list": CURATORS,
    "get catalog-detail": OWN_PAGE,
    "patch catalog-detail": CURATORS,
    "get catalog-status": OWN_PAGE,
    "get catalog-fit": OWN_PAGE,
    "post catalog-clear-unsafe": OPERATORS,
    "get download-list": OPERATORS,
    "post download-list": OPERATORS,
    "get plan-list": OWN_PAGE,
    "post plan-list": OWN_PAGE,
    "get plan-detail": PLANS,
    "get plan-preview": PLANS,
    "post plan-execute": PLANS,
    "post plan-cancel": PLANS,
    "post plan-roll-back": PLANS,
    "post plan-retry": OPERATORS,
    "post plan-abandon": OPERATORS,
    "post plan-move": OPERATORS,
    "post plan-pause": OPERATORS,
    "post plan-resume": OPERATORS,
    "get mass-move-list": OPERATORS,
    "post mass-move-list": OPERATORS,
    "post mass-move-preview": OPERATORS,
    "get mass-move-detail": closed_but_to("operator", "administrator"),
    "get mass-move-people": closed_but_to("operator", "administrator"),
    "post mass-move-cancel": closed_but_to("operator", "administrator"),
    "post mass-move-retry": closed_but_to("operator", "administrator"),
    "get adapter-list": OWN_PAGE,
    "post adapter-list": OWN_PAGE,
    "get adapter-detail": OWN_THING,
    "get knowledge-base-list": OWN_PAGE,
    "post knowledge-base-list": OWN_PAGE,
    "get knowledge-base-detail": base(written=False),
    "patch knowledge-base-detail": base(written=True),
    "delete knowledge-base-detail": base(written=True),
    "post knowledge-base-re-embed": base(written=True),
    "get document-list": base(written=False),
    "post document-list": base(written=True),
    "get document-detail": base(written=False),
    "put document-detail": base(written=True),
    "patch document-detail": base(written=True),
    "delete document-detail": base(written=True),
    "put document-file": base(written=True),
    "get conversation-list": OWN_PAGE,
    "post conversation-list": OWN_PAGE,
    "get conversation-detail": OWN_THING,
    "patch conversation-detail": OWN_THING,
    "delete conversation-detail": OWN_THING,
    "get message-list": OWN_THING,
    "post message-list": OWN_THING,
    "get token-list": OWN_PAGE,
    "post token-list": OWN_PAGE,
    "get token-detail": OWN_THING,
    "delete token-detail": OWN_THING,
    "get host-list": STAFF,
    "get host-detail": STAFF,
    "get host-dependents": STAFF,
    "get host-events": STAFF,
    "post host-invite": OPERATORS,
    "post host-drain": OPERATORS,
    "put host-limits": OPERATORS,
    "post host-resume": OPERATORS,
    "post host-retire": OPERATORS,
    "get fallback-list": STAFF,
    "get fallback-detail": STAFF,
    "put fallback-detail": OPERATORS,
    "delete fallback-detail": OPERATORS,
    "get fallback-incident-list": STAFF,
    "get recommend": OWN_PAGE,
    "get preferences": OWN_PAGE,
    "patch preferences": OWN_PAGE,
    "get prompts": OWN_PAGE,
    "get family-prompts": OWN_PAGE,
    "patch family-prompts": OWN_PAGE,
    "get search": OWN_PAGE,
    "post search": OWN_PAGE,
    "get me": OWN_PAGE,
    "get me-engine": OWN_PAGE,
    "get events": OWN_PAGE,
    "get progress": OWN_PAGE,
    "get plan-events": PLANS,
    "get plan-progress": PLANS,
    "patch plan-detail": PLANS,
    "get sessions": OWN_PAGE,
    "delete sessions": OWN_PAGE,
    "delete session": HIDDEN_OF_OTHERS,
    "get watched-folder-list": OWN_PAGE,
    "post watched-folder-list": ADMINISTRATORS,
    "get watched-folder-detail": HIDDEN_OF_OTHERS,
    "delete watched-folder-detail": HIDDEN_OF_OTHERS,
    "post watched-folder-look-now": HIDDEN_OF_OTHERS,
    "get notice-list": OWN_PAGE,
    "get notice-detail": HIDDEN_OF_OTHERS,
    "post notice-read": HIDDEN_OF_OTHERS,
    "post notice-read-all": OWN_PAGE,
    "get notice-choices": OWN_PAGE,
    "patch notice-choices": OWN_PAGE,
    "get search-history": OWN_PAGE,
    "patch search-history": OWN_PAGE,
    "get passage": HIDDEN_OF_OTHERS,
    "post message-regenerate": OWN_THING,
    "patch adapter-detail": OWN_THING,
    "delete adapter-detail": OWN_THING,
    "get usage-list": OWN_PAGE,
    "get audit-list": ADMINISTRATORS,
    "get quota-list": OPERATORS,
    "get quota-detail": closed_but_to("operator", "administrator"),
    "put quota-detail": ADMINISTRATORS,
    "delete quota-detail": closed_but_to("administrator"),
    "get person-list": ADMINISTRATORS,
    "get person-detail": ADMINISTRATORS,
    "post person-deactivate": ADMINISTRATORS,
    "post person-reactivate": ADMINISTRATORS,
    "get invitation-list": ADMINISTRATORS,
    "post invitation-list": ADMINISTRATORS,
    "get invitation-detail": closed_but_to("administrator"),
    "delete invitation-detail": closed_but_to("administrator"),
    "delete person-detail": ADMINISTRATORS,
    "put person-role": ADMINISTRATORS,
    "delete person-role": ADMINISTRATORS,
    "post person-remove-second-factor": ADMINISTRATORS,
    "post person-unlock": ADMINISTRATORS,
    "get default-list": STAFF,
    "get organisation-default": closed_but_to("curator", "operator", "administrator"),
    "put organisation-default": ADMINISTRATORS,
    "delete organisation-default": closed_but_to("administrator"),
    "get group-default": closed_but_to("curator", "operator", "administrator"),
    "put group-default": ADMINISTRATORS,
    "delete group-default": closed_but_to("administrator"),
    "get backup-list": OWN_PAGE,
    "get backup-detail": HIDDEN_OF_OTHERS,
    "post backup-list": OWN_PAGE,
    "delete backup-detail": HIDDEN_OF_OTHERS,
    "post backup-verify": HIDDEN_OF_OTHERS,
    "post backup-restore": HIDDEN_OF_OTHERS,
    "post backup-prune": OWN_PAGE,
    "post backup-find": OPERATORS,
    "get backup-rule": OWN_PAGE,
    "put backup-rule": OWN_PAGE,
    "delete backup-rule": OWN_PAGE,
    "get organisation-backup-rule": STAFF,
    "put organisation-backup-rule": ADMINISTRATORS,
    "delete organisation-backup-rule": ADMINISTRATORS,
    "get catalog-file": CURATORS,
    "get hub-files": CURATORS,
    "post catalog-file": CURATORS,
    "delete catalog-detail": CURATORS,
    "post catalog-verify": OPERATORS,
    "post catalog-try-model": closed_but_to("curator", "operator", "administrator"),
    "post catalog-delete-files": OPERATORS,
    "post catalog-cancel-download": OPERATORS,
    "post catalog-pause-download": OPERATORS,
    "post catalog-resume-download": OPERATORS,
    "get prompt-template-list": STAFF,
    "get prompt-template-detail": closed_but_to("curator", "operator", "administrator"),
    "put prompt-template-detail": CURATORS,
    "delete prompt-template-detail": closed_but_to("curator", "administrator"),
}

BODIES: dict[str, dict[str, Any]] = {
    "patch catalog-detail": {"description": "Changed."},
    "post catalog-clear-unsafe": {},
    "post catalog-try-model": {"question": "Who are you?"},
    "post message-list": {"content": "Hi."},
    "patch conversation-detail": {"title": "Changed"},
    "put fallback-detail": {"answers": "qwen-4b"},
    "post host-drain": {"knowing": True},
    "post host-invite": {"hours": 1},
    "put host-limits": {"plans": 2},
    "post document-list": {"title": "More", "text": "More."},
    "put document-detail": {"title": "Changed", "text": "Changed."},
    "patch document-detail": {"title": "Changed"},
    "patch knowledge-base-detail": {"name": "Changed"},
    "post knowledge-base-re-embed": {"engine": "qwen-4b"},
    "post plan-move": {},
    "put organisation-default": {"engine": "qwen-4b"},
    "put group-default": {"engine": "qwen-4b"},
    "patch adapter-detail": {"enabled": False},
    "patch plan-detail": {"re_embed": False},
    "put quota-detail": {"tokens_per_day": 1},
    "put prompt-template-detail": {"system_prompt": "Changed."},
}
"""What a request says that would change something; else an empty object, which may be refused for that."""
