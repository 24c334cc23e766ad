"""Who sees which base, and who writes to it: one rule for every face."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db.models import Q, QuerySet

from engines.models import KnowledgeBase
from engines.services.people.roles import AnyUser, is_curator

READERS_ONLY = "This base belongs to a group; only a curator may change it."


def readable_bases(user: AbstractBaseUser | AnonymousUser) -> QuerySet[KnowledgeBase]:
    """Return the bases whose content a person may read: own and those of own groups."""
    if not isinstance(user, User):
        return KnowledgeBase.objects.none()
    return KnowledgeBase.objects.filter(Q(owner=user) | Q(group__in=user.groups.all()))


def bases_visible_to(user: AnyUser) -> QuerySet[KnowledgeBase]:
    """Return one's own bases and one's groups'; a curator's view has every group's."""
    mine = Q(pk__in=readable_bases(user).values("pk"))
    if is_curator(user):
        mine |= Q(group__isnull=False)
    return KnowledgeBase.objects.filter(mine)


def may_write(user: AnyUser, base: KnowledgeBase) -> bool:
    """Whether somebody who sees a base may change it: their own, or a group's as a curator."""
    return base.owner_id == user.pk or (base.group_id is not None and is_curator(user))
